// SPDX-License-Identifier: MIT
//
// Distances of row pairs: distance_i = ||a_i - b_i||.
//
// Shapes     a, b (N,D), distance (N).
// Mapping    one warp = one pair of rows, 4 warps a block; lane l takes columns l, l + 32, ... No shared memory.
// Traffic    8 bytes and 3 FLOPs a column: bound by memory.
// Numerics   direct differences in f32, never ||a||^2 + ||b||^2 - 2ab, which cancels: equal rows are exactly 0 apart.
// Edges      N 0 launches nothing; NaN passes through.
#include <cmath>

#include "kernels/distance/warp_distance.cuh"
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;

__global__ void paired_distance_kernel(int n, int d, const float* __restrict__ a, const float* __restrict__ b,
                                       float* __restrict__ distance) {
  const int row = blockIdx.x * kWarps + threadIdx.x / 32;
  if (row < n) {  // the same for all lanes of a warp
    const std::size_t first = std::size_t(row) * d;
    const float d2 = warp_squared_distance(d, a + first, b + first);
    if (threadIdx.x % 32 == 0) distance[row] = sqrtf(d2);
  }
}
SIMT_CONTRACT(paired_distance_kernel, .stores = 8.1);

}  // namespace

void paired_distance(Queue queue, int n, int d, const float* a, const float* b, float* distance) {
  const LaunchConfig config{
      .grid = static_cast<unsigned>((n + kWarps - 1) / kWarps), .block = kThreads, .queue = queue};
  launch<paired_distance_kernel>(config, n, d, a, b, distance);
}

}  // namespace gemel::GEMEL_DEVICE
