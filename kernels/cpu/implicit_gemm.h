// SPDX-License-Identifier: MIT
//
// Convolution as a matrix product that never builds its matrix (implicit GEMM). In NHWC the S*C inputs that one output
// pixel reads in one input row are contiguous, for any stride, so a row of A is a pointer and a product over k is R
// runs of S*C floats. Forward: A is the image, B the filters. Input gradient: A is dy, B the rotated, transposed
// filters.
//
// Borders: images with padding are copied, a band of rows at a time, into a buffer with a border of zeros; images
// without are read in place.
#pragma once

#include "kernels/cpu/tile.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// What each output pixel reads: `rows` runs of `run` floats, `pitch` floats apart. Runs shorter than kShortRun (first
// layers) are walked through `offsets`, of all rows * run floats: a loop of 3 or 5 steps costs more than it does.
struct Taps {
  int rows, run;
  std::ptrdiff_t pitch;
  const std::int32_t* offsets = nullptr;
};
constexpr int kShortRun = 16;

// Output pixels of a band: the float offsets of what each reads, and of where each group of Epilogue::kGroup writes.
struct Pixels {
  const std::int32_t *in, *out;
  int count;
};

// Rows of a tile, whole groups.
constexpr int grouped_rows(int vectors, int group) { return max(tile_rows(vectors) / group, 1) * group; }

// y[pixel][n columns] = epilogue(sum over the taps of x * packed). The epilogue is called as
// epilogue(Size{}, panel, out offset, c), c the sums of kGroup neighbouring pixels: it finishes and stores them, and is
// where a bias, an activation or a pooling goes. `pixels.count` is a multiple of kGroup.
template <class Epilogue>
GEMEL_INLINE void multiply_pixels(const float* x, const Pixels& pixels, const Taps& taps, const float* packed, int n,
                                  const PanelRange& panels, const Epilogue& epilogue) {
  const int depth = taps.rows * taps.run;
  for (int index = panels.begin; index < panels.end; ++index) {
    const Panel panel = panel_at(n, index);
    with_size(panel, [&](auto size) {
      using Size = decltype(size);
      constexpr int kGroup = Epilogue::kGroup, kRows = grouped_rows(Size::kVectors, kGroup);
      const float* b = packed + static_cast<std::ptrdiff_t>(panel.column) * depth;
      for (int first = 0; first < pixels.count; first += kRows) {
        // A tile that ends past the last pixel computes that pixel again and does not store it.
        const float* a[kRows];
        GEMEL_UNROLL for (int i = 0; i < kRows; ++i) a[i] = x + pixels.in[min(first + i, pixels.count - 1)];
        Vec<Size::kLanes> c[kRows][Size::kVectors] = {};
        if (taps.offsets != nullptr) {
          multiply_gathered<Size>(c, a, taps.offsets, depth, b);
        } else {
          for (int r = 0; r < taps.rows; ++r) {
            multiply_rows<Size>(c, a, r * taps.pitch, taps.run,
                                b + static_cast<std::ptrdiff_t>(r) * taps.run * Size::kWidth);
          }
        }
        GEMEL_UNROLL for (int i = 0; i < kRows; i += kGroup) {
          if (first + i < pixels.count) epilogue(size, panel, pixels.out[(first + i) / kGroup], c + i);
        }
      }
    });
  }
}

// The same for a few filters w (n,depth) as they are: lanes run along the taps, not over the filters, of which most would
// be none. A run's last vector moves back to end with it; what it reads a second time counts as 0.
constexpr bool is_narrow(int n, int run) { return 4 * n <= kLanes && run >= 4 * kLanes; }

template <class Epilogue>
GEMEL_INLINE void multiply_pixels_narrow(const float* x, const Pixels& pixels, const Taps& taps, const float* w, int n,
                                         const Epilogue& epilogue) {
  constexpr int kGroup = Epilogue::kGroup, kRows = 8;
  static_assert(kRows % kGroup == 0);
  const Panel panel = panel_at(n, 0);
  const int whole = taps.run / kLanes * kLanes, last = taps.run - kLanes;
  IntVec<kLanes> fresh{};
  for (int e = 0; e < kLanes; ++e) fresh[e] = last + e >= whole ? -1 : 0;
  for (int first = 0; first < pixels.count; first += kRows) {
    const float* a[kRows];
    GEMEL_UNROLL for (int i = 0; i < kRows; ++i) a[i] = x + pixels.in[min(first + i, pixels.count - 1)];
    float sums[kRows][kLanes] = {};
    for (int f = 0; f < n; ++f) {
      Vec<kLanes> c[kRows] = {};
      for (int r = 0; r < taps.rows; ++r) {
        const float* const b = w + (static_cast<std::ptrdiff_t>(f) * taps.rows + r) * taps.run;
        const std::ptrdiff_t row = r * taps.pitch;
        for (int k = 0; k < whole; k += kLanes) {
          const Vec<kLanes> v = load(b + k);
          GEMEL_UNROLL for (int i = 0; i < kRows; ++i) c[i] += load(a[i] + row + k) * v;
        }
        if (whole == taps.run) continue;
        const Vec<kLanes> v = load(b + last);
        GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
          const Vec<kLanes> t = load(a[i] + row + last);
          c[i] += (fresh ? t : Vec<kLanes>{}) * v;
        }
      }
      GEMEL_UNROLL for (int i = 0; i < kRows; ++i) sums[i][f] = sum_lanes(c[i]);
    }
    GEMEL_UNROLL for (int i = 0; i < kRows; i += kGroup) {
      if (first + i >= pixels.count) break;
      Vec<kLanes> group[kGroup][1];
      GEMEL_UNROLL for (int j = 0; j < kGroup; ++j) group[j][0] = load(sums[i + j]);
      epilogue(TileSize<kLanes, 1>{}, panel, pixels.out[(first + i) / kGroup], group);
    }
  }
}

// Adds the bias and applies the ReLU, if there are any, and stores.
struct StoreEpilogue {
  static constexpr int kGroup = 1;
  float* y;
  const float* bias;
  float lowest;  // 0 under a ReLU, else -infinity: x <= lowest becomes lowest, NaN stays

  template <class Size>
  GEMEL_INLINE void operator()(Size, const Panel& panel, std::int32_t out, TileRow<Size>* c) const {
    TileRow<Size>& sums = c[0];
    add_bias<Size>(panel, bias, sums);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) sums[j] = at_least(sums[j], lowest);
    store_columns<Size>(y + out, sums, panel);
  }

  template <class Size>
  GEMEL_INLINE static void add_bias(const Panel& panel, const float* bias, TileRow<Size>& c) {
    if (bias == nullptr) return;
    TileRow<Size> b;
    load_columns<Size>(bias, b, panel);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[j] += b[j];
  }
  template <class V>
  GEMEL_INLINE static V at_least(V v, float lowest) {
    const V low = lowest - V{};
    return v <= low ? low : v;
  }
};

// The same for the four pixels of a 2x2 window, of which it stores the first maximum and its tap. NaN is a maximum.
struct PoolEpilogue {
  static constexpr int kGroup = 4;
  float* y;
  std::uint8_t* argmax;
  const float* bias;
  float lowest;

  template <class Size>
  GEMEL_INLINE void operator()(Size, const Panel& panel, std::int32_t out, TileRow<Size>* c) const {
    IntVec<Size::kLanes> taps[Size::kVectors];
    GEMEL_UNROLL for (int i = 0; i < 4; ++i) StoreEpilogue::add_bias<Size>(panel, bias, c[i]);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      Vec<Size::kLanes> sums[4];
      GEMEL_UNROLL for (int i = 0; i < 4; ++i) sums[i] = c[i][j];
      c[0][j] = first_maximum<Size::kLanes>(sums, lowest, taps[j]);
    }
    store_columns<Size>(y + out, c[0], panel);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      store_bytes<Size::kLanes>(argmax + out + panel.column_of(j), taps[j], panel.valid);
    }
  }

  template <int Lanes>
  GEMEL_INLINE static Vec<Lanes> first_maximum(const Vec<Lanes> (&sums)[4], float lowest, IntVec<Lanes>& tap) {
    Vec<Lanes> best = sums[0];
    tap = IntVec<Lanes>{};
    GEMEL_UNROLL for (int i = 1; i < 4; ++i) {
      const IntVec<Lanes> better = ~(sums[i] <= best) & (best == best);  // greater, or the first NaN
      best = better ? sums[i] : best;
      tap = better ? IntVec<Lanes>{} + i : tap;
    }
    return StoreEpilogue::at_least(best, lowest);
  }
};

// Rows [row, row + rows) x columns [column, column + columns) of an image of height x width pixels of `channels`
// floats; what lies outside the image is 0.
inline void copy_window(const float* image, int height, int width, int channels, int row, int rows, int column,
                        int columns, float* out) {
  const int left = min(max(-column, 0), columns);  // zero pixels before the image
  const int inside = max(min(column + columns, width) - max(column, 0), 0);
  const std::size_t row_floats = static_cast<std::size_t>(columns) * channels;
  const std::size_t begin = static_cast<std::size_t>(left) * channels;
  const std::size_t end = begin + static_cast<std::size_t>(inside) * channels;
  for (int i = 0; i < rows; ++i, out += row_floats) {
    const int y = row + i;
    if (y < 0 || y >= height || inside == 0) {
      __builtin_memset(out, 0, row_floats * sizeof(float));
      continue;
    }
    const float* from = image + (static_cast<std::ptrdiff_t>(y) * width + max(column, 0)) * channels;
    __builtin_memset(out, 0, begin * sizeof(float));
    __builtin_memcpy(out + begin, from, (end - begin) * sizeof(float));
    __builtin_memset(out + end, 0, (row_floats - end) * sizeof(float));
  }
}

// Rows of a band: about kBandBytes of input (a part of L2), but at least kMinItems bands in the whole batch, so that
// one image keeps several threads busy. Bands change who computes a pixel, never how.
constexpr int kBandBytes = 128 * 1024, kMinItems = 16;

constexpr int band_rows(int batch, int rows, std::int64_t bytes_per_row) {
  const std::int64_t fitting = kBandBytes / (bytes_per_row > 0 ? bytes_per_row : 1);
  int band = fitting < 1 ? 1 : fitting < rows ? static_cast<int>(fitting) : rows;
  band = min(band, divide_up(rows, divide_up(kMinItems, max(batch, 1))));
  return divide_up(rows, divide_up(rows, band));
}

// Where the filters are larger than an image, it is they that are split until a few threads are busy: then each thread
// reads its own and no other's. Groups of panels of n filters, for `items` items.
constexpr int kMostFilterGroups = 8;  // each prepares the input anew

constexpr int filter_groups(int items, int n) {
  return min(min(divide_up(kMinItems, max(items, 1)), kMostFilterGroups), panel_count(n));
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
