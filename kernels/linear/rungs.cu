// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/linear/rungs.h"

#include <algorithm>

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

namespace linear_naive {
Entry<&Kernels::linear_scratch> scratch;
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_naive
namespace linear_async {
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_async
namespace linear_tf32 {
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_tf32
namespace linear_tf32x3 {
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_tf32x3
namespace linear_bf16 {
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_bf16

std::span<const LinearRung> linear_rungs() {
  static constexpr LinearRung rungs[] = {
      {"01_naive", Math::fp32, linear_naive::scratch, linear_naive::fprop, linear_naive::dgrad, linear_naive::wgrad},
      {"02_tiled", Math::fp32, linear_scratch, linear_fprop, linear_dgrad, linear_wgrad},
      {"03_async", Math::fp32, linear_scratch, linear_async::fprop, linear_async::dgrad, linear_async::wgrad},
      {"04_tf32", Math::tf32, linear_scratch, linear_tf32::fprop, linear_tf32::dgrad, linear_tf32::wgrad},
      {"05_tf32x3", Math::tf32x3, linear_scratch, linear_tf32x3::fprop, linear_tf32x3::dgrad, linear_tf32x3::wgrad},
      {"06_bf16", Math::bf16, linear_scratch, linear_bf16::fprop, linear_bf16::dgrad, linear_bf16::wgrad},
  };
  return rungs;
}

const LinearRung& linear_rung(Math math) {
  const std::span<const LinearRung> rungs = linear_rungs();
  return *std::find_if(rungs.begin(), rungs.end(), [math](const LinearRung& rung) { return rung.math == math; });
}

}  // namespace gemel::GEMEL_DEVICE
