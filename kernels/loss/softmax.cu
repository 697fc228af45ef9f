// SPDX-License-Identifier: MIT
//
// Softmax cross-entropy with a margin on the true class's logit: losses and their gradient, in one pass.
//
//   z_j = scale s_j, but for the true class y, with s_y = cos theta
//     none     z_y = scale s_y
//     arcface  z_y = scale cos(theta + margin) = scale (s_y cos(margin) - sin theta sin(margin))   Deng et al. 2019, eq. 3
//              past pi, where s_y <= -cos(margin): scale (s_y - margin sin(margin)), which falls on with theta
//     cosface  z_y = scale (s_y - margin)                                                        Wang et al. 2018, eq. 4
//   u = ln sum_{j != y} e^{z_j} - z_y,  l = ln(1 + e^u),  h = 1 / (1 + e^{-u})
//   dl/dz_y = -h,  dl/dz_j = h e^{z_j} / sum_{j != y} e^z;  arcface: dz_y/ds_y = scale sin(theta + margin) / sin theta
//
// Shapes     similarity, dsimilarity (N,classes), labels, loss, active (N); dsimilarity is scaled by 1/N.
// Mapping    one block of 128 threads = one row; thread t takes classes t, t + 128, ...
// Shared     a word per warp and reduction.
// Traffic    the row is read three times, the second and third from the cache where it fits, and written once. 10
//            operations a class: bound by memory.
// Numerics   exponentials of differences from the largest logit of the other classes: nothing overflows, and a loss that is
//            tiny keeps its digits. Sums in a fixed order.
// Edges      arcface: s_y is clamped to [-1, 1], beyond which rounding may have put a cosine. Its slope is infinite at 1;
//            sin theta below 1e-3, where f32 cosines have no digits left to tell angles by, counts as 1e-3. Past pi and for
//            s_y = -1 the slope is scale. One class: loss 0. NaN in a row reaches its loss.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/loss/logistic.cuh"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 128;
constexpr float kLeastSine = 1e-3f;
constexpr float kInfinity = __builtin_huge_valf();

struct Logits {
  SoftmaxMargin kind;
  float scale, margin, cosine, sine;  // of the margin

  struct True {
    float z, slope;  // z_y, dz_y/ds_y
  };
  __device__ __forceinline__ True of_true_class(float s) const {
    if (kind == SoftmaxMargin::none) return {scale * s, scale};
    if (kind == SoftmaxMargin::cosface) return {scale * (s - margin), scale};
    s = s > 1 ? 1.0f : s < -1 ? -1.0f : s;
    if (s <= -cosine) return {scale * (s - margin * sine), scale};
    const float sine_theta = sqrtf((1 - s) * (1 + s));
    const float divisor = sine_theta < kLeastSine ? kLeastSine : sine_theta;
    return {scale * (s * cosine - sine_theta * sine), scale * (sine_theta * cosine + s * sine) / divisor};
  }
};

__global__ void __launch_bounds__(kThreads)
    softmax_cross_entropy_kernel(int n, int classes, Logits logits, const float* __restrict__ similarity,
                                 const std::int32_t* __restrict__ labels, float* __restrict__ loss,
                                 float* __restrict__ active, float* __restrict__ dsimilarity) {
  const int row = blockIdx.x, label = labels[row];
  const float* s = similarity + std::size_t(row) * classes;
  float* ds = dsimilarity + std::size_t(row) * classes;
  const Logits::True own = logits.of_true_class(s[label]);

  float most = -kInfinity;
  for (int j = threadIdx.x; j < classes; j += kThreads) {
    const float z = logits.scale * s[j];
    if (j != label && z > most) most = z;
  }
  most = block_max<kThreads>(most);
  float sum = 0;
  for (int j = threadIdx.x; j < classes; j += kThreads) {
    if (j != label) sum += expf(logits.scale * s[j] - most);
  }
  sum = block_sum<kThreads>(sum);

  const float u = most - own.z + logf(sum), slope = logistic(u) / static_cast<float>(n);
  const float factor = slope * logits.scale / sum;
  for (int j = threadIdx.x; j < classes; j += kThreads) {
    ds[j] = j == label ? -slope * own.slope : factor * expf(logits.scale * s[j] - most);
  }
  if (threadIdx.x == 0) {
    loss[row] = softplus(u);
    active[row] = most < own.z ? 0.0f : 1.0f;
  }
}
SIMT_CONTRACT(softmax_cross_entropy_kernel, .sectors = 1.05, .loads = 3.3, .stores = 1.05);

}  // namespace

void softmax_cross_entropy(Queue queue, int n, int classes, const SoftmaxParams& params, const float* similarity,
                           const std::int32_t* labels, float* loss, float* active, float* dsimilarity) {
  const Logits logits{params.kind, params.scale, params.margin, std::cos(params.margin), std::sin(params.margin)};
  launch<softmax_cross_entropy_kernel>({.grid = static_cast<unsigned>(n), .block = kThreads, .queue = queue}, n,
                                       classes, logits, similarity, labels, loss, active, dsimilarity);
}

}  // namespace gemel::GEMEL_DEVICE
