// SPDX-License-Identifier: MIT
//
// All-pairs distances, rung 2: tiles in shared memory, a small matrix of pairs in each thread's registers.
//
//   distance[i,j] = ||a_i - b_j||, squared or not
//
// Shapes     a (N,D), b (M,D), distance (N,M).
// Mapping    one block = 64 x 64 pairs, tiles numbered along grid x; 128 threads, each 4 rows x 8 columns of pairs. The
//            columns of the rows are walked in chunks of 32.
// Shared     a and b tiles, transposed to [k][row] so that a thread reads its rows as float4: 2 x 32 x 68 floats, 17
// KB.
//            Loading, 2 lanes take 32 neighbouring bytes of a row (one memory sector) and 16 pairs of lanes 16 rows;
//            with a pitch of 68 the 32 transposed stores of a warp hit 32 different banks.
// Traffic    64 x 64 pairs for 2 x 64 rows read: 24 FLOPs a byte of global memory, 2.7 a byte of shared memory (3
// float4
//            for 32 pairs). Bound by arithmetic: one subtraction and one multiply-add a pair and column.
// Numerics   as rung 1, bit for bit under the same contraction of multiply-adds: one running f32 sum a pair over
//            k = 0..D-1. What lies beyond D or beyond the last row is loaded as 0, and 0 - 0 adds exactly 0.
// Edges      N or M 0 launches nothing; rows of any D (16-byte loads where D is a multiple of 4); NaN passes through.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kTile = 64;                  // rows of a, and of b, a block
constexpr int kRows = 4, kColumns = 8;     // pairs a thread
constexpr int kAcross = kTile / kColumns;  // threads along the columns of the result
constexpr int kThreads = kTile / kRows * kAcross;
constexpr int kDepth = 32;  // columns of a and b in shared memory at a time
constexpr int kPitch = kTile + 4;

// Rows first_row..+63, columns k0..k0+31 of x (rows,D) into tile[k][row]; zeros outside of x.
template <bool kAligned>
__device__ __forceinline__ void load_tile(const float* __restrict__ x, int rows, int d, int first_row, int k0,
                                          float (*tile)[kPitch]) {
  const int row = threadIdx.x / 2;
  const bool inside = first_row + row < rows;
  const float* from = x + std::size_t(inside ? first_row + row : 0) * d;
  SIMT_UNROLL
  for (int step = 0; step < kDepth / 8; ++step) {
    const int k = step * 8 + threadIdx.x % 2 * 4;
    float4 v = make_float4(0, 0, 0, 0);
    if constexpr (kAligned) {
      if (inside && k0 + k < d) v = load4(from + k0 + k);
    } else {
      if (inside && k0 + k + 0 < d) v.x = from[k0 + k + 0];
      if (inside && k0 + k + 1 < d) v.y = from[k0 + k + 1];
      if (inside && k0 + k + 2 < d) v.z = from[k0 + k + 2];
      if (inside && k0 + k + 3 < d) v.w = from[k0 + k + 3];
    }
    tile[k + 0][row] = v.x;
    tile[k + 1][row] = v.y;
    tile[k + 2][row] = v.z;
    tile[k + 3][row] = v.w;
  }
}

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    pairwise_tiled_kernel(int n, int m, int d, int column_tiles, const float* __restrict__ a,
                          const float* __restrict__ b, bool squared, float* __restrict__ distance) {
  static_assert(kThreads == 2 * kTile, "two threads load a row");
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  const int first_i = blockIdx.x / column_tiles * kTile, first_j = blockIdx.x % column_tiles * kTile;
  const int i0 = threadIdx.x / kAcross * kRows;  // this thread's pairs within the tile:
  const int j0 = threadIdx.x % kAcross * 4;      // rows i0..i0+3, columns j0..j0+3 and j0+32..j0+35

  float sum[kRows][kColumns] = {};
  for (int k0 = 0; k0 < d; k0 += kDepth) {
    load_tile<kAligned>(a, n, d, first_i, k0, tile_a);
    load_tile<kAligned>(b, m, d, first_j, k0, tile_b);
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      alignas(16) float in_a[kRows], in_b[kColumns];
      store4(&in_a[0], load4(&tile_a[k][i0]));
      store4(&in_b[0], load4(&tile_b[k][j0]));
      store4(&in_b[4], load4(&tile_b[k][j0 + kTile / 2]));
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (int c = 0; c < kColumns; ++c) {
          const float difference = in_a[r] - in_b[c];
          sum[r][c] += difference * difference;
        }
      }
    }
    __syncthreads();
  }

  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int i = first_i + i0 + r;
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int j = first_j + j0 + (c < 4 ? c : c - 4 + kTile / 2);
      if (i < n && j < m) distance[std::size_t(i) * m + j] = squared ? sum[r][c] : sqrtf(sum[r][c]);
    }
  }
}

}  // namespace

void pairwise_distance(Queue queue, int n, int m, int d, const float* a, const float* b, bool squared,
                       float* distance) {
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
