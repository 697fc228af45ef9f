// SPDX-License-Identifier: MIT
//
// The contrastive loss, its distances and its gradient, in one pass over the embeddings.
//
//   d = ||a - b||; per pair, with y = 1 where the labels are equal
//     hadsell        l = y d^2/2 + (1-y) max(0, m - d)^2 / 2     Hadsell, Chopra, LeCun 2006, eq. 4
//     caffe_legacy   l = y d^2/2 + (1-y) max(0, m - d^2) / 2     Caffe's ContrastiveLoss, legacy_version: true
//   L = mean of l over the N pairs, and dL/da = -dL/db = c (a - b) / N with
//     similar pairs  c = 1
//     hadsell        c = -(m - d) / d  where 0 < d < m, else 0   at d = 0 a sub-gradient
//     caffe_legacy   c = -1            where d^2 < m,   else 0
//   Caffe writes E = 1/(2N) sum(...), which is this L; its gradient divides by d + 1e-4 where this one treats d = 0.
//
// Shapes     e (2N,D), a_i = e[i], b_i = e[i+N]; labels (2N); distance, loss, active (N); de (2N,D).
// Mapping    one warp = one pair, 4 warps a block; lane l takes columns l, l + 32, ... No shared memory.
// Traffic    16 bytes a column of a pair (2 floats read, 2 written): the second reading of a row finds it in the
//            first-level cache. About 6 FLOPs: bound by memory, and by the launch for the usual batch.
// Numerics   direct differences in f32, see warp_distance.cuh. Equal rows: d = 0 exactly and a zero gradient.
// Edges      N 0 launches nothing. NaN in a row gives NaN in its loss and, there, in its gradient, also for dissimilar
//            pairs: the hinges are written so that NaN does not read as "beyond the margin".
#include <cmath>

#include "kernels/distance/warp_distance.cuh"
#include "kernels/entries.h"
#include "kernels/loss/pair_term.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;

template <Contrastive kVariant>
__global__ void contrastive_kernel(int n, int d, float margin, float scale, const float* __restrict__ e,
                                   const std::int32_t* __restrict__ labels, float* __restrict__ distance,
                                   float* __restrict__ loss, float* __restrict__ active, float* __restrict__ de) {
  const int lane = threadIdx.x % 32;
  const int pair = blockIdx.x * kWarps + threadIdx.x / 32;
  if (pair < n) {  // the same for all lanes of a warp
    const std::size_t first = std::size_t(pair) * d, twin = first + std::size_t(n) * d;
    const float d2 = warp_squared_distance(d, e + first, e + twin);
    const float length = sqrtf(d2);
    const PairTerm term = pair_term<kVariant>(labels[pair] == labels[pair + n], margin, d2, length);

    const float factor = term.slope * scale;
    for (int i = lane; i < d; i += 32) {
      const float gradient = factor * (e[first + i] - e[twin + i]);
      de[first + i] = gradient;
      de[twin + i] = -gradient;
    }
    if (lane == 0) {
      distance[pair] = length;
      loss[pair] = term.loss;
      active[pair] = term.loss != 0 ? 1.0f : 0.0f;
    }
  }
}
SIMT_CONTRACT(contrastive_kernel, .loads = 2.1, .stores = 1.1);

}  // namespace

void contrastive(Queue queue, int n, int d, Contrastive variant, float margin, const float* e,
                 const std::int32_t* labels, float* distance, float* loss, float* active, float* de) {
  const LaunchConfig config{
      .grid = static_cast<unsigned>((n + kWarps - 1) / kWarps), .block = kThreads, .queue = queue};
  const float scale = 1.0f / static_cast<float>(n);
  switch (variant) {
    case Contrastive::hadsell:
      return launch<contrastive_kernel<Contrastive::hadsell>>(config, n, d, margin, scale, e, labels, distance, loss,
                                                              active, de);
    case Contrastive::caffe_legacy:
      return launch<contrastive_kernel<Contrastive::caffe_legacy>>(config, n, d, margin, scale, e, labels, distance,
                                                                   loss, active, de);
  }
}

}  // namespace gemel::GEMEL_DEVICE
