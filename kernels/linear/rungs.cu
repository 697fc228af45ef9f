// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/linear/rungs.h"

#include <algorithm>

#include "kernels/gemm/mma_product.cuh"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/linear/rung_of.h"

namespace gemel::GEMEL_DEVICE {

namespace linear_naive {
Entry<&Kernels::linear_scratch> scratch;
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_naive

template <class Rung>
constexpr LinearRung rung_of(const char* name, Math math) {
  return {name, math, linear_scratch, Rung::fprop, Rung::dgrad, Rung::wgrad};
}

std::span<const LinearRung> linear_rungs() {
  static constexpr LinearRung rungs[] = {
      {"01_naive", Math::fp32, linear_naive::scratch, linear_naive::fprop, linear_naive::dgrad, linear_naive::wgrad},
      {"02_tiled", Math::fp32, linear_scratch, linear_fprop, linear_dgrad, linear_wgrad},
      rung_of<LinearRungOf<gemm::RegisterTiles<gemm::Staging::async>>>("03_async", Math::fp32),
      rung_of<LinearRungOf<gemm::MmaTiles<Math::tf32>>>("04_tf32", Math::tf32),
      rung_of<LinearRungOf<gemm::MmaTiles<Math::tf32x3>>>("05_tf32x3", Math::tf32x3),
      rung_of<LinearBf16Rung>("06_bf16", Math::bf16),
  };
  return rungs;
}

const LinearRung& linear_rung(Math math) {
  const std::span<const LinearRung> rungs = linear_rungs();
  return *std::find_if(rungs.begin(), rungs.end(), [math](const LinearRung& rung) { return rung.math == math; });
}

}  // namespace gemel::GEMEL_DEVICE
