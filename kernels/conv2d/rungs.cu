// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/conv2d/rungs.h"

#include <algorithm>
#include <string_view>

#include "kernels/conv2d/first_layer.cuh"
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/rung_of.h"
#include "kernels/gemm/mma_product.cuh"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {

namespace conv2d_direct {
Entry<&Kernels::conv2d_scratch> scratch;
Entry<&Kernels::conv2d_fprop> fprop;
Entry<&Kernels::conv2d_dgrad> dgrad;
Entry<&Kernels::conv2d_wgrad> wgrad;
}  // namespace conv2d_direct
namespace conv2d_first_layer {
Entry<&Kernels::conv2d_fprop> fprop;
Entry<&Kernels::conv2d_wgrad> wgrad;
Entry<&Kernels::conv_block_forward> block_forward;
Entry<&Kernels::conv_block_backward> block_backward;
}  // namespace conv2d_first_layer

template <class Rung>
constexpr Conv2dRung rung_of(const char* name, Math math) {
  return {name, math, conv2d_scratch, Rung::fprop, Rung::dgrad, Rung::wgrad, Rung::block_forward, nullptr};
}

std::span<const Conv2dRung> conv2d_rungs() {
  static constexpr Conv2dRung rungs[] = {
      {"01_direct", Math::fp32, conv2d_direct::scratch, conv2d_direct::fprop, conv2d_direct::dgrad,
       conv2d_direct::wgrad, nullptr, nullptr},
      {"02_implicit_gemm", Math::fp32, conv2d_scratch, conv2d_implicit_gemm::fprop, conv2d_implicit_gemm::dgrad,
       conv2d_implicit_gemm::wgrad, conv2d_implicit_gemm::block_forward, nullptr},
      rung_of<Conv2dRungOf<gemm::RegisterTiles<gemm::Staging::async>>>("03_async", Math::fp32),
      rung_of<Conv2dRungOf<gemm::MmaTiles<Math::tf32>>>("04_tf32", Math::tf32),
      rung_of<Conv2dRungOf<gemm::MmaTiles<Math::tf32x3>>>("05_tf32x3", Math::tf32x3),
      rung_of<Conv2dBf16Rung>("06_bf16", Math::bf16),
      {"07_first_layer", Math::fp32, conv2d_scratch, conv2d_first_layer::fprop, conv2d_implicit_gemm::dgrad,
       conv2d_first_layer::wgrad, conv2d_first_layer::block_forward, conv2d_first_layer::block_backward, 3},
  };
  return rungs;
}

const Conv2dRung& conv2d_rung(Math math) {
  const std::span<const Conv2dRung> rungs = conv2d_rungs();
  return *std::find_if(rungs.begin(), rungs.end(), [math](const Conv2dRung& rung) { return rung.math == math; });
}

const Conv2dRung& conv2d_rung_for(Math math, const Conv2dShape& s) {
  const bool is_first_layer = first_layer::pays(s);
  if (math != Math::fp32 && !is_first_layer) return conv2d_rung(math);
  const char* name = is_first_layer ? "07_first_layer" : "02_implicit_gemm";
  const std::span<const Conv2dRung> rungs = conv2d_rungs();
  return *std::find_if(rungs.begin(), rungs.end(),
                       [&](const Conv2dRung& rung) { return name == std::string_view(rung.name); });
}

}  // namespace gemel::GEMEL_DEVICE
