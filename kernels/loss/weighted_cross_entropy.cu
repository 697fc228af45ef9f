// SPDX-License-Identifier: MIT
//
// A logistic on a weighted distance, its cross-entropy and gradients: Koch's loss, and DeepFace's weighted chi2 trained the
// same way.
//
//   v = sum_k w_k t(a_k, b_k),  z = v - threshold,  P(different) = h(z) = 1 / (1 + e^{-z})
//   l = ln(1 + e^z) for one identity, ln(1 + e^{-z}) for two     Koch, Zemel, Salakhutdinov 2015, section 3.2
//   c = dl/dz / N = (h(z) - [different]) / N
//   de_a = c w_k dt/da,  de_b = c w_k dt/db,  dw_k += sum of c t(a_k, b_k),  dthreshold += sum of -c
//
// Shapes     e, de (2N,D), a_i = e[i], b_i = e[i+N]; labels (2N); w, dw (D), one float t and dt; distance, loss, active (N).
// Scratch    c, N floats.
// Mapping    1. one warp = one pair, 4 warps a block: distance, loss, c and de.
//            2. one block of 256 threads = 32 columns of dw, 8 threads a column take pairs 0, 8, ..., 1, 9, ...; one column
//               more than D is dt.
// Shared     1. none. 2. 1 KB.
// Traffic    e is read twice, de written once: 24 bytes a column of a pair. Bound by memory, and by two launches for the
//            usual batch.
// Numerics   log-sum-exp as in logistic.cuh; sums in a fixed order.
// Edges      where a term has a kink (a = b, or chi2 at a = 0), the slope of the magnitude counts as 0: identical images
//            have no gradient in e. z = 0 answers "same". NaN in a row reaches its loss, and reads as a wrong answer.
#include <cmath>

#include "kernels/distance/weighted_term.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/loss/logistic.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;
constexpr int kParts = 8;  // threads a column of dw

template <Weighted kKind>
__global__ void weighted_pairs_kernel(int n, int d, const float* __restrict__ w, const float* __restrict__ threshold,
                                      const float* __restrict__ e, const std::int32_t* __restrict__ labels,
                                      float* __restrict__ distance, float* __restrict__ loss,
                                      float* __restrict__ active, float* __restrict__ de, float* __restrict__ slope) {
  const int lane = threadIdx.x % 32;
  const int pair = blockIdx.x * kWarps + threadIdx.x / 32;
  if (pair < n) {  // the same for all lanes of a warp
    const std::size_t first = std::size_t(pair) * d, twin = first + std::size_t(n) * d;
    const float v = warp_weighted_distance<kKind>(d, w, e + first, e + twin);
    const float z = v - *threshold;
    const bool same = labels[pair] == labels[pair + n];
    const float c = (same ? logistic(z) : -logistic(-z)) / static_cast<float>(n);
    for (int i = lane; i < d; i += 32) {
      const TermSlopes slopes = weighted_slopes<kKind>(e[first + i], e[twin + i]);
      de[first + i] = c * w[i] * slopes.a;
      de[twin + i] = c * w[i] * slopes.b;
    }
    if (lane == 0) {
      distance[pair] = v;
      loss[pair] = softplus(same ? z : -z);
      active[pair] = (same ? z <= 0 : z > 0) ? 0.0f : 1.0f;
      slope[pair] = c;
    }
  }
}
SIMT_CONTRACT(weighted_pairs_kernel, .loads = 3.1, .stores = 1.15);

template <Weighted kKind>
__global__ void __launch_bounds__(32 * kParts)
    weighted_gradient_kernel(int n, int d, const float* __restrict__ e, const float* __restrict__ slope,
                             float* __restrict__ dw, float* __restrict__ dt) {
  SIMT_SHARED(float, sums, [kParts][32]);
  const int lane = threadIdx.x % 32, part = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  float sum = 0;
  for (int i = part; column < d && i < n; i += kParts) {
    const float* a = e + std::size_t(i) * d + column;
    sum += slope[i] * weighted_term<kKind>(*a, a[std::size_t(n) * d]);
  }
  for (int i = part; column == d && i < n; i += kParts) sum -= slope[i];
  sums[part][lane] = sum;
  __syncthreads();
  if (part == 0 && column <= d) {
    for (int p = 1; p < kParts; ++p) sum += sums[p][lane];
    *(column < d ? dw + column : dt) += sum;
  }
}
SIMT_CONTRACT(weighted_gradient_kernel, .loads = 1.2);

template <Weighted kKind>
void launch_both(Queue queue, int n, int d, const float* w, const float* t, const float* e, const std::int32_t* labels,
                 float* distance, float* loss, float* active, float* de, float* dw, float* dt, float* slope) {
  launch<weighted_pairs_kernel<kKind>>(
      {.grid = static_cast<unsigned>((n + kWarps - 1) / kWarps), .block = kThreads, .queue = queue}, n, d, w, t, e,
      labels, distance, loss, active, de, slope);
  launch<weighted_gradient_kernel<kKind>>(
      {.grid = static_cast<unsigned>(d / 32 + 1), .block = 32 * kParts, .queue = queue}, n, d, e, slope, dw, dt);
}

}  // namespace

std::size_t weighted_cross_entropy_scratch(int n, int) { return std::size_t(n) * sizeof(float); }

void weighted_cross_entropy(Queue queue, int n, int d, Weighted kind, const float* w, const float* t, const float* e,
                            const std::int32_t* labels, float* distance, float* loss, float* active, float* de,
                            float* dw, float* dt) {
  if (n == 0) return;
  float* slope = gemm::scratch_floats(queue, weighted_cross_entropy_scratch(n, d));
  switch (kind) {
    case Weighted::l1:
      return launch_both<Weighted::l1>(queue, n, d, w, t, e, labels, distance, loss, active, de, dw, dt, slope);
    case Weighted::chi2:
      return launch_both<Weighted::chi2>(queue, n, d, w, t, e, labels, distance, loss, active, de, dw, dt, slope);
  }
}

}  // namespace gemel::GEMEL_DEVICE
