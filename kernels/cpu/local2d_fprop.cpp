// SPDX-License-Identifier: MIT
//
// local2d_fprop for the CPU (formula and order of the sums: local2d.h).
//
// Work: an item is a few places. The filters of a place are transposed on their way from memory, into the first-level
// cache for a block of images, in registers for one.
#include "kernels/cpu/local2d.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kPackedFloats = 5120;  // of filters, packed at a time: 20 KB
constexpr int kRowBlock = 128;       // images that share them
constexpr int kMaxWidth = 48;        // widest panel, in floats

template <class Size>
GEMEL_INLINE void store_outputs(const Panel& panel, const float* bias, TileRow<Size>& c, float* y) {
  if (bias != nullptr) {
    TileRow<Size> b;
    load_columns<Size>(bias, b, panel);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[j] += b[j];
  }
  store_columns<Size>(y, c, panel);
}

// One image: filters are transposed in registers on their way from memory.
template <class Size>
void fprop_image(const Shape& s, const Panel& panel, const Window& window, const float* x, const float* w,
                 const float* bias, float* y) {
  TileRow<Size> c = {};
  for (int r = window.rows.begin; r < window.rows.end; ++r) {
    multiply_transposed<Size>(c, panel, x + (r - window.rows.begin) * s.x_row, window.run, w + window.tap(s, r),
                              s.filter);
  }
  store_outputs<Size>(panel, bias, c, y);
}

// `rows` images, at most kRowBlock: filters are packed piece by piece, and sums rest in `sums` between the pieces. While
// a piece is multiplied, the next one comes from memory.
template <class Size>
void fprop_images(const Shape& s, const Panel& panel, const Window& window, int rows, const float* x, const float* w,
                  const float* bias, float* packed, float* sums, float* y) {
  constexpr int kRows = tile_rows(Size::kVectors), kDepth = kPackedFloats / Size::kWidth;
  const int all_taps = max(window.rows.end - window.rows.begin, 0), most = max(kDepth / max(window.run, 1), 1);
  const int taps_at_once = max(divide_up(all_taps, divide_up(max(all_taps, 1), most)), 1);
  const int tiles = divide_up(rows, kRows), filters = min(panel.width(), s.k - panel.column);
  int r = 0, f = 0;
  do {
    const int taps = min(taps_at_once, all_taps - r), length = min(kDepth, window.run - f);
    const bool first = r == 0 && f == 0, last = r + taps >= all_taps && f + length >= window.run;
    const float* const piece = w + window.tap(s, window.rows.begin + r) + f;
    for (int i = 0; i < taps; ++i) {
      pack_transposed<Size>(panel, length, piece + std::ptrdiff_t{i} * s.run, s.filter,
                            packed + std::ptrdiff_t{i} * length * Size::kWidth);
    }
    const float* const from = x + r * s.x_row + f;
    for (int tile = 0; tile < tiles; ++tile) {
      prefetch_filters(piece + (last ? s.k * s.filter - std::ptrdiff_t{r} * s.run : std::ptrdiff_t{taps} * s.run),
                       s.filter, panel.column + filters * tile / tiles, panel.column + filters * (tile + 1) / tiles,
                       taps * length);
      const float* pointers[kRows];
      Vec<Size::kLanes> c[kRows][Size::kVectors] = {};
      GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
        const int at = min(tile * kRows + i, rows - 1);
        pointers[i] = from + at * s.x_image;
        if (first) continue;
        GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] =
            load<Size::kLanes>(sums + at * Size::kWidth + j * Size::kLanes);
      }
      for (int i = 0; i < taps; ++i) {
        multiply_rows<Size>(c, pointers, i * s.x_row, length, packed + std::ptrdiff_t{i} * length * Size::kWidth);
      }
      GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
        const int row = tile * kRows + i;
        if (row >= rows) continue;
        if (last) {
          store_outputs<Size>(panel, bias, c[i], y + row * s.y_image);
          continue;
        }
        GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j)
            store<Size::kLanes>(sums + row * Size::kWidth + j * Size::kLanes, c[i][j]);
      }
    }
    f += kDepth;
    if (f >= window.run) f = 0, r += taps_at_once;
  } while (r < all_taps);
}

struct FpropSlots {
  float *packed, *sums;  // of each slot: kPackedFloats, kRowBlock x kMaxWidth
  FpropSlots(const Shape& s, Carver& carver) {
    const std::size_t slots = s.n > 1 ? slots_for(s.place_items()) : 0;
    packed = carver.take<float>(slots * kPackedFloats);
    sums = carver.take<float>(slots * kRowBlock * kMaxWidth);
  }
};

void fprop_place(const Shape& s, int place, const float* x, const float* w, const float* bias, float* packed,
                 float* sums, float* y) {
  const Window window(s, place);
  w += place * s.k * s.filter;
  if (bias != nullptr) bias += std::ptrdiff_t{place} * s.k;
  for (int index = 0; index < panel_count(s.k); ++index) {
    const Panel panel = panel_at(s.k, index);
    for (int row = 0; row < s.n; row += kRowBlock) {
      const int rows = min(kRowBlock, s.n - row);
      const float* from = x + row * s.x_image + window.x;
      float* to = y + row * s.y_image + std::ptrdiff_t{place} * s.k;
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        if (s.n == 1) return fprop_image<Size>(s, panel, window, from, w, bias, to);
        fprop_images<Size>(s, panel, window, rows, from, w, bias, packed, sums, to);
      });
    }
  }
}

}  // namespace

std::size_t local2d_scratch(const Conv2dShape& shape) {
  Carver carver(nullptr);
  const FpropSlots slots(Shape(shape), carver);
  const std::size_t backward = local2d_backward_scratch(shape);
  return carver.used() > backward ? carver.used() : backward;
}

void local2d_fprop(Queue queue, const Conv2dShape& shape, const float* x, const float* w, const float* bias, float* y) {
  if (shape.n == 0) return;
  const Shape s(shape);
  Carver carver(queue.scratch.data);
  const FpropSlots slots(s, carver);
  require_scratch(queue, carver.used(), "local2d_fprop");
  for_each_place(s, [&](int place, int slot) {
    fprop_place(s, place, x, w, bias, slots.packed + std::ptrdiff_t{slot} * kPackedFloats,
                slots.sums + std::ptrdiff_t{slot} * kRowBlock * kMaxWidth, y);
  });
}

}  // namespace gemel::GEMEL_DEVICE
