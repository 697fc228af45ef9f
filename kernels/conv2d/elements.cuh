// SPDX-License-Identifier: MIT
//
// A thread an element of a tensor: what the first rungs of conv2d and local2d share.
#pragma once

#include <cstdint>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::elements {

inline constexpr int kBlock = 256;

inline LaunchConfig flat_grid(Queue queue, std::int64_t elements) {
  return {.grid = dim3(static_cast<unsigned>((elements + kBlock - 1) / kBlock)), .block = dim3(kBlock), .queue = queue};
}

__device__ __forceinline__ std::int64_t element() {
  return static_cast<std::int64_t>(blockIdx.x) * kBlock + threadIdx.x;
}

// An element of a tensor of four extents, the last one contiguous.
struct Position {
  int i0, i1, i2, i3;
};
__device__ __forceinline__ Position position(std::int64_t element, int extent1, int extent2, int extent3) {
  const int i3 = static_cast<int>(element % extent3);
  element /= extent3;
  const int i2 = static_cast<int>(element % extent2);
  element /= extent2;
  return {static_cast<int>(element / extent1), static_cast<int>(element % extent1), i2, i3};
}
__device__ __forceinline__ std::int64_t offset(int i0, int i1, int i2, int extent1, int extent2, int extent3) {
  return ((static_cast<std::int64_t>(i0) * extent1 + i1) * extent2 + i2) * extent3;
}

}  // namespace gemel::GEMEL_DEVICE::elements
