// SPDX-License-Identifier: MIT
//
// 64 x 64 distances of rows of a and rows of b, by one block of 128 threads: what pairwise_distance, nearest and
// contrastive_all share, and with it their distances' bits; weighted_pairwise sums other terms.
//
// Mapping    a thread has 4 rows x 8 columns of pairs. The columns of the rows are walked in chunks of 32.
// Shared     a and b tiles, transposed to [k][row] so that a thread reads its rows as float4: 2 x 32 x 68 floats, 17
//            KB. Loading, 2 lanes take 32 neighbouring bytes of a row (one memory sector) and 16 pairs of lanes 16 rows;
//            with a pitch of 68 the 32 transposed stores of a warp hit 32 different banks.
// Numerics   direct differences: one running f32 sum a pair over k = 0..D-1. What lies beyond D or beyond the last row
//            is loaded as 0, and 0 - 0 adds exactly 0.
#pragma once

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::distance_tile {

inline constexpr int kTile = 64;                  // rows of a, and of b, a block
inline constexpr int kRows = 4, kColumns = 8;     // pairs a thread
inline constexpr int kAcross = kTile / kColumns;  // threads along the columns of the result
inline constexpr int kThreads = kTile / kRows * kAcross;
inline constexpr int kDepth = 32;  // columns of a and b in shared memory at a time
inline constexpr int kPitch = kTile + 4;

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

using Tile = float[kDepth][kPitch];

// This thread's pairs within the tile: rows row()..row() + 3, columns column(0)..column(7).
__device__ __forceinline__ int row() { return threadIdx.x / kAcross * kRows; }
__device__ __forceinline__ int column(int c) { return threadIdx.x % kAcross * 4 + (c < 4 ? c : c - 4 + kTile / 2); }

// sum[r][c] = sum over k of the terms of rows first_i.. of a (n,d) and rows first_j.. of b (m,d). terms.at(k) gives what
// add(sum, a_k, b_k) is called on; k may be beyond D, where a_k = b_k = 0 must add exactly 0. All threads take part;
// tile_a and tile_b may be written again afterwards.
template <bool kAligned, class Terms>
__device__ __forceinline__ void sum_terms(int n, int m, int d, const float* __restrict__ a, const float* __restrict__ b,
                                          int first_i, int first_j, Tile& tile_a, Tile& tile_b, const Terms& terms,
                                          float (&sum)[kRows][kColumns]) {
  static_assert(kThreads == 2 * kTile, "two threads load a row");
  const int i0 = row(), j0 = column(0);
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) sum[r][c] = 0;
  }
  for (int k0 = 0; k0 < d; k0 += kDepth) {
    load_tile<kAligned>(a, n, d, first_i, k0, tile_a);
    load_tile<kAligned>(b, m, d, first_j, k0, tile_b);
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      alignas(16) float in_a[kRows], in_b[kColumns];
      store4(&in_a[0], load4(&tile_a[k][i0]));
      store4(&in_b[0], load4(&tile_b[k][j0]));
      store4(&in_b[4], load4(&tile_b[k][j0 + kTile / 2]));
      const auto term = terms.at(k0 + k);
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (int c = 0; c < kColumns; ++c) term.add(sum[r][c], in_a[r], in_b[c]);
      }
    }
    __syncthreads();
  }
}

struct Squares {
  __device__ __forceinline__ Squares at(int) const { return {}; }
  __device__ __forceinline__ void add(float& sum, float a, float b) const {
    const float difference = a - b;
    sum += difference * difference;
  }
};

// sum = squared distances of rows first_i.. of a (n,d) and rows first_j.. of b (m,d), as above.
template <bool kAligned>
__device__ __forceinline__ void squared_distances(int n, int m, int d, const float* __restrict__ a,
                                                  const float* __restrict__ b, int first_i, int first_j, Tile& tile_a,
                                                  Tile& tile_b, float (&sum)[kRows][kColumns]) {
  sum_terms<kAligned>(n, m, d, a, b, first_i, first_j, tile_a, tile_b, Squares{}, sum);
}

}  // namespace gemel::GEMEL_DEVICE::distance_tile
