// SPDX-License-Identifier: MIT
//
// The filter gradient of a convolution, or of a block through its dz (block_gradient.h), for the CPU. Replaces the executor's filter gradient: 3x3, 64 -> 64 at 14x14, batch 64 takes 11.7 ms
// instead of 128 (71 % of the multiply-add peak; Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
//
//   dw(k,r,s,c) += sum_{n,p,q} dz(n,p,q,k) x(n, p sh - ph + r, q sw - pw + s, c)      db(k) += sum_{n,p,q} dz(n,p,q,k)
//
// For one filter row r the S*C inputs under the filter are contiguous: a tile takes a few of them as its rows, a panel
// of filters as its columns, and sums over the pixels of a band. Images are cut into a fixed number of chunks; each
// chunk sums into a partial gradient (R*S*C, K) of its own, and the partials are added in order: the same bits on any
// number of threads. Where a large filter bank allows few partials, the panels are shared out as well.
#include "kernels/cpu/wgrad_tile.h"
#include "kernels/cpu/winograd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kBandPixels = 128;  // x and dz of a band, one cache line a pixel each, stay in L1

struct Wgrad {
  int p, q;
  int depth;           // R*S*C: rows of a partial
  int columns;         // packed: floats of a row of a partial
  int chunks, groups;  // of images, of panels
  bool narrow;         // fewer filters than lanes: dz is copied with a pitch of whole vectors
  Bands bands;
  std::ptrdiff_t pitch;  // between input rows
  float *partial, *bias_partial, *dz_buffer, *wide_buffer;
  std::size_t dz_slot_floats = 0, wide_slot_floats = 0;

  // `plain`: dz is there to be read in place.
  Wgrad(const Conv2dShape& s, bool plain, Carver& carver) : p(output_rows(s)), q(output_columns(s)) {
    depth = s.r * s.s * s.c;
    columns = packed_columns(s.k);
    const std::int64_t partial_bytes = std::int64_t{4} * depth * columns;
    chunks = partial_chunks(s.n, partial_bytes);
    groups = min(panel_count(s.k), divide_up(kMaxChunks, chunks));
    narrow = panel_at(s.k, 0).valid < panel_at(s.k, 0).lanes;
    bands.in_place = s.pad_h == 0 && s.pad_w == 0;
    bands.window_columns = (q - 1) * s.stride_w + s.s;
    bands.rows = divide_up(p, divide_up(p, max(1, min(p, kBandPixels / q))));
    bands.count = divide_up(p, bands.rows);
    bands.window_rows = (bands.rows - 1) * s.stride_h + s.r;
    pitch = std::ptrdiff_t{bands.in_place ? s.w : bands.window_columns} * s.c;
    const int slots = slots_for(std::int64_t{chunks} * groups);
    bands.take_buffers(carver, slots, s.c);
    partial = carver.take<float>(static_cast<std::size_t>(chunks) * depth * columns);
    bias_partial = carver.take<float>(static_cast<std::size_t>(chunks) * columns);
    const std::size_t pixels = static_cast<std::size_t>(bands.rows) * q;
    if (!plain) dz_slot_floats = pixels * s.k;
    if (narrow) wide_slot_floats = pixels * columns;
    dz_buffer = carver.take<float>(slots * dz_slot_floats);
    wide_buffer = carver.take<float>(slots * wide_slot_floats);
  }

  int first_panel(const Conv2dShape& s, int group) const { return panel_count(s.k) * group / groups; }

  // Sums the images of a chunk into the columns of a group's panels.
  void run_chunk(const Conv2dShape& s, const float* x, const BlockGradient& dz, bool bias, int chunk, int group,
                 int slot) const {
    float* sum = partial + static_cast<std::size_t>(chunk) * depth * columns;
    float* bias_sum = bias_partial + static_cast<std::size_t>(chunk) * columns;
    const int panel_begin = first_panel(s, group), panel_end = first_panel(s, group + 1);
    const int column_begin = panel_at(s.k, panel_begin).column;
    const Panel last = panel_at(s.k, panel_end - 1);
    const int column_count = last.column + last.width() - column_begin;
    for (int i = 0; i < depth; ++i)
      __builtin_memset(sum + static_cast<std::ptrdiff_t>(i) * columns + column_begin, 0, 4 * column_count);
    __builtin_memset(bias_sum + column_begin, 0, 4 * column_count);

    const int image_end = chunk_begin(s.n, chunk + 1, chunks);
    for (int image = chunk_begin(s.n, chunk, chunks); image < image_end; ++image) {
      for (int band = 0; band < bands.count; ++band) {
        const int row = band * bands.rows, rows = min(bands.rows, p - row);
        const float* from = x + static_cast<std::ptrdiff_t>(image) * s.h * s.w * s.c;
        if (bands.in_place) {
          from += static_cast<std::ptrdiff_t>(row) * s.stride_h * s.w * s.c;
        } else {
          copy_window(from, s.h, s.w, s.c, row * s.stride_h - s.pad_h, (rows - 1) * s.stride_h + s.r, -s.pad_w,
                      bands.window_columns, bands.slot(slot));
          from = bands.slot(slot);
        }
        const float* g = band_of(dz, image, row, rows, slot);
        if (narrow) g = widen(s, g, rows * q, slot);
        for (int index = panel_begin; index < panel_end; ++index) {
          const Panel panel = panel_at(s.k, index);
          with_size(panel, [&](auto size) {
            using Size = decltype(size);
            with_rows<Size>(wgrad_rows(Size::kVectors, s.s * s.c),
                            [&](auto tile) { sum_panel<Size, decltype(tile)::kRows>(s, panel, from, g, rows, sum); });
            if (bias) sum_bias<Size>(s, panel, g, rows * q, bias_sum);
          });
        }
      }
    }
  }

  const float* band_of(const BlockGradient& dz, int image, int row, int rows, int slot) const {
    if (dz.plain()) return dz.dy + dz.image_at(image) + static_cast<std::ptrdiff_t>(row) * q * dz.k;
    float* out = dz_buffer + slot * dz_slot_floats;
    dz.copy_window(image, row, rows, 0, q, out);
    return out;
  }

  // Copies `pixels` pixels of dz to a pitch of whole vectors, the rest zero.
  const float* widen(const Conv2dShape& s, const float* dz, int pixels, int slot) const {
    float* out = wide_buffer + slot * wide_slot_floats;
    for (int i = 0; i < pixels; ++i) {
      for (int k = 0; k < columns; ++k)
        out[i * columns + k] = k < s.k ? dz[static_cast<std::ptrdiff_t>(i) * s.k + k] : 0.0f;
    }
    return out;
  }

  std::ptrdiff_t dz_pitch(const Conv2dShape& s) const { return narrow ? columns : s.k; }

  template <class Size, int Rows>
  void sum_panel(const Conv2dShape& s, const Panel& panel, const float* x, const float* dz, int rows,
                 float* sum) const {
    const int run = s.s * s.c, last = panel.last_column - panel.column;
    const std::ptrdiff_t step = std::ptrdiff_t{s.stride_w} * s.c, dz_step = dz_pitch(s);
    for (int r = 0; r < s.r; ++r) {
      for (int m = 0; m < run; m += Rows) {
        const int first = min(m, run - Rows);  // the last tile moves back and leaves alone what is summed already
        Vec<Size::kLanes> c[Rows][Size::kVectors] = {};
        for (int i = 0; i < rows; ++i) {
          multiply_columns<Size>(c, x + (std::ptrdiff_t{i} * s.stride_h + r) * pitch + first, step,
                                 dz + std::ptrdiff_t{i} * q * dz_step + panel.column, dz_step, last, q);
        }
        float* to = sum + (std::ptrdiff_t{r} * run + first) * columns + panel.column;
        GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
          if (first + i < m) continue;
          GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
            float* at = to + std::ptrdiff_t{i} * columns + j * Size::kLanes;
            store<Size::kLanes>(at, load<Size::kLanes>(at) + c[i][j]);
          }
        }
      }
    }
  }

  template <class Size>
  void sum_bias(const Conv2dShape& s, const Panel& panel, const float* dz, int pixels, float* sum) const {
    TileRow<Size> c = {};
    const int last = panel.last_column - panel.column;
    dz += panel.column;
    for (int i = 0; i < pixels; ++i, dz += dz_pitch(s)) {
      for (int j = 0; j < Size::kVectors; ++j) {
        c[j] += load<Size::kLanes>(dz + (j + 1 < Size::kVectors ? j * Size::kLanes : last));
      }
    }
    for (int j = 0; j < Size::kVectors; ++j) {
      float* at = sum + panel.column + j * Size::kLanes;
      store<Size::kLanes>(at, load<Size::kLanes>(at) + c[j]);
    }
  }

  // Adds the partials of rows [begin, end) of (R*S*C) to dw, a block of rows at a time so that both sides move whole
  // cache lines.
  void reduce(const Conv2dShape& s, int begin, int end, float* dw) const {
    for (int index = 0; index < panel_count(s.k); ++index) {
      const Panel panel = panel_at(s.k, index);
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        for (int j = 0; j < Size::kVectors; ++j) {
          const int packed = panel.column + j * Size::kLanes, repeated = packed - panel.column_of(j);
          float* to = dw + static_cast<std::ptrdiff_t>(panel.column_of(j)) * depth;
          float block[kReduceRows][Size::kLanes];
          for (int i = begin; i < end; ++i) {
            Vec<Size::kLanes> total{};
            for (int chunk = 0; chunk < chunks; ++chunk) {
              total +=
                  load<Size::kLanes>(partial + (static_cast<std::ptrdiff_t>(chunk) * depth + i) * columns + packed);
            }
            store<Size::kLanes>(block[i - begin], total);
          }
          for (int e = repeated; e < panel.valid; ++e) {
            for (int i = begin; i < end; ++i) to[static_cast<std::ptrdiff_t>(e) * depth + i] += block[i - begin][e];
          }
        }
      });
    }
  }

  void reduce_bias(const Conv2dShape& s, float* db) const {
    for (int index = 0; index < panel_count(s.k); ++index) {
      const Panel panel = panel_at(s.k, index);
      for (int j = 0; j < panel.vectors; ++j) {
        const int packed = panel.column + j * panel.lanes, k = panel.column_of(j);
        for (int e = packed - k; e < panel.valid; ++e) {
          float total = 0;
          for (int chunk = 0; chunk < chunks; ++chunk)
            total += bias_partial[static_cast<std::ptrdiff_t>(chunk) * columns + packed + e];
          db[k + e] += total;
        }
      }
    }
  }

  static constexpr int kReduceRows = 32;
};

}  // namespace

std::size_t dense_wgrad_scratch(const ConvBlock& block) {
  if (takes_winograd(block.conv)) return winograd_wgrad_scratch(block);
  Carver carver(nullptr);
  const Wgrad pass(block.conv, !block.relu && !block.pool, carver);
  return carver.used();
}

void dense_wgrad(const Queue& queue, const ConvBlock& block, const float* x, const float* y, const std::uint8_t* argmax,
                 const float* dy, float* dw, float* db) {
  const Conv2dShape& s = block.conv;
  if (takes_winograd(s)) return winograd_wgrad(queue, block, x, y, argmax, dy, dw, db);
  const BlockGradient dz(block, y, argmax, dy);
  Carver carver(queue.scratch.data);
  const Wgrad pass(s, dz.plain(), carver);
  require_scratch(queue, carver.used(), "conv2d_wgrad");
  parallel(std::int64_t{pass.chunks} * pass.groups, [&](std::int64_t item, int slot) {
    pass.run_chunk(s, x, dz, db != nullptr, static_cast<int>(item / pass.groups), static_cast<int>(item % pass.groups),
                   slot);
  });
  parallel(divide_up(pass.depth, Wgrad::kReduceRows), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * Wgrad::kReduceRows;
    pass.reduce(s, begin, min(begin + Wgrad::kReduceRows, pass.depth), dw);
  });
  if (db != nullptr) pass.reduce_bias(s, db);
}

void conv2d_wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (s.n > 0) dense_wgrad(queue, ConvBlock{s}, x, nullptr, nullptr, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
