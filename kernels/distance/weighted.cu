// SPDX-License-Identifier: MIT
//
// Distances with a learnt weight a dimension, of row pairs and of all pairs.
//
//   distance = sum_k w_k t(a_k, b_k)
//     l1    t = |a - b|                          Koch, Zemel, Salakhutdinov 2015, section 3.1
//     chi2  t = (a - b)^2 / (|a| + |b|)          Taigman et al. 2014, section 4.1, for features that are not negative
//
// Shapes     w (D). Paired: a, b (N,D), distance (N). All pairs: a (N,D), b (M,D), distance (N,M).
// Mapping    paired: one warp = one pair of rows, 4 warps a block. All pairs: one block of 128 threads = 64 x 64 pairs, see
//            distance_tile.cuh.
// Shared     paired: none. All pairs: 17 KB.
// Traffic    paired: 8 bytes and 3 operations (chi2: 6 and a division) a column, bound by memory. All pairs: bound by
//            arithmetic; w is read once a block and column, from the first-level cache.
// Numerics   one running f32 sum a pair over k = 0..D-1 (paired: a lane), direct differences: equal rows are exactly 0
//            apart. Weights of either sign: a distance may be negative.
// Edges      chi2: t = 0 where a = b = 0. N or M 0 launches nothing; any D; NaN passes through.
#include <cmath>

#include "kernels/distance/distance_tile.cuh"
#include "kernels/distance/weighted_term.cuh"
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace distance_tile;

// ---- row pairs
constexpr int kPairedWarps = 4;
constexpr int kPairedThreads = 32 * kPairedWarps;

template <Weighted kKind>
__global__ void weighted_distance_kernel(int n, int d, const float* __restrict__ w, const float* __restrict__ a,
                                         const float* __restrict__ b, float* __restrict__ distance) {
  const int row = blockIdx.x * kPairedWarps + threadIdx.x / 32;
  if (row < n) {  // the same for all lanes of a warp
    const std::size_t first = std::size_t(row) * d;
    const float sum = warp_weighted_distance<kKind>(d, w, a + first, b + first);
    if (threadIdx.x % 32 == 0) distance[row] = sum;
  }
}
SIMT_CONTRACT(weighted_distance_kernel, .loads = 1.55, .stores = 8.1);

// ---- all pairs
template <Weighted kKind>
struct WeightedTerm {
  float weight;
  __device__ __forceinline__ void add(float& sum, float a, float b) const {
    sum += weight * weighted_term<kKind>(a, b);
  }
};

template <Weighted kKind>
struct WeightedTerms {
  int d;
  const float* w;
  __device__ __forceinline__ WeightedTerm<kKind> at(int k) const { return {k < d ? w[k] : 0.0f}; }
};

template <Weighted kKind, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    weighted_pairwise_kernel(int n, int m, int d, int column_tiles, const float* __restrict__ w,
                             const float* __restrict__ a, const float* __restrict__ b, float* __restrict__ distance) {
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  const int first_i = blockIdx.x / column_tiles * kTile, first_j = blockIdx.x % column_tiles * kTile;
  float sum[kRows][kColumns];
  sum_terms<kAligned>(n, m, d, a, b, first_i, first_j, tile_a, tile_b, WeightedTerms<kKind>{d, w}, sum);
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int i = first_i + row() + r, j = first_j + column(c);
      if (i < n && j < m) distance[std::size_t(i) * m + j] = sum[r][c];
    }
  }
}
SIMT_CONTRACT(weighted_pairwise_kernel, .sectors = 1.05, .loads = 1.55, .stores = 4.1, .registers = 72);

template <Weighted kKind>
void launch_pairwise(Queue queue, int n, int m, int d, const float* w, const float* a, const float* b,
                     float* distance) {
  const int column_tiles = (m + kTile - 1) / kTile, row_tiles = (n + kTile - 1) / kTile;
  const LaunchConfig config{.grid = static_cast<unsigned>(column_tiles) * static_cast<unsigned>(row_tiles),
                            .block = kThreads,
                            .queue = queue};
  if (d % 4 == 0) {
    launch<weighted_pairwise_kernel<kKind, true>>(config, n, m, d, column_tiles, w, a, b, distance);
  } else {
    launch<weighted_pairwise_kernel<kKind, false>>(config, n, m, d, column_tiles, w, a, b, distance);
  }
}

}  // namespace

void weighted_distance(Queue queue, int n, int d, Weighted kind, const float* w, const float* a, const float* b,
                       float* distance) {
  const LaunchConfig config{
      .grid = static_cast<unsigned>((n + kPairedWarps - 1) / kPairedWarps), .block = kPairedThreads, .queue = queue};
  switch (kind) {
    case Weighted::l1:
      return launch<weighted_distance_kernel<Weighted::l1>>(config, n, d, w, a, b, distance);
    case Weighted::chi2:
      return launch<weighted_distance_kernel<Weighted::chi2>>(config, n, d, w, a, b, distance);
  }
}

void weighted_pairwise(Queue queue, int n, int m, int d, Weighted kind, const float* w, const float* a, const float* b,
                       float* distance) {
  switch (kind) {
    case Weighted::l1:
      return launch_pairwise<Weighted::l1>(queue, n, m, d, w, a, b, distance);
    case Weighted::chi2:
      return launch_pairwise<Weighted::chi2>(queue, n, m, d, w, a, b, distance);
  }
}

}  // namespace gemel::GEMEL_DEVICE
