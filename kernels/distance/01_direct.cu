// SPDX-License-Identifier: MIT
//
// All-pairs distances, rung 1: one thread a pair, straight from global memory.
//
//   distance[i,j] = ||a_i - b_j||, squared or not
//
// Shapes     a (N,D), b (M,D), distance (N,M).
// Mapping    blocks of 32 x 8 threads over (column j, row i) of the result, tiles numbered along grid x.
// Traffic    each thread reads 2D floats from global memory for 3D FLOPs: 0.4 FLOP a byte, and neighbouring threads
//            read rows of b that lie D floats apart. The caches save what they can; bound by them.
// Numerics   direct differences summed in f32 over k = 0..D-1: equal rows are exactly 0 apart, distance[i,j] of (a,b)
// is
//            bit-identical to distance[j,i] of (b,a), and no value depends on N, M or a tile.
// Edges      N or M 0 launches nothing; NaN passes through.
//
// Rung 2 reads each row of a tile once for 64 pairs.
#include <cmath>

#include "kernels/distance/direct.cuh"
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kColumns = 32, kRows = 8;  // of the result, a block

__global__ void pairwise_direct_kernel(int n, int m, int d, int column_tiles, const float* __restrict__ a,
                                       const float* __restrict__ b, bool squared, float* __restrict__ distance) {
  const int i = blockIdx.x / column_tiles * kRows + threadIdx.y;
  const int j = blockIdx.x % column_tiles * kColumns + threadIdx.x;
  if (i >= n || j >= m) return;
  const float sum = squared_difference(d, a + std::size_t(i) * d, b + std::size_t(j) * d);
  distance[std::size_t(i) * m + j] = squared ? sum : sqrtf(sum);
}
SIMT_CONTRACT(pairwise_direct_kernel, .sectors = 6.7, .loads = 2140);

}  // namespace

void pairwise_distance_direct(Queue queue, int n, int m, int d, const float* a, const float* b, bool squared,
                              float* distance) {
  const int column_tiles = (m + kColumns - 1) / kColumns, row_tiles = (n + kRows - 1) / kRows;
  const LaunchConfig config{.grid = static_cast<unsigned>(column_tiles) * static_cast<unsigned>(row_tiles),
                            .block = {kColumns, kRows},
                            .queue = queue};
  launch_flat<pairwise_direct_kernel>(config, n, m, d, column_tiles, a, b, squared, distance);
}

}  // namespace gemel::GEMEL_DEVICE
