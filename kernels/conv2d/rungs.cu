// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/conv2d/rungs.h"

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

namespace conv2d_direct {
Entry<&Kernels::conv2d_scratch> scratch;
Entry<&Kernels::conv2d_fprop> fprop;
Entry<&Kernels::conv2d_dgrad> dgrad;
Entry<&Kernels::conv2d_wgrad> wgrad;
}  // namespace conv2d_direct

std::span<const Conv2dRung> conv2d_rungs() {
  static constexpr Conv2dRung rungs[] = {
      {"01_direct", conv2d_direct::scratch, conv2d_direct::fprop, conv2d_direct::dgrad, conv2d_direct::wgrad},
      {"02_implicit_gemm", conv2d_scratch, conv2d_fprop, conv2d_dgrad, conv2d_wgrad},
  };
  return rungs;
}

}  // namespace gemel::GEMEL_DEVICE
