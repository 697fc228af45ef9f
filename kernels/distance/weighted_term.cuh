// SPDX-License-Identifier: MIT
//
// One dimension's part of a weighted distance, and its slopes: what the distances and their loss share.
#pragma once

#include <cmath>

#include "kernels/kernels.h"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// |a - b|, or (a - b)^2 / (|a| + |b|) with 0 where both are 0; squares are not formed, so that none overflows.
template <Weighted kKind>
__device__ __forceinline__ float weighted_term(float a, float b) {
  const float difference = a - b;
  if constexpr (kKind == Weighted::l1) return fabsf(difference);
  const float sum = fabsf(a) + fabsf(b);
  return sum == 0 ? 0.0f : difference * (difference / sum);
}

struct TermSlopes {
  float a, b;  // dt/da, dt/db
};

// -1, 0 or 1: the slope of |x|, at 0 a sub-gradient. NaN stays NaN.
__device__ __forceinline__ float slope_of_magnitude(float x) { return x > 0 ? 1.0f : x < 0 ? -1.0f : x; }

// chi2, with q = (a - b) / (|a| + |b|): dt/da = 2q - q^2 sign(a), dt/db = -2q - q^2 sign(b); 0 where a = b.
template <Weighted kKind>
__device__ __forceinline__ TermSlopes weighted_slopes(float a, float b) {
  const float difference = a - b;
  if constexpr (kKind == Weighted::l1) {
    const float slope = slope_of_magnitude(difference);
    return {slope, -slope};
  }
  const float sum = fabsf(a) + fabsf(b);
  const float q = sum == 0 ? 0.0f : difference / sum;
  return {2 * q - q * q * slope_of_magnitude(a), -2 * q - q * q * slope_of_magnitude(b)};
}

// sum_i w_i t(a_i, b_i) over rows of d floats, in every lane of the warp. The order of summation depends on d alone.
template <Weighted kKind>
__device__ __forceinline__ float warp_weighted_distance(int d, const float* w, const float* a, const float* b) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < d; i += 32) sum += w[i] * weighted_term<kKind>(a[i], b[i]);
  return warp_sum(sum);
}

}  // namespace gemel::GEMEL_DEVICE
