// SPDX-License-Identifier: MIT
//
// The rungs on tensor cores, one for each arithmetic: declared here for the list of rungs, defined in mma_rung.cuh,
// instantiated in 03_tf32.cu to 05_bf16.cu.
#pragma once

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

template <Math kMath>
struct Conv2dMmaRung {
  static Entry<&Kernels::conv2d_fprop> fprop;
  static Entry<&Kernels::conv2d_dgrad> dgrad;
  static Entry<&Kernels::conv2d_wgrad> wgrad;
  static Entry<&Kernels::conv_block_forward> block_forward;
};

}  // namespace gemel::GEMEL_DEVICE
