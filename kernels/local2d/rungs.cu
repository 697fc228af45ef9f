// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/local2d/rungs.h"

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

namespace local2d_direct {
Entry<&Kernels::local2d_scratch> scratch;
Entry<&Kernels::local2d_fprop> fprop;
Entry<&Kernels::local2d_dgrad> dgrad;
Entry<&Kernels::local2d_wgrad> wgrad;
}  // namespace local2d_direct

std::span<const Local2dRung> local2d_rungs() {
  static constexpr Local2dRung rungs[] = {
      {"01_direct", local2d_direct::scratch, local2d_direct::fprop, local2d_direct::dgrad, local2d_direct::wgrad},
      {"02_place_products", local2d_scratch, local2d_fprop, local2d_dgrad, local2d_wgrad},
  };
  return rungs;
}

}  // namespace gemel::GEMEL_DEVICE
