// SPDX-License-Identifier: MIT
//
// SGD with momentum, and Adam/AdamW, over the flat parameter block; the gradient is zeroed on the way.
//
//   sgd    v = momentum v + g + weight_decay w;  w -= rate v                     PyTorch's form, and Caffe's for a
//          nesterov: w -= rate (g + weight_decay w + momentum v)                 constant rate (Caffe keeps rate v)
//   adam   m = beta1 m + (1 - beta1) g;  v = beta2 v + (1 - beta2) g^2           Kingma, Ba 2015
//          w -= rate (m / (1 - beta1^t) / (sqrt(v / (1 - beta2^t)) + epsilon) + weight_decay w)
//          with t = step + 1; the decay is decoupled                             Loshchilov, Hutter 2019
//
// Shapes     value, gradient, momentum, m, v: `count` floats; rate and step are read from the StepState on the device,
//            so that a captured step needs no host.
// Mapping    one thread = one parameter. The 3 or 4 loads of a thread are independent, which is enough in flight
//            without 16-byte accesses, and the host's compiler makes vectors of neighbouring threads.
// Traffic    24 bytes a parameter (sgd), 32 (adam), the zeroed gradient included; 10 to 20 FLOPs: bound by memory.
// Numerics   1 - beta^t would cancel at small t, where beta^t is close to 1; see one_minus_power. It is computed
//            by every thread, in some 20 instructions that hide behind the memory: no launch, no library call.
// Edges      count 0 launches nothing; a NaN gradient makes a NaN parameter.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;

// A launch covers at most this many parameters, so that an index is an int: the host's compiler then makes vectors of
// neighbouring threads.
constexpr std::size_t kLaunch = std::size_t{1} << 30;

// Calls run(config, first, n) for each launch over [0, count).
template <class Run>
void for_each_launch(Queue queue, std::size_t count, Run run) {
  for (std::size_t first = 0; first < count; first += kLaunch) {
    const int n = static_cast<int>(count - first < kLaunch ? count - first : kLaunch);
    run(LaunchConfig{.grid = static_cast<unsigned>((n + kThreads - 1) / kThreads), .block = kThreads, .queue = queue},
        first, n);
  }
}

// ---- SGD
__device__ __forceinline__ void sgd_update(const SgdParams& params, float rate, float gradient, float& value,
                                           float& momentum) {
  gradient += params.weight_decay * value;
  momentum = params.momentum * momentum + gradient;
  value -= rate * (params.nesterov ? gradient + params.momentum * momentum : momentum);
}

__global__ void sgd_kernel(int n, SgdParams params, const StepState* __restrict__ state, float* __restrict__ value,
                           float* __restrict__ gradient, float* __restrict__ momentum) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  sgd_update(params, state->learning_rate, gradient[i], value[i], momentum[i]);
  gradient[i] = 0;
}
SIMT_CONTRACT(sgd_kernel, .loads = 1.1);

// ---- Adam
struct AdamConstants {
  float beta1, beta2, rest1, rest2;  // rest: 1 - beta
  float log2_beta1, log2_beta2;
  float epsilon, weight_decay;
};

struct AdamStep {
  float rate, decay;               // rate and rate * weight_decay
  float correction1, correction2;  // 1 / (1 - beta^t)
};

// 1 - beta^t = 1 - 2^x, x = t log2(beta) <= 0, to a few units in the last place. With x = k + f, k an integer and
// |f| <= 1/2: 1 - 2^x = (1 - 2^k) - 2^k (2^f - 1), and 2^f - 1 by its Taylor series in y = f ln 2, whose eighth term
// would be below 2e-8 of the first. Nothing cancels at small x, where k = 0.
__device__ __forceinline__ float one_minus_power(float log2_beta, float t) {
  const float x = t * log2_beta < -126 ? -126.0f : t * log2_beta;
  const int k = static_cast<int>(x - 0.5f);  // towards zero: the nearest integer, as x <= 0
  const float y = (x - static_cast<float>(k)) * 0.693147181f;
  float series = 1.0f / 5040;
  series = series * y + 1.0f / 720;
  series = series * y + 1.0f / 120;
  series = series * y + 1.0f / 24;
  series = series * y + 1.0f / 6;
  series = series * y + 0.5f;
  series = series * y + 1.0f;
  const float power = __int_as_float((k + 127) << 23);  // 2^k
  return (1.0f - power) - power * (series * y);
}

__device__ __forceinline__ AdamStep adam_step(const AdamConstants& constants, const StepState* __restrict__ state) {
  const float t = static_cast<float>(state->step + 1), rate = state->learning_rate;
  return {rate, rate * constants.weight_decay, 1.0f / one_minus_power(constants.log2_beta1, t),
          1.0f / one_minus_power(constants.log2_beta2, t)};
}

__device__ __forceinline__ void adam_update(const AdamConstants& constants, const AdamStep& step, float gradient,
                                            float& value, float& m, float& v) {
  m = constants.beta1 * m + constants.rest1 * gradient;
  v = constants.beta2 * v + constants.rest2 * gradient * gradient;
  const float direction = m * step.correction1 / (sqrtf(v * step.correction2) + constants.epsilon);
  value -= step.rate * direction + step.decay * value;
}

__global__ void adam_kernel(int n, AdamConstants constants, const StepState* __restrict__ state,
                            float* __restrict__ value, float* __restrict__ gradient, float* __restrict__ m,
                            float* __restrict__ v) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  adam_update(constants, adam_step(constants, state), gradient[i], value[i], m[i], v[i]);
  gradient[i] = 0;
}
SIMT_CONTRACT(adam_kernel, .loads = 1.15);

}  // namespace

void sgd(Queue queue, std::size_t count, const SgdParams& params, const StepState* state, float* value, float* gradient,
         float* momentum) {
  for_each_launch(queue, count, [&](const LaunchConfig& config, std::size_t first, int n) {
    launch_flat<sgd_kernel>(config, n, params, state, value + first, gradient + first, momentum + first);
  });
}

void adam(Queue queue, std::size_t count, const AdamParams& params, const StepState* state, float* value,
          float* gradient, float* m, float* v) {
  const double beta1 = params.beta1, beta2 = params.beta2;
  const AdamConstants constants{.beta1 = params.beta1,
                                .beta2 = params.beta2,
                                .rest1 = static_cast<float>(1 - beta1),
                                .rest2 = static_cast<float>(1 - beta2),
                                .log2_beta1 = static_cast<float>(std::log2(beta1)),
                                .log2_beta2 = static_cast<float>(std::log2(beta2)),
                                .epsilon = params.epsilon,
                                .weight_decay = params.weight_decay};
  for_each_launch(queue, count, [&](const LaunchConfig& config, std::size_t first, int n) {
    launch_flat<adam_kernel>(config, n, constants, state, value + first, gradient + first, m + first, v + first);
  });
}

}  // namespace gemel::GEMEL_DEVICE
