// SPDX-License-Identifier: MIT
//
// The filter gradient of a 3x3 convolution of stride 1 by minimal filtering F(3x3,2x2): a tile of 2x2 numbers of dz and
// the 4x4 inputs above it give their 3x3 contribution to dw with 16 products instead of 36. It is winograd.h's algorithm
// with the roles of outputs and filter exchanged (Lavin & Gray 2016, section 4.1; the same points 0, 1, -1, infinity):
//
//   dw = A^T [ sum over tiles of (G z G^T) . (B^T d B) ] A     B as in winograd.h     G = 1   0      A^T = 1 1  1  0
//                                                                                        .5  .5           0 1 -1  0
//                                                                                        .5 -.5           0 1  1 -1
//                                                                                        0   1
//
// The sum of each of the 16 positions is a matrix product (C x tiles) (tiles x K). Images are cut into chunks with a
// partial sum (16, C, K) each; they are added in order and transformed once.
//
// Replaces conv2d_wgrad.cpp for such filters: 64 -> 64 at 14x14, batch 64 takes 7.8 ms instead of 11.7 (105 % of the
// multiply-add peak counted in plain sums; Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/wgrad_tile.h"
#include "kernels/cpu/winograd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

class WinogradWgrad {
 public:
  WinogradWgrad(const Conv2dShape& s, Carver& carver)
      : s_(s), tiles_h_(divide_up(output_rows(s), 2)), tiles_w_(divide_up(output_columns(s), 2)) {
    columns_ = packed_columns(s.k);
    const std::int64_t row_bytes = std::int64_t{8} * (2 * tiles_w_ + 2) * (s.c + s.k);
    band_ = band_rows(kMinItems, tiles_h_, row_bytes);
    strip_ = min(band_ * tiles_w_, max(kStripBytes / (4 * kWinogradPositions * (s.c + s.k)), 1));
    partial_floats_ = static_cast<std::size_t>(kWinogradPositions) * s.c * columns_ + round_up(s.k, 64);
    chunks_ = partial_chunks(s.n, 4 * static_cast<std::int64_t>(partial_floats_));
    partial_ = carver.take<float>(chunks_ * partial_floats_);
    const auto rounded = [](std::size_t floats) { return (floats + 63) / 64 * 64; };
    x_floats_ = rounded(static_cast<std::size_t>(2 * band_ + 2) * (2 * tiles_w_ + 2) * s.c);
    z_floats_ = rounded(static_cast<std::size_t>(2 * band_) * 2 * tiles_w_ * s.k);
    v_floats_ = static_cast<std::size_t>(strip_) * s.c + 16;  // of one position; 16: not the same cache set
    u_floats_ = static_cast<std::size_t>(strip_) * s.k + 16;
    slot_floats_ = x_floats_ + z_floats_ + kWinogradPositions * (v_floats_ + u_floats_);
    buffer_ = carver.take<float>(static_cast<std::size_t>(slots_for(chunks_)) * slot_floats_);
  }

  int chunks() const { return chunks_; }

  void run_chunk(const float* x, const BlockGradient& dz, bool bias, int chunk, int slot) const {
    float* const sums = partial_ + static_cast<std::size_t>(chunk) * partial_floats_;
    float* const in = buffer_ + static_cast<std::size_t>(slot) * slot_floats_;
    float* const z = in + x_floats_;
    float* const v = z + z_floats_;
    float* const u = v + kWinogradPositions * v_floats_;
    __builtin_memset(sums, 0, partial_floats_ * sizeof(float));
    const int end = chunk_begin(s_.n, chunk + 1, chunks_);
    for (int image = chunk_begin(s_.n, chunk, chunks_); image < end; ++image) {
      for (int row = 0; row < tiles_h_; row += band_) {
        const int rows = min(band_, tiles_h_ - row), tiles = rows * tiles_w_;
        copy_window(x + static_cast<std::ptrdiff_t>(image) * s_.h * s_.w * s_.c, s_.h, s_.w, s_.c, 2 * row - s_.pad_h,
                    2 * rows + 2, -s_.pad_w, 2 * tiles_w_ + 2, in);
        dz.copy_window(image, 2 * row, 2 * rows, 0, 2 * tiles_w_, z);
        if (bias) sum_bias(z, 4 * tiles, bias_of(sums));
        for (int tile = 0; tile < tiles; tile += strip_) {
          const int count = min(strip_, tiles - tile);
          transform_inputs({in, s_.c, tiles_w_, static_cast<std::ptrdiff_t>(v_floats_)}, tile, count, v);
          transform_gradients(z, tile, count, u);
          for (int position = 0; position < kWinogradPositions; ++position) multiply(position, count, v, u, sums);
        }
      }
    }
  }

  // Adds channels [begin, end) to dw.
  void reduce(int begin, int end, float* dw) const {
    for (int index = 0; index < panel_count(s_.k); ++index) {
      const Panel panel = panel_at(s_.k, index);
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        for (int j = 0; j < Size::kVectors; ++j) {
          const int packed = panel.column + j * Size::kLanes, k = panel.column_of(j);
          float block[9][kReduceChannels][Size::kLanes];
          for (int c = begin; c < end; ++c) {
            Vec<Size::kLanes> taps[9];
            transform_sums<Size>(c, packed, taps);
            for (int tap = 0; tap < 9; ++tap) store<Size::kLanes>(block[tap][c - begin], taps[tap]);
          }
          for (int e = packed - k; e < Size::kLanes; ++e) {  // filters before that are the previous vector's
            for (int tap = 0; tap < 9; ++tap) {
              float* to = dw + (static_cast<std::ptrdiff_t>(k + e) * 9 + tap) * s_.c;
              for (int c = begin; c < end; ++c) to[c] += block[tap][c - begin][e];
            }
          }
        }
      });
    }
  }

  void reduce_bias(float* db) const {
    for (int k = 0; k < s_.k; ++k) {
      float total = 0;
      for (int chunk = 0; chunk < chunks_; ++chunk) total += bias_of(partial_ + chunk * partial_floats_)[k];
      db[k] += total;
    }
  }

  static constexpr int kReduceChannels = 16;

 private:
  float* bias_of(float* sums) const { return sums + partial_floats_ - round_up(s_.k, 64); }

  void sum_bias(const float* z, int pixels, float* bias) const {
    for_each_vector(static_cast<std::size_t>(s_.k), [&](std::size_t k, int lanes) {
      Vec<kLanes> total = load_lanes(bias + k, lanes);
      for (int i = 0; i < pixels; ++i) total += load_lanes(z + static_cast<std::ptrdiff_t>(i) * s_.k + k, lanes);
      store_lanes(bias + k, total, lanes);
    });
  }

  // u (16, count, K) = G z G^T of tiles [tile, tile + count) of the band.
  void transform_gradients(const float* z, int tile, int count, float* u) const {
    const std::ptrdiff_t pixel = s_.k, row = std::ptrdiff_t{2 * tiles_w_} * pixel;
    const auto position = static_cast<std::ptrdiff_t>(u_floats_);
    for (int t = 0; t < count; ++t) {
      const float* from = z + (tile + t) / tiles_w_ * 2 * row + (tile + t) % tiles_w_ * 2 * pixel;
      float* to = u + static_cast<std::ptrdiff_t>(t) * s_.k;
      for_each_whole_vector(s_.k, [&](int k) {
        Vec<kLanes> rows[4][2];
        GEMEL_UNROLL for (int j = 0; j < 2; ++j) {
          const Vec<kLanes> a = load(from + j * pixel + k), b = load(from + row + j * pixel + k);
          rows[0][j] = a;
          rows[1][j] = 0.5f * (a + b);
          rows[2][j] = 0.5f * (a - b);
          rows[3][j] = b;
        }
        GEMEL_UNROLL for (int i = 0; i < 4; ++i) {
          const Vec<kLanes> a = rows[i][0], b = rows[i][1];
          float* out = to + k + 4 * i * position;
          store(out, a);
          store(out + position, 0.5f * (a + b));
          store(out + 2 * position, 0.5f * (a - b));
          store(out + 3 * position, b);
        }
      });
    }
  }

  // sums (C, columns) of one position += v (count, C)^T u (count, K)
  void multiply(int position, int count, const float* v, const float* u, float* sums) const {
    v += static_cast<std::ptrdiff_t>(position) * static_cast<std::ptrdiff_t>(v_floats_);
    u += static_cast<std::ptrdiff_t>(position) * static_cast<std::ptrdiff_t>(u_floats_);
    sums += static_cast<std::ptrdiff_t>(position) * s_.c * columns_;
    for (int index = 0; index < panel_count(s_.k); ++index) {
      const Panel panel = panel_at(s_.k, index);
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        with_rows<Size>(wgrad_rows(Size::kVectors, s_.c), [&](auto tile) {
          constexpr int kRows = decltype(tile)::kRows;
          for (int m = 0; m < s_.c; m += kRows) {
            const int first = min(m, s_.c - kRows);  // the last tile moves back and leaves alone what is summed already
            Vec<Size::kLanes> c[kRows][Size::kVectors] = {};
            multiply_columns<Size>(c, v + first, s_.c, u + panel.column, s_.k, panel.last_column - panel.column, count);
            float* to = sums + static_cast<std::ptrdiff_t>(first) * columns_ + panel.column;
            GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
              if (first + i < m) continue;
              GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
                float* at = to + static_cast<std::ptrdiff_t>(i) * columns_ + j * Size::kLanes;
                store<Size::kLanes>(at, load<Size::kLanes>(at) + c[i][j]);
              }
            }
          }
        });
      });
    }
  }

  // taps[3 r + s] = (A^T m A)(r,s), m the chunks' sum for channel c and the filters of packed columns from `column` on.
  template <class Size>
  GEMEL_INLINE void transform_sums(int c, int column, Vec<Size::kLanes> (&taps)[9]) const {
    using V = Vec<Size::kLanes>;
    V rows[3][4];
    GEMEL_UNROLL for (int j = 0; j < 4; ++j) {
      V m[4];
      GEMEL_UNROLL for (int i = 0; i < 4; ++i) {
        const float* at = partial_ + (static_cast<std::ptrdiff_t>(4 * i + j) * s_.c + c) * columns_ + column;
        m[i] = V{};
        for (int chunk = 0; chunk < chunks_; ++chunk) m[i] += load<Size::kLanes>(at + chunk * partial_floats_);
      }
      rows[0][j] = m[0] + m[1] + m[2];
      rows[1][j] = m[1] - m[2];
      rows[2][j] = m[1] + m[2] - m[3];
    }
    GEMEL_UNROLL for (int r = 0; r < 3; ++r) {
      taps[3 * r] = rows[r][0] + rows[r][1] + rows[r][2];
      taps[3 * r + 1] = rows[r][1] - rows[r][2];
      taps[3 * r + 2] = rows[r][1] + rows[r][2] - rows[r][3];
    }
  }

  Conv2dShape s_;
  int tiles_h_, tiles_w_, columns_, band_, strip_, chunks_;
  float *partial_, *buffer_;
  std::size_t partial_floats_, x_floats_, z_floats_, v_floats_, u_floats_, slot_floats_;
};

}  // namespace

std::size_t winograd_wgrad_scratch(const ConvBlock& block) {
  Carver carver(nullptr);
  const WinogradWgrad pass(block.conv, carver);
  return carver.used();
}

void winograd_wgrad(const Queue& queue, const ConvBlock& block, const float* x, const float* y,
                    const std::uint8_t* argmax, const float* dy, float* dw, float* db) {
  const Conv2dShape& s = block.conv;
  const BlockGradient dz(block, y, argmax, dy);
  Carver carver(queue.scratch.data);
  const WinogradWgrad pass(s, carver);
  require_scratch(queue, carver.used(), "conv2d_wgrad");
  parallel(pass.chunks(),
           [&](std::int64_t chunk, int slot) { pass.run_chunk(x, dz, db != nullptr, static_cast<int>(chunk), slot); });
  constexpr int kBlock = WinogradWgrad::kReduceChannels;
  parallel(divide_up(s.c, kBlock), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * kBlock;
    pass.reduce(begin, min(begin + kBlock, s.c), dw);
  });
  if (db != nullptr) pass.reduce_bias(db);
}

}  // namespace gemel::GEMEL_DEVICE
