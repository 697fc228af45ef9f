// SPDX-License-Identifier: MIT
#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {

// 12 chains of multiply-adds: enough to hide their latency on two units of latency 5, few enough for 16 registers.
std::int64_t multiply_adds(int steps) {
  using V = Vec<kLanes>;
  constexpr int kChains = 12;
  V chain[kChains];
  GEMEL_UNROLL for (int i = 0; i < kChains; ++i) chain[i] = broadcast(static_cast<float>(i));
  const V factor = broadcast(0.999f), term = broadcast(1e-3f);
  for (int step = 0; step < steps; ++step) {
    GEMEL_UNROLL for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * factor + term;
  }
  V sum{};
  GEMEL_UNROLL for (int i = 0; i < kChains; ++i) sum += chain[i];
  const float total = sum_lanes(sum);
  asm volatile("" : : "g"(&total) : "memory");
  return std::int64_t{2} * kChains * kLanes * steps;
}

}  // namespace gemel::GEMEL_DEVICE
