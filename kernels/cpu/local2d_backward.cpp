// SPDX-License-Identifier: MIT
//
// local2d_dgrad and local2d_wgrad for the CPU (formulas and order of the sums: local2d.h).
//
// Work: dgrad, an item is a row of dx, which gathers from the places that met it, so that no two items write the same;
// wgrad, a few places.
#include "kernels/cpu/accumulate.h"
#include "kernels/cpu/local2d.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// ---- dgrad
constexpr int kFewImages = tile_rows(2);  // of one tile: B is read once, and where it lies

struct DgradSlots {
  float* packed;  // of each slot
  std::size_t slot_floats;
  DgradSlots(const Shape& s, Carver& carver) {
    const bool few = s.n <= kFewImages;
    const int rows = few ? s.k : divide_up(s.s, s.stride_w) * s.k;
    slot_floats = static_cast<std::size_t>(rows) * packed_columns(few ? s.run : s.c);
    packed = carver.take<float>(slots_for(s.h) * slot_floats);
  }
};

// Loads and stores kRows rows of dx from `row` on, of which those up to `end` exist.
template <class Size, int kRows>
GEMEL_INLINE void load_rows(const Shape& s, const Panel& panel, int row, int end, const float* dx,
                            Vec<Size::kLanes> (&c)[kRows][Size::kVectors]) {
  GEMEL_UNROLL for (int i = 0; i < kRows; ++i) load_columns<Size>(dx + min(row + i, end - 1) * s.x_image, c[i], panel);
}
template <class Size, int kRows>
GEMEL_INLINE void store_rows(const Shape& s, const Panel& panel, int row, int end,
                             const Vec<Size::kLanes> (&c)[kRows][Size::kVectors], float* dx) {
  GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
    if (row + i < end) store_columns<Size>(dx + (row + i) * s.x_image, c[i], panel);
  }
}

// What tap row r of the places (p, 0..Q-1) adds to a row of dx, for few images: place by place, to the run of dx that its
// window covers. w, dy: of place (p,0). While a place is multiplied, the next one's filters come from memory.
void add_runs(const Shape& s, int p, int r, const float* dy, const float* w, float* packed, float* dx) {
  for (int q = 0; q < s.q; ++q, dy += s.k, w += s.k * s.filter) {
    const Window window(s, p * s.q + q);
    const float* const taps = w + window.tap(s, r);
    float* const to = dx + std::ptrdiff_t{window.columns.first} * s.c;
    for (int index = 0; window.run > 0 && index < panel_count(window.run); ++index) {
      const Panel panel = panel_at(window.run, index);
      prefetch_filters(taps + s.k * s.filter + panel.column, s.filter, 0, s.k, panel.width());
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        const float* b = taps + panel.column;
        std::ptrdiff_t pitch = s.filter;
        int last = panel.last_column - panel.column;
        if (panel.valid < Size::kLanes) {  // a vector would reach past the run
          pack_rows<Size>(panel, s.k, taps, s.filter, packed);
          b = packed, pitch = Size::kWidth, last = (Size::kVectors - 1) * Size::kLanes;
        }
        const auto run = [&](auto tile) {
          constexpr int kRows = decltype(tile)::kRows;
          for (int row = 0; row < s.n; row += kRows) {
            const float* pointers[kRows];
            Vec<Size::kLanes> c[kRows][Size::kVectors];
            GEMEL_UNROLL for (int i = 0; i < kRows; ++i) pointers[i] = dy + min(row + i, s.n - 1) * s.y_image;
            load_rows<Size, kRows>(s, panel, row, s.n, to, c);
            multiply_rows_in_place<Size>(c, pointers, s.k, b, pitch, last);
            store_rows<Size, kRows>(s, panel, row, s.n, c, to);
          }
        };
        s.n == 1 ? run(RowCount<1>{}) : run(RowCount<tile_rows(Size::kVectors)>{});
      });
    }
  }
}

// The same for many images: pixel by pixel, from all the places that met it, whose dy are neighbours.
void add_pixels(const Shape& s, int r, const float* dy, const float* w, float* packed, float* dx) {
  for (int column = 0; column < s.w; ++column) {
    const int start = column + s.pad_w;  // q stride_w + s
    const int q_begin = max(start - s.s + s.stride_w, 0) / s.stride_w, q_end = min(s.q, start / s.stride_w + 1);
    const auto taps_of = [&](int q) {
      return w + q * s.k * s.filter + std::ptrdiff_t{r} * s.run + std::ptrdiff_t{start - q * s.stride_w} * s.c;
    };
    const int length = (q_end - q_begin) * s.k;
    const float* const from = dy + std::ptrdiff_t{q_begin} * s.k;
    float* const to = dx + std::ptrdiff_t{column} * s.c;
    for (int index = 0; length > 0 && index < panel_count(s.c); ++index) {
      const Panel panel = panel_at(s.c, index);
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        constexpr int kRows = tile_rows(Size::kVectors);
        for (int q = q_begin; q < q_end; ++q) {
          pack_rows<Size>(panel, s.k, taps_of(q), s.filter, packed + std::ptrdiff_t{q - q_begin} * s.k * Size::kWidth);
        }
        for (int row = 0; row < s.n; row += kRows) {
          // The next pixel's, place by place.
          if (const int q = q_begin + row / kRows; q < q_end) {
            prefetch_filters(taps_of(q) + panel.column + std::ptrdiff_t{s.stride_w} * s.c, s.filter, 0, s.k,
                             panel.width());
          }
          const float* pointers[kRows];
          Vec<Size::kLanes> c[kRows][Size::kVectors];
          GEMEL_UNROLL for (int i = 0; i < kRows; ++i) pointers[i] = from + min(row + i, s.n - 1) * s.y_image;
          load_rows<Size, kRows>(s, panel, row, s.n, to, c);
          multiply_rows<Size>(c, pointers, 0, length, packed);
          store_rows<Size, kRows>(s, panel, row, s.n, c, to);
        }
      });
    }
  }
}

// Row h of dx, of all images.
void dgrad_row(const Shape& s, int h, const float* dy, const float* w, float* packed, float* dx) {
  dx += h * s.x_row;
  for (int n = 0; n < s.n; ++n) {
    __builtin_memset(dx + n * s.x_image, 0, sizeof(float) * static_cast<std::size_t>(s.x_row));
  }
  const int start = h + s.pad_h;  // p stride_h + r
  const int p_begin = max(start - s.r + s.stride_h, 0) / s.stride_h, p_end = min(s.p, start / s.stride_h + 1);
  for (int p = p_begin; p < p_end; ++p) {
    const std::ptrdiff_t filters = std::ptrdiff_t{p} * s.q * s.k;
    const int r = start - p * s.stride_h;
    if (s.n <= kFewImages) {
      add_runs(s, p, r, dy + filters, w + filters * s.filter, packed, dx);
    } else {
      add_pixels(s, r, dy + filters, w + filters * s.filter, packed, dx);
    }
  }
}

// ---- wgrad
struct WgradSlots {
  float *packed, *gradients;  // of each slot: a row of taps of the patches; dy of a place, (N,K)
  std::size_t slot_floats, slot_gradients;
  WgradSlots(const Shape& s, Carver& carver) {
    slot_floats = static_cast<std::size_t>(s.n) * packed_columns(s.run);
    slot_gradients = static_cast<std::size_t>(s.n) * s.k;
    packed = carver.take<float>(slots_for(s.place_items()) * slot_floats);
    gradients = carver.take<float>(slots_for(s.place_items()) * slot_gradients);
  }
};

// dy: of the place, (N,K).
void wgrad_place(const Shape& s, int place, const float* x, const float* dy, float* packed, float* dw) {
  constexpr int kPackRows = 8;  // images at a time, so that a few pages are read along
  const Window window(s, place);
  dw += place * s.k * s.filter;
  if (window.run == 0) return;
  const int panels = panel_count(window.run);
  for (int r = window.rows.begin; r < window.rows.end; ++r) {
    const float* from = x + window.x + (r - window.rows.begin) * s.x_row;
    for (int n = 0; n < s.n; n += kPackRows) {
      for (int index = 0; index < panels; ++index) {
        const Panel panel = panel_at(window.run, index);
        with_size(panel, [&](auto size) {
          using Size = decltype(size);
          pack_rows<Size>(panel, min(kPackRows, s.n - n), from + n * s.x_image, s.x_image,
                          packed + std::ptrdiff_t{panel.column} * s.n + std::ptrdiff_t{n} * Size::kWidth);
        });
      }
    }
    for (int index = 0; index < panels; ++index) {
      const Panel panel = panel_at(window.run, index);
      float* const to = dw + window.tap(s, r);
      prefetch_filters(to + panel.column + panel.width(), s.filter, 0, s.k, panel.width());
      with_size(panel, [&](auto size) {
        accumulate_panel<decltype(size)>(panel, s.k, {dy, s.k, packed + std::ptrdiff_t{panel.column} * s.n, s.n}, to,
                                         s.filter);
      });
    }
  }
}

}  // namespace

std::size_t local2d_backward_scratch(const Conv2dShape& shape) {
  const Shape s(shape);
  Carver dgrad(nullptr), wgrad(nullptr);
  const DgradSlots dgrad_slots(s, dgrad);
  const WgradSlots wgrad_slots(s, wgrad);
  return dgrad.used() > wgrad.used() ? dgrad.used() : wgrad.used();
}

void local2d_dgrad(Queue queue, const Conv2dShape& shape, const float* dy, const float* w, float* dx) {
  if (shape.n == 0) return;
  const Shape s(shape);
  Carver carver(queue.scratch.data);
  const DgradSlots slots(s, carver);
  require_scratch(queue, carver.used(), "local2d_dgrad");
  parallel(s.h, [&](std::int64_t h, int slot) {
    dgrad_row(s, static_cast<int>(h), dy, w, slots.packed + slot * slots.slot_floats, dx);
  });
}

void local2d_wgrad(Queue queue, const Conv2dShape& shape, const float* x, const float* dy, float* dw, float* db) {
  if (shape.n == 0) return;
  const Shape s(shape);
  Carver carver(queue.scratch.data);
  const WgradSlots slots(s, carver);
  require_scratch(queue, carver.used(), "local2d_wgrad");
  for_each_place(s, [&](int place, int slot) {
    float* const gradients = slots.gradients + slot * slots.slot_gradients;
    const std::ptrdiff_t first = std::ptrdiff_t{place} * s.k;
    for (int n = 0; n < s.n; ++n) {
      for (int k = 0; k < s.k; ++k) {
        const float g = dy[n * s.y_image + first + k];
        gradients[std::ptrdiff_t{n} * s.k + k] = g;
        if (db != nullptr) db[first + k] += g;
      }
    }
    wgrad_place(s, place, x, gradients, slots.packed + slot * slots.slot_floats, dw);
  });
}

}  // namespace gemel::GEMEL_DEVICE
