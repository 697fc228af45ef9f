// SPDX-License-Identifier: MIT
//
// The squared distance of two rows by one thread: the first rung of all pairs, and what replaces a product form's result
// that cancellation may have spoiled.
#pragma once

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// |a|^2 + |b|^2 - 2ab in 3xTF32 is kept where it is at least this share of |a|^2 + |b|^2 (docs/numerics.md).
inline constexpr float kDirectBelow = 1.0f / 32;

// ||a - b||^2 of two rows of d floats: one sum, k ascending.
__device__ __forceinline__ float squared_difference(int d, const float* __restrict__ a, const float* __restrict__ b) {
  float sum = 0;
  for (int k = 0; k < d; ++k) {
    const float difference = a[k] - b[k];
    sum += difference * difference;
  }
  return sum;
}

}  // namespace gemel::GEMEL_DEVICE
