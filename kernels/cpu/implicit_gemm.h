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

// What each output pixel reads: `rows` runs of `run` floats, `pitch` floats apart.
struct Taps {
  int rows, run;
  std::ptrdiff_t pitch;
};

// Output pixels of a band: the float offsets of what each reads and of where it writes.
struct Pixels {
  const std::int32_t *in, *out;
  int count;
};

// y[pixel][n columns] = epilogue(sum over the taps of x * packed). The epilogue is called as
// epilogue(Size{}, panel, y + out offset, c): it finishes a row of accumulators and stores it, and is where a bias, an
// activation or a pooling goes.
template <class Epilogue>
GEMEL_INLINE void multiply_pixels(const float* x, const Pixels& pixels, const Taps& taps, const float* packed, int n,
                                  float* y, const Epilogue& epilogue) {
  const int depth = taps.rows * taps.run;
  for (int index = 0; index < panel_count(n); ++index) {
    const Panel panel = panel_at(n, index);
    with_size(panel, [&](auto size) {
      using Size = decltype(size);
      constexpr int kRows = tile_rows(Size::kVectors);
      const float* b = packed + static_cast<std::ptrdiff_t>(panel.column) * depth;
      for (int first = 0; first < pixels.count; first += kRows) {
        // A tile that ends past the last pixel computes that pixel again and does not store it.
        const float* a[kRows];
        GEMEL_UNROLL for (int i = 0; i < kRows; ++i) a[i] = x + pixels.in[min(first + i, pixels.count - 1)];
        Vec<Size::kLanes> c[kRows][Size::kVectors] = {};
        for (int r = 0; r < taps.rows; ++r) {
          multiply_rows<Size>(c, a, r * taps.pitch, taps.run,
                              b + static_cast<std::ptrdiff_t>(r) * taps.run * Size::kWidth);
        }
        GEMEL_UNROLL for (int i = 0; i < kRows; ++i) {
          if (first + i < pixels.count) epilogue(size, panel, y + pixels.out[first + i], c[i]);
        }
      }
    });
  }
}

// Adds the bias, if there is one, and stores.
struct BiasEpilogue {
  const float* bias;

  template <class Size>
  GEMEL_INLINE void operator()(Size, const Panel& panel, float* y, TileRow<Size>& c) const {
    if (bias != nullptr) {
      TileRow<Size> b;
      load_columns<Size>(bias, b, panel);
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[j] += b[j];
    }
    store_columns<Size>(y, c, panel);
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

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
