// SPDX-License-Identifier: MIT
//
// dz (N,P,Q,K), the gradient of a block's convolution sums, read off the gradient of the block's output: it is never
// stored as a whole. With a 2x2 max-pool at most one in four of its numbers is not 0.
#pragma once

#include "kernels/cpu/conv2d.h"
#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// As ConvBlock::out_h() and out_w(), which must not be called here (see isa.h).
constexpr int block_rows(const ConvBlock& b) { return b.pool ? output_rows(b.conv) / 2 : output_rows(b.conv); }
constexpr int block_columns(const ConvBlock& b) { return b.pool ? output_columns(b.conv) / 2 : output_columns(b.conv); }

// dy where no ReLU held it back: y <= 0 stops it, NaN lets it pass (as activation_backward).
GEMEL_INLINE Vec<kLanes> masked(Vec<kLanes> y, Vec<kLanes> dy) { return y <= Vec<kLanes>{} ? Vec<kLanes>{} : dy; }
GEMEL_INLINE float masked(float y, float dy) { return y <= 0 ? 0.0f : dy; }

struct BlockGradient {
  const float *dy, *y;         // (N,out_h,out_w,K); y is read under a ReLU only
  const std::uint8_t* argmax;  // with pool
  bool relu, pool;
  int p, q, k;       // of dz
  int out_h, out_w;  // of dy

  BlockGradient(const ConvBlock& b, const float* y, const std::uint8_t* argmax, const float* dy)
      : dy(dy),
        y(y),
        argmax(argmax),
        relu(b.relu),
        pool(b.pool),
        p(output_rows(b.conv)),
        q(output_columns(b.conv)),
        k(b.conv.k),
        out_h(block_rows(b)),
        out_w(block_columns(b)) {}

  // dy is dz.
  bool plain() const { return !relu && !pool; }

  // What reaches the convolution of the number at `at` of dy.
  float value(std::ptrdiff_t at) const { return relu ? masked(y[at], dy[at]) : dy[at]; }

  // First number of an image of dy, y and argmax.
  std::ptrdiff_t image_at(int image) const { return static_cast<std::ptrdiff_t>(image) * out_h * out_w * k; }

  // Rows [row, row + rows) x columns [column, column + columns) of an image of dz, 0 outside it.
  void copy_window(int image, int row, int rows, int column, int columns, float* out) const {
    const std::ptrdiff_t at = image_at(image);
    if (pool) return unpool_window(at, row, rows, column, columns, out);
    gemel::GEMEL_DEVICE::copy_window(dy + at, p, q, k, row, rows, column, columns, out);
    if (!relu) return;
    const int left = max(column, 0), right = min(column + columns, q);
    for (int i = max(row, 0); i < min(row + rows, p) && left < right; ++i) {
      float* to = out + (static_cast<std::ptrdiff_t>(i - row) * columns + left - column) * k;
      const float* mask = y + at + (static_cast<std::ptrdiff_t>(i) * q + left) * k;
      const std::ptrdiff_t count = static_cast<std::ptrdiff_t>(right - left) * k;
      for_each_vector(static_cast<std::size_t>(count), [&](std::size_t e, int lanes) {
        store_lanes(to + e, masked(load_lanes(mask + e, lanes), load_lanes(to + e, lanes)), lanes);
      });
    }
  }

 private:
  void unpool_window(std::ptrdiff_t at, int row, int rows, int column, int columns, float* out) const {
    __builtin_memset(out, 0, sizeof(float) * static_cast<std::size_t>(rows) * columns * k);
    for (int i = max(row, 0) / 2; i < out_h && 2 * i < row + rows; ++i) {
      for (int j = max(column, 0) / 2; j < out_w && 2 * j < column + columns; ++j) {
        const std::ptrdiff_t from = at + (static_cast<std::ptrdiff_t>(i) * out_w + j) * k;
        for (int e = 0; e < k; ++e) {
          const int tap = argmax[from + e], h = 2 * i + tap / 2 - row, w = 2 * j + tap % 2 - column;
          if (h < 0 || h >= rows || w < 0 || w >= columns) continue;
          out[(static_cast<std::ptrdiff_t>(h) * columns + w) * k + e] = value(from + e);
        }
      }
    }
  }
};

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
