// SPDX-License-Identifier: MIT
//
// The squared distance of two rows, by the 32 lanes of one warp: what paired distances and the contrastive loss share.
#pragma once

#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// ||a - b||^2 of two rows of d floats, in every lane. Lane l sums the squared differences of columns l, l + 32, ...;
// the order of summation depends on d alone. Exactly 0 for equal finite rows; NaN where a row has one.
__device__ __forceinline__ float warp_squared_distance(int d, const float* a, const float* b) {
  float sum = 0;
  for (int i = threadIdx.x % 32; i < d; i += 32) {
    const float difference = a[i] - b[i];
    sum += difference * difference;
  }
  return warp_sum(sum);
}

}  // namespace gemel::GEMEL_DEVICE
