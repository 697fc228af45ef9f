// SPDX-License-Identifier: MIT
//
// Sums and maxima over a warp and over a block, in a fixed order: the same operands give the same bits.
#pragma once

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

inline constexpr unsigned kAllLanes = 0xffffffffu;

struct Sum {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a + b;
  }
};

struct Max {
  template <class T>
  __device__ __forceinline__ T operator()(T a, T b) const {
    return a < b ? b : a;
  }
};

// Combines `value` of the warp's 32 lanes, a butterfly; every lane gets the result.  All 32 lanes take part.
template <class Op, class T>
__device__ __forceinline__ T warp_reduce(T value, Op op) {
  SIMT_UNROLL
  for (int step = 16; step > 0; step /= 2) value = op(value, __shfl_xor_sync(kAllLanes, value, step));
  return value;
}

// Combines `value` of the block's THREADS threads: a butterfly in each warp, then the warps in ascending order; every
// thread gets the result.  All threads take part.  A 1-D block; 1 barrier before and 1 after a word per warp is
// written to shared memory, none when the block is one warp.
template <int THREADS, class Op, class T>
__device__ __forceinline__ T block_reduce(T value, Op op) {
  static_assert(THREADS % 32 == 0 && THREADS >= 32 && THREADS <= 1024, "a block of whole warps");
  value = warp_reduce(value, op);
  if constexpr (THREADS > 32) {
    constexpr int kWarps = THREADS / 32;
    SIMT_SHARED(T, partial, [kWarps]);
    __syncthreads();  // a previous reduction has been read
    if (threadIdx.x % 32 == 0) partial[threadIdx.x / 32] = value;
    __syncthreads();
    value = partial[0];
    SIMT_UNROLL
    for (int warp = 1; warp < kWarps; ++warp) value = op(value, partial[warp]);
  }
  return value;
}

template <class T>
__device__ __forceinline__ T warp_sum(T value) {
  return warp_reduce(value, Sum{});
}

template <class T>
__device__ __forceinline__ T warp_max(T value) {
  return warp_reduce(value, Max{});
}

template <int THREADS, class T>
__device__ __forceinline__ T block_sum(T value) {
  return block_reduce<THREADS>(value, Sum{});
}

template <int THREADS, class T>
__device__ __forceinline__ T block_max(T value) {
  return block_reduce<THREADS>(value, Max{});
}

}  // namespace gemel::GEMEL_DEVICE
