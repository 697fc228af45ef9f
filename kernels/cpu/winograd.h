// SPDX-License-Identifier: MIT
//
// Winograd's minimal filtering F(2x2,3x3) for 3x3 convolutions of stride 1 (Winograd 1980; Lavin & Gray 2016,
// "Fast Algorithms for Convolutional Neural Networks", section 4.1): a tile of 2x2 outputs from a window of 4x4 inputs
// with 16 products a channel and filter instead of 36.
//
//   y = A^T [ (G g G^T) . (B^T d B) ] A      B^T = 1 0 -1 0    G = 1   0  0     A^T = 1 1  1  0
//                                                  0 1  1 0        .5  .5 .5          0 1 -1 -1
//                                                  0 -1 1 0        .5 -.5 .5
//                                                  0 1  0 -1       0   0  1
//
// The products of each of the 16 positions, summed over the channels, are a matrix product (tiles x C) (C x K) on the
// register tile that everything shares. A 2x2 output tile is also a 2x2 pooling window: bias, ReLU, maximum and argmax
// happen in the output transform, and the un-pooled image is never stored.
//
// Beside the implicit GEMM, 3x3, 64 -> 64 at 14x14, batch 64: 6.5 ms instead of 10.6 forward, 6.3 instead of 10.7 for the
// input gradient, 126 and 129 % of the multiply-add peak counted in the products of plain sums (Zen 3 EPYC, one core,
// AVX2, g++ 12, CPU time).
//
// Serves forward passes (filters as they are) and input gradients (filters rotated, their channels and filters
// exchanged). Work: an item is a band of rows of tiles of one image, cut into strips of tiles that stay in L2. Where an
// image has few tiles and the layer many filters, reading the filters is the work: there an item is some filters of
// several whole images, so that they are read for more tiles at once, and by one thread only when there is one image.
//
// Numerics  the transforms add and subtract before they multiply, but a result is 16 chains of C products instead of one
//           of 9 C: on normal and on positive numbers the root mean square error is no larger than the plain sum's
//           (tests/kernels/cpu/winograd_test.cpp holds it to that, for C from 16 to 512). An infinite or NaN input spreads over its
//           tile. A tile's bits depend on nothing but the tile.
#pragma once

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/switches.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kWinogradPositions = 16;
constexpr int kStripBytes = 192 * 1024;  // transformed inputs and products of a strip, together
constexpr int kStripTiles = 12;          // whole register tiles, on every instruction set

// Whether a convolution's passes take this way; the same for all three, in which channels and filters change places.
inline bool takes_winograd(const Conv2dShape& s) {
  return uses_winograd() && s.r == 3 && s.s == 3 && s.stride_h == 1 && s.stride_w == 1 && s.c >= 16 && s.k >= 16 &&
         s.p() * s.q() > 1;  // one output is 9 products, a tile 16
}

// Stores the 2x2 outputs of tile (i, j), Lanes channels from c on, as far as they lie in `image` (rows, columns, channels).
template <int Lanes>
GEMEL_INLINE void store_tile(float* image, int rows, int columns, int channels, int i, int j, int c,
                             const Vec<Lanes> (&o)[4]) {
  GEMEL_UNROLL for (int e = 0; e < 4; ++e) {
    const int row = 2 * i + e / 2, column = 2 * j + e % 2;
    if (row >= rows || column >= columns) continue;
    store<Lanes>(image + (static_cast<std::ptrdiff_t>(row) * columns + column) * channels + c, o[e]);
  }
}

// Transforms one 3x3 filter a lane: t[4 i + j] = (G g G^T)(i,j), taps `from(r, s)`.
template <class Taps>
GEMEL_INLINE void transform_filter(const Taps& from, Vec<kLanes> (&t)[kWinogradPositions]) {
  Vec<kLanes> rows[4][3];
  GEMEL_UNROLL for (int s = 0; s < 3; ++s) {
    const Vec<kLanes> a = from(0, s), b = from(1, s), c = from(2, s);
    rows[0][s] = a;
    rows[1][s] = 0.5f * (a + b + c);
    rows[2][s] = 0.5f * (a - b + c);
    rows[3][s] = c;
  }
  GEMEL_UNROLL for (int i = 0; i < 4; ++i) {
    const Vec<kLanes> a = rows[i][0], b = rows[i][1], c = rows[i][2];
    t[4 * i] = a;
    t[4 * i + 1] = 0.5f * (a + b + c);
    t[4 * i + 2] = 0.5f * (a - b + c);
    t[4 * i + 3] = c;
  }
}

// Vectors over `count` >= kLanes floats: f(first); the last one moves back and computes some floats a second time.
template <class F>
GEMEL_INLINE void for_each_whole_vector(int count, const F& f) {
  int c = 0;
  for (; c + kLanes <= count; c += kLanes) f(c);
  if (c < count) f(count - kLanes);
}

// The 4x4 inputs of the tiles of a window, and where their transforms go.
struct TileInputs {
  const float* in;  // the window: rows of 2 tiles_w + 2 pixels
  int channels, tiles_w;
  std::ptrdiff_t position_floats;  // from one position's transforms to the next's
};

// v (16, count, channels) = B^T d B of tiles [tile, tile + count) of the window.
inline void transform_inputs(const TileInputs& x, int tile, int count, float* v) {
  const std::ptrdiff_t pixel = x.channels, row = std::ptrdiff_t{2 * x.tiles_w + 2} * pixel;
  for (int t = 0; t < count; ++t) {
    const float* from = x.in + (tile + t) / x.tiles_w * 2 * row + (tile + t) % x.tiles_w * 2 * pixel;
    float* to = v + std::ptrdiff_t{t} * x.channels;
    for_each_whole_vector(x.channels, [&](int c) {
      Vec<kLanes> d[4][4];
      GEMEL_UNROLL for (int i = 0; i < 4; ++i) {
        const float* p = from + i * row + c;
        const Vec<kLanes> a = load(p), b = load(p + pixel), e = load(p + 2 * pixel), f = load(p + 3 * pixel);
        d[i][0] = a - e;
        d[i][1] = b + e;
        d[i][2] = e - b;
        d[i][3] = b - f;
      }
      GEMEL_UNROLL for (int j = 0; j < 4; ++j) {
        float* out = to + c + x.position_floats * j;
        store(out, d[0][j] - d[2][j]);
        store(out + 4 * x.position_floats, d[1][j] + d[2][j]);
        store(out + 8 * x.position_floats, d[2][j] - d[1][j]);
        store(out + 12 * x.position_floats, d[1][j] - d[3][j]);
      }
    });
  }
}

class Winograd {
 public:
  // What a pass over (H,W,channels) with `filters` filters reads and writes; rows and columns of tiles cover the first
  // out_h x out_w outputs.
  struct Shape {
    int n, h, w, channels, filters, pad_h, pad_w, out_h, out_w;
  };

  Winograd(const Shape& shape, Carver& carver)
      : s_(shape), tiles_h_(divide_up(s_.out_h, 2)), tiles_w_(divide_up(s_.out_w, 2)) {
    columns_ = packed_columns(s_.filters);
    window_columns_ = 2 * tiles_w_ + 2;
    const int tiles = tiles_h_ * tiles_w_, tile_bytes = 4 * kWinogradPositions * (s_.channels + columns_);
    strip_ = round_up(max(kStripBytes / tile_bytes, 1), kStripTiles);
    if (tiles <= strip_ && s_.filters >= 4 * tiles) {
      band_ = tiles_h_;
      images_ = max(1, min(kStripTiles / tiles, s_.n / kMostFilterGroups));
      groups_ = filter_groups(divide_up(s_.n, images_), s_.filters);
    } else {
      band_ = band_rows(s_.n, tiles_h_, std::int64_t{8} * window_columns_ * s_.channels);
    }
    bands_ = divide_up(tiles_h_, band_);
    strip_ = max(1, min(images_ * band_ * tiles_w_, strip_));
    planes_ = carver.take<float>(static_cast<std::size_t>(kWinogradPositions) * s_.filters * s_.channels);
    packed_ = carver.take<float>(packed_floats());
    window_floats_ = (static_cast<std::size_t>(2 * band_ + 2) * window_columns_ * s_.channels + 63) / 64 * 64;
    v_floats_ = static_cast<std::size_t>(strip_) * s_.channels + 16;  // of one position; 16: not the same cache set
    m_floats_ = static_cast<std::size_t>(strip_) * columns_ + 16;
    slot_floats_ = window_floats_ + kWinogradPositions * (v_floats_ + m_floats_);
    buffer_ = carver.take<float>(static_cast<std::size_t>(slots_for(items())) * slot_floats_);
  }

  std::int64_t items() const { return std::int64_t{divide_up(s_.n, images_)} * bands_ * groups_; }

  // Packed filters, of `packed_floats()`: in scratch, unless they are elsewhere.
  std::size_t packed_floats() const { return static_cast<std::size_t>(kWinogradPositions) * s_.channels * columns_; }
  void use_packed(float* packed) { packed_ = packed; }

  // Filters w (K,3,3,C) of a forward pass: channels C, filters K.
  void pack_forward(const float* w) const {
    transform(s_.filters, s_.channels, w, false);
    for_each_panel([&](auto size, const Panel& panel, int position, float* out) {
      pack_transposed<decltype(size)>(panel, s_.channels, plane(position), s_.channels, out);
    });
  }
  // Filters w (K,3,3,C) of an input gradient: channels K, filters C.
  void pack_backward(const float* w) const {
    transform(s_.channels, s_.filters, w, true);
    for_each_panel([&](auto size, const Panel& panel, int position, float* out) {
      pack_rows<decltype(size)>(panel, s_.channels, plane(position), s_.filters, out);
    });
  }

  // One item. window(image, row, rows, column, columns, out): the input there, zeros outside the image.
  // output(Size, image, tile row, tile column, first filter, panel, o): the 2x2 outputs o[2 a + b] of Size::kLanes filters.
  template <class Window, class Output>
  void run(std::int64_t item, int slot, const Window& window, const Output& output) const {
    const int group = static_cast<int>(item % groups_), band = static_cast<int>(item / groups_ % bands_);
    const int image = static_cast<int>(item / groups_ / bands_) * images_, images = min(images_, s_.n - image);
    const PanelRange panels = panel_part(s_.filters, group, groups_);
    const int first = band * band_, rows = min(band_, tiles_h_ - first), tiles = rows * tiles_w_;
    float* const in = buffer_ + static_cast<std::size_t>(slot) * slot_floats_;
    float* const v = in + window_floats_;
    float* const m = v + kWinogradPositions * v_floats_;
    for (int tile = 0; tile < tiles; tile += strip_) {  // one strip, if there are several images
      const int count = min(strip_, tiles - tile);
      for (int i = 0; i < images; ++i) {
        if (tile == 0) window(image + i, 2 * first - s_.pad_h, 2 * rows + 2, -s_.pad_w, window_columns_, in);
        transform_inputs({in, s_.channels, tiles_w_, static_cast<std::ptrdiff_t>(v_floats_)}, tile, count,
                         v + std::ptrdiff_t{i} * count * s_.channels);
      }
      for (int position = 0; position < kWinogradPositions; ++position) {
        multiply(position, panels, images * count, v, m);
      }
      for (int i = 0; i < images; ++i) {
        transform_outputs(image + i, first, tile, count, panels, m + std::ptrdiff_t{i} * count * columns_, output);
      }
    }
  }

 private:
  float* plane(int position) const {
    return planes_ + static_cast<std::ptrdiff_t>(position) * s_.filters * s_.channels;
  }

  // planes (16, k, c) of the filters w (k,3,3,c), `rotated` by half a turn.
  void transform(int k, int c, const float* w, bool rotated) const {
    parallel(k, [&](std::int64_t filter, int) {
      const float* taps = w + filter * 9 * c;
      for_each_whole_vector(c, [&](int first) {
        Vec<kLanes> t[kWinogradPositions];
        transform_filter([&](int r, int s) { return load(taps + (rotated ? 8 - 3 * r - s : 3 * r + s) * c + first); },
                         t);
        GEMEL_UNROLL for (int i = 0; i < kWinogradPositions; ++i) store(plane(i) + filter * c + first, t[i]);
      });
    });
  }

  // pack(Size, panel, position, packed panel)
  template <class F>
  void for_each_panel(const F& pack) const {
    parallel(std::int64_t{kWinogradPositions} * panel_count(s_.filters), [&](std::int64_t item, int) {
      const int position = static_cast<int>(item % kWinogradPositions);
      const Panel panel = panel_at(s_.filters, static_cast<int>(item / kWinogradPositions));
      with_size(panel, [&](auto size) { pack(size, panel, position, packed_panel(position, panel)); });
    });
  }
  float* packed_panel(int position, const Panel& panel) const {
    return packed_ + (std::ptrdiff_t{position} * columns_ + panel.column) * s_.channels;
  }

  // m (count, columns) = v (count, channels) * packed (channels, columns), of one position and some panels of columns.
  void multiply(int position, const PanelRange& panels, int count, const float* v, float* m) const {
    v += static_cast<std::ptrdiff_t>(position) * static_cast<std::ptrdiff_t>(v_floats_);
    m += static_cast<std::ptrdiff_t>(position) * static_cast<std::ptrdiff_t>(m_floats_);
    for (int index = panels.begin; index < panels.end; ++index) {
      const Panel panel = panel_at(s_.filters, index);
      with_size(panel, [&](auto size) {
        using Size = decltype(size);
        constexpr int kRows = tile_rows(Size::kVectors);
        const float* b = packed_panel(position, panel);
        for (int t = 0; t < count; t += kRows) {
          const float* a[kRows];
          GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
            a[i] = v + static_cast<std::ptrdiff_t>(min(t + i, count - 1)) * s_.channels;
          }
          Vec<Size::kLanes> c[kRows][Size::kVectors] = {};
          multiply_rows<Size>(c, a, 0, s_.channels, b);
          GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
            float* out = m + static_cast<std::ptrdiff_t>(t + i) * columns_ + panel.column;
            if (t + i >= count) break;
            GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) store<Size::kLanes>(out + j * Size::kLanes, c[i][j]);
          }
        }
      });
    }
  }

  // Hands A^T m A of each tile to `output`.
  template <class Output>
  void transform_outputs(int image, int first, int tile, int count, const PanelRange& panels, const float* m,
                         const Output& output) const {
    for (int t = 0; t < count; ++t) {
      const int i = first + (tile + t) / tiles_w_, j = (tile + t) % tiles_w_;
      const float* products = m + static_cast<std::ptrdiff_t>(t) * columns_;
      for (int index = panels.begin; index < panels.end; ++index) {
        const Panel panel = panel_at(s_.filters, index);
        with_size(panel, [&](auto size) {
          using Size = decltype(size);
          using V = Vec<Size::kLanes>;
          for (int u = 0; u < Size::kVectors; ++u) {
            const float* p = products + panel.column + u * Size::kLanes;
            V rows[2][4];
            GEMEL_UNROLL for (int q = 0; q < 4; ++q) {
              const auto at = [&](int row) {
                return load<Size::kLanes>(p + static_cast<std::ptrdiff_t>(m_floats_) * (4 * row + q));
              };
              const V a = at(0), b = at(1), e = at(2), f = at(3);
              rows[0][q] = a + b + e;
              rows[1][q] = b - e - f;
            }
            V o[4];
            GEMEL_UNROLL for (int a = 0; a < 2; ++a) {
              o[2 * a] = rows[a][0] + rows[a][1] + rows[a][2];
              o[2 * a + 1] = rows[a][1] - rows[a][2] - rows[a][3];
            }
            output(size, image, i, j, panel.column_of(u), o);
          }
        });
      }
    }
  }

  Shape s_;
  int tiles_h_, tiles_w_, columns_, window_columns_, band_, bands_, strip_;
  int images_ = 1, groups_ = 1;  // of an item; of filters, which share the images
  float *planes_, *packed_, *buffer_;
  std::size_t window_floats_, v_floats_, m_floats_, slot_floats_;
};

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
