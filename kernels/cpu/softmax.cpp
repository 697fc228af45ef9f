// SPDX-License-Identifier: MIT
//
// softmax_cross_entropy for the CPU. The formulas, and where the margin's slope is clamped, are in kernels/loss/softmax.cu.
//
// Replaces the executor's kernel: 128 rows of 1024 classes take 0.21 ms instead of 9.0, of 10177 classes 2.2 instead of 40
// (Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
//
// Lanes run over the classes of a row and are added in a fixed order; every exponential is computed once and waits in
// dsimilarity for the row's sum.
#include "kernels/cpu/exponential.h"
#include "kernels/cpu/rows.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

constexpr float kLeastSine = 1e-3f;

struct TrueLogit {
  float z, slope;
};

TrueLogit true_logit(const SoftmaxParams& params, float cosine, float sine, float s) {
  if (params.kind == SoftmaxMargin::none) return {params.scale * s, params.scale};
  if (params.kind == SoftmaxMargin::cosface) return {params.scale * (s - params.margin), params.scale};
  s = s > 1 ? 1.0f : s < -1 ? -1.0f : s;
  if (s <= -cosine) return {params.scale * (s - params.margin * sine), params.scale};
  const float sine_theta = square_root((1 - s) * (1 + s)), divisor = sine_theta < kLeastSine ? kLeastSine : sine_theta;
  return {params.scale * (s * cosine - sine_theta * sine), params.scale * (sine_theta * cosine + s * sine) / divisor};
}

// Lanes of classes other than `label`.
GEMEL_INLINE IntVec<kLanes> others(std::size_t first, int lanes, int label) {
  IntVec<kLanes> mask{};
  GEMEL_UNROLL for (int i = 0; i < kLanes; ++i) mask[i] = i < lanes && static_cast<int>(first) + i != label ? -1 : 0;
  return mask;
}

}  // namespace

void softmax_cross_entropy(Queue, int n, int classes, const SoftmaxParams& params, const float* similarity,
                           const std::int32_t* labels, float* loss, float* active, float* dsimilarity) {
  const float cosine = __builtin_cosf(params.margin), sine = __builtin_sinf(params.margin);
  const auto count = static_cast<std::size_t>(classes);
  for_each_row(n, [&](int row) {
    const float* s = similarity + std::ptrdiff_t{row} * classes;
    float* ds = dsimilarity + std::ptrdiff_t{row} * classes;
    const int label = labels[row];
    const TrueLogit own = true_logit(params, cosine, sine, s[label]);

    V most_lanes = broadcast(-__builtin_inff());
    for_each_vector(count, [&](std::size_t i, int lanes) {
      const V z = load_lanes(s + i, lanes) * params.scale;
      most_lanes = (others(i, lanes, label) & (z > most_lanes)) ? z : most_lanes;
    });
    const float most = largest_lane(most_lanes);
    V sums{};
    for_each_vector(count, [&](std::size_t i, int lanes) {
      const V power = power_of(load_lanes(s + i, lanes) * params.scale - most);
      const V counted = others(i, lanes, label) ? power : V{};
      sums += counted;
      store_lanes(ds + i, counted, lanes);
    });
    const float sum = sum_lanes(sums);

    const Softplus term = softplus(broadcast(most - own.z + __builtin_logf(sum)));
    const float slope = term.slope[0] / static_cast<float>(n);
    const float factor = slope * params.scale / sum;
    for_each_vector(count,
                    [&](std::size_t i, int lanes) { store_lanes(ds + i, load_lanes(ds + i, lanes) * factor, lanes); });
    ds[label] = -slope * own.slope;
    loss[row] = term.value[0];
    active[row] = most < own.z ? 0.0f : 1.0f;
  });
}

}  // namespace gemel::GEMEL_DEVICE
