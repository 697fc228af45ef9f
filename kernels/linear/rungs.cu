// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/linear/rungs.h"

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

namespace linear_naive {
Entry<&Kernels::linear_scratch> scratch;
Entry<&Kernels::linear_fprop> fprop;
Entry<&Kernels::linear_dgrad> dgrad;
Entry<&Kernels::linear_wgrad> wgrad;
}  // namespace linear_naive

std::span<const LinearRung> linear_rungs() {
  static constexpr LinearRung rungs[] = {
      {"01_naive", linear_naive::scratch, linear_naive::fprop, linear_naive::dgrad, linear_naive::wgrad},
      {"02_tiled", linear_scratch, linear_fprop, linear_dgrad, linear_wgrad},
  };
  return rungs;
}

}  // namespace gemel::GEMEL_DEVICE
