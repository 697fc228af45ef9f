// SPDX-License-Identifier: MIT
//
// The plain loops of a convolution, for the references of conv2d and conv_block, and the text of its shape.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

#include "kernels/kernels.h"

namespace gemel::reference {

// "n=2 7x5x3 -> 4 @3x3 stride 2 pad 1"
inline std::string text(const Conv2dShape& s) {
  const auto n = [](int v) { return std::to_string(v); };
  const auto pair = [&](int a, int b) { return a == b ? n(a) : n(a) + "," + n(b); };
  std::string out =
      "n=" + n(s.n) + " " + n(s.h) + "x" + n(s.w) + "x" + n(s.c) + " -> " + n(s.k) + " @" + n(s.r) + "x" + n(s.s);
  if (s.stride_h != 1 || s.stride_w != 1) out += " stride " + pair(s.stride_h, s.stride_w);
  if (s.pad_h != 0 || s.pad_w != 0) out += " pad " + pair(s.pad_h, s.pad_w);
  return out;
}

// Indices into x, w and y.
inline std::size_t x_at(const Conv2dShape& s, int n, int h, int w, int c) {
  return ((static_cast<std::size_t>(n) * s.h + h) * s.w + w) * s.c + c;
}
inline std::size_t w_at(const Conv2dShape& s, int k, int r, int q, int c) {
  return ((static_cast<std::size_t>(k) * s.r + r) * s.s + q) * s.c + c;
}
inline std::size_t y_at(const Conv2dShape& s, int n, int p, int q, int k) {
  return ((static_cast<std::size_t>(n) * s.p() + p) * s.q() + q) * s.k + k;
}

// Calls f(index into x, index into w, index into y) for every product of the convolution.
template <class F>
void for_each_product(const Conv2dShape& shape, const F& f) {
  for (int n = 0; n < shape.n; ++n) {
    for (int p = 0; p < shape.p(); ++p) {
      for (int q = 0; q < shape.q(); ++q) {
        for (int r = 0; r < shape.r; ++r) {
          const int h = p * shape.stride_h - shape.pad_h + r;
          if (h < 0 || h >= shape.h) continue;
          for (int s = 0; s < shape.s; ++s) {
            const int w = q * shape.stride_w - shape.pad_w + s;
            if (w < 0 || w >= shape.w) continue;
            for (int k = 0; k < shape.k; ++k) {
              const std::size_t x = x_at(shape, n, h, w, 0), filter = w_at(shape, k, r, s, 0);
              const std::size_t y = y_at(shape, n, p, q, k);
              for (int c = 0; c < shape.c; ++c) f(x + c, filter + c, y);
            }
          }
        }
      }
    }
  }
}

// (N,P,Q,K).
inline std::vector<double> convolution(const Conv2dShape& shape, const std::vector<double>& x,
                                       const std::vector<double>& w) {
  std::vector<double> y(static_cast<std::size_t>(shape.n) * shape.p() * shape.q() * shape.k, 0.0);
  for_each_product(shape, [&](std::size_t i, std::size_t f, std::size_t o) { y[o] += x[i] * w[f]; });
  return y;
}

}  // namespace gemel::reference
