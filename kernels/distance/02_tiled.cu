// SPDX-License-Identifier: MIT
//
// All-pairs distances, rung 2: tiles in shared memory, a small matrix of pairs in each thread's registers.
//
//   distance[i,j] = ||a_i - b_j||, squared or not
//
// Shapes     a (N,D), b (M,D), distance (N,M).
// Mapping    one block = 64 x 64 pairs, tiles numbered along grid x; 128 threads, each 4 rows x 8 columns of pairs. The
//            columns of the rows are walked in chunks of 32.
// Shared     17 KB, see distance_tile.cuh.
// Traffic    64 x 64 pairs for 2 x 64 rows read: 24 FLOPs a byte of global memory, 2.7 a byte of shared memory (3
// float4
//            for 32 pairs). Bound by arithmetic: one subtraction and one multiply-add a pair and column.
// Numerics   as rung 1, bit for bit under the same contraction of multiply-adds: one running f32 sum a pair over
//            k = 0..D-1. What lies beyond D or beyond the last row is loaded as 0, and 0 - 0 adds exactly 0.
// Edges      N or M 0 launches nothing; rows of any D (16-byte loads where D is a multiple of 4); NaN passes through.
#include <cmath>

#include "kernels/distance/distance_tile.cuh"
#include "kernels/distance/rungs.h"
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace distance_tile;

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    pairwise_tiled_kernel(int n, int m, int d, int column_tiles, const float* __restrict__ a,
                          const float* __restrict__ b, bool squared, float* __restrict__ distance) {
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  const int first_i = blockIdx.x / column_tiles * kTile, first_j = blockIdx.x % column_tiles * kTile;
  float sum[kRows][kColumns];
  squared_distances<kAligned>(n, m, d, a, b, first_i, first_j, tile_a, tile_b, sum);

  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int i = first_i + row() + r;
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int j = first_j + column(c);
      if (i < n && j < m) distance[std::size_t(i) * m + j] = squared ? sum[r][c] : sqrtf(sum[r][c]);
    }
  }
}
SIMT_CONTRACT(pairwise_tiled_kernel, .sectors = 1.65, .loads = 8.1, .stores = 4.1, .registers = 72);

}  // namespace

void pairwise_distance(Queue queue, int n, int m, int d, const float* a, const float* b, bool squared,
                       float* distance) {
  if (queue.math != Math::fp32) return pairwise_distance_mma(queue, n, m, d, a, b, squared, distance);
  const int column_tiles = (m + kTile - 1) / kTile, row_tiles = (n + kTile - 1) / kTile;
  const LaunchConfig config{.grid = static_cast<unsigned>(column_tiles) * static_cast<unsigned>(row_tiles),
                            .block = kThreads,
                            .queue = queue};
  if (d % 4 == 0) {
    launch<pairwise_tiled_kernel<true>>(config, n, m, d, column_tiles, a, b, squared, distance);
  } else {
    launch<pairwise_tiled_kernel<false>>(config, n, m, d, column_tiles, a, b, squared, distance);
  }
}

}  // namespace gemel::GEMEL_DEVICE
