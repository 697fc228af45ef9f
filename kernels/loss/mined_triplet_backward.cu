// SPDX-License-Identifier: MIT
//
// From mined triplets to the gradient of the embeddings, by gathering: no coefficient matrix, no atomics.
//
//   de_i = 2 s [ sum over i's own triplets (p, n): pull (e_i - e_p) - push (e_i - e_n)
//              + sum over anchors a: (sum of pull of its triplets with p = i, less push of those with n = i) (e_i - e_a) ]
//
// Shapes     e, de (N,D), triplets (most,N), scale: one float s in device memory.
// Mapping    one block = 4 rows i x 128 columns of de, a thread a column. 128 anchors at a time: a thread scans the list
//            of one anchor for the block's rows; ballots tell which anchors chose a row, and those are walked.
// Shared     weights of 4 x 128 pairs and a bit for each that is not 0: 2 KB.
// Traffic    the lists are read whole for every 4 rows: 16 N most bytes, from L2; then a row of e for every pair with a
//            triplet, some 4 most a row. Bound by latency for the usual N of a few hundred.
// Numerics   direct differences in f32; own triplets in their order, then anchors in ascending order, each the sum over its
//            triplets in their order. Equal rows pull each other by exactly 0.
// Edges      N 0 launches nothing. What has slope 0 does not pull, whatever stands in its rows.
#include "kernels/entries.h"
#include "kernels/gemm/tiles.h"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kRows = 4;       // of de, a block
constexpr int kThreads = 128;  // columns of de, a block; anchors at a time
constexpr int kWarps = kThreads / 32;

__global__ void __launch_bounds__(kThreads)
    mined_triplet_backward_kernel(int n, int d, int most, int column_blocks, const float* __restrict__ e,
                                  MinedTriplets triplets, const float* __restrict__ scale, float* __restrict__ de) {
  SIMT_SHARED(float, weights, [kRows][kThreads]);
  SIMT_SHARED(unsigned, chosen, [kRows][kWarps]);  // a bit an anchor
  const int t = threadIdx.x, first_i = blockIdx.x / column_blocks * kRows;
  const int column = blockIdx.x % column_blocks * kThreads + t;
  const bool has_column = column < d;

  float own[kRows], sum[kRows] = {};
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const int i = first_i + r;
    own[r] = has_column && i < n ? e[std::size_t(i) * d + column] : 0.0f;
    for (int q = 0; has_column && i < n && q < most; ++q) {
      const std::size_t at = std::size_t(q) * n + i;
      const int positive = triplets.positive[at];
      if (positive < 0) break;
      const float pull = triplets.pull[at], push = triplets.push[at];
      if (pull != 0) sum[r] += pull * (own[r] - e[std::size_t(positive) * d + column]);
      if (push != 0) sum[r] -= push * (own[r] - e[std::size_t(triplets.negative[at]) * d + column]);
    }
  }

  for (int first = 0; first < n; first += kThreads) {
    const int anchor = first + t;
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) weights[r][t] = 0;
    for (int q = 0; anchor < n && q < most; ++q) {
      const std::size_t at = std::size_t(q) * n + anchor;
      const int positive = triplets.positive[at];
      if (positive < 0) break;
      const int in_p = positive - first_i, in_n = triplets.negative[at] - first_i;
      if (in_p >= 0 && in_p < kRows) weights[in_p][t] += triplets.pull[at];
      if (in_n >= 0 && in_n < kRows) weights[in_n][t] -= triplets.push[at];
    }
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      const unsigned anchors = __ballot_sync(kAllLanes, weights[r][t] != 0);
      if (t % 32 == 0) chosen[r][t / 32] = anchors;
    }
    __syncthreads();
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      for (int warp = 0; warp < kWarps; ++warp) {
        for (unsigned left = has_column ? chosen[r][warp] : 0; left != 0; left &= left - 1) {
          const int a = warp * 32 + __ffs(static_cast<int>(left)) - 1;
          sum[r] += weights[r][a] * (own[r] - e[std::size_t(first + a) * d + column]);
        }
      }
    }
    __syncthreads();
  }

  const float factor = 2.0f * *scale;
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    if (has_column && first_i + r < n) de[std::size_t(first_i + r) * d + column] = factor * sum[r];
  }
}
SIMT_CONTRACT(mined_triplet_backward_kernel, .sectors = 1.05, .loads = 28.5);

}  // namespace

void mined_triplet_backward(Queue queue, int n, int d, int most, const float* e, const MinedTriplets& triplets,
                            const float* scale, float* de) {
  const int column_blocks = ceil_divide(d, kThreads);
  launch<mined_triplet_backward_kernel>(
      {.grid = static_cast<unsigned>(ceil_divide(n, kRows) * column_blocks), .block = kThreads, .queue = queue}, n, d,
      most, column_blocks, e, triplets, scale, de);
}

}  // namespace gemel::GEMEL_DEVICE
