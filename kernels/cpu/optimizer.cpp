// SPDX-License-Identifier: MIT
//
// sgd and adam for the CPU: the formulas are in kernels/optimizer/. Plain loops over restricted pointers, which the
// compilers vectorise; the two corrections 1 - beta^t are computed once a call, in double.
//
// Traffic  24 bytes a parameter (sgd), 32 (adam), the zeroed gradient included: bound by memory beyond the caches.
#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {

void sgd(Queue, std::size_t count, const SgdParams& params, const StepState* state, float* value, float* gradient,
         float* momentum) {
  const float rate = state->learning_rate, decay = params.weight_decay, keep = params.momentum;
  const float now = params.nesterov ? 1.0f : 0.0f, later = params.nesterov ? params.momentum : 1.0f;
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    float* __restrict w = value + first;
    float* __restrict g = gradient + first;
    float* __restrict v = momentum + first;
    for (std::size_t i = 0; i < size; ++i) {
      const float step = g[i] + decay * w[i];
      v[i] = keep * v[i] + step;
      w[i] -= rate * (now * step + later * v[i]);
      g[i] = 0;
    }
  });
}

void adam(Queue, std::size_t count, const AdamParams& params, const StepState* state, float* value, float* gradient,
          float* m, float* v) {
  // 1 - beta^t without cancellation where beta^t is close to 1.
  const auto one_minus_power = [&](double beta) { return -__builtin_expm1((state->step + 1) * __builtin_log(beta)); };
  const float beta1 = params.beta1, beta2 = params.beta2;
  const float rest1 = static_cast<float>(1 - double{params.beta1}),
              rest2 = static_cast<float>(1 - double{params.beta2});
  const float correction1 = static_cast<float>(1 / one_minus_power(params.beta1));
  const float correction2 = static_cast<float>(1 / one_minus_power(params.beta2));
  const float rate = state->learning_rate, decay = rate * params.weight_decay, epsilon = params.epsilon;
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    float* __restrict w = value + first;
    float* __restrict g = gradient + first;
    float* __restrict m1 = m + first;
    float* __restrict m2 = v + first;
    for (std::size_t i = 0; i < size; ++i) {
      m1[i] = beta1 * m1[i] + rest1 * g[i];
      m2[i] = beta2 * m2[i] + rest2 * g[i] * g[i];
      const float direction = m1[i] * correction1 / (square_root(m2[i] * correction2) + epsilon);
      w[i] -= rate * direction + decay * w[i];
      g[i] = 0;
    }
  });
}

}  // namespace gemel::GEMEL_DEVICE
