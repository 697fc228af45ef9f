// SPDX-License-Identifier: MIT
//
// The rungs on tensor cores, declared for the list of rungs: those whose factors are f32 in memory, defined in
// mma_rung.cuh and instantiated in 03_tf32.cu and 04_tf32x3.cu, and 05_bf16.cu.
#pragma once

#include <cstddef>

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

template <Math kMath>
struct Conv2dMmaRung {
  static Entry<&Kernels::conv2d_fprop> fprop;
  static Entry<&Kernels::conv2d_dgrad> dgrad;
  static Entry<&Kernels::conv2d_wgrad> wgrad;
  static Entry<&Kernels::conv_block_forward> block_forward;
};

struct Conv2dBf16Rung {
  static std::size_t passes_scratch(const Conv2dShape&);
  static std::size_t block_scratch(const ConvBlock&);
  static Entry<&Kernels::conv2d_fprop> fprop;
  static Entry<&Kernels::conv2d_dgrad> dgrad;
  static Entry<&Kernels::conv2d_wgrad> wgrad;
  static Entry<&Kernels::conv_block_forward> block_forward;
};

}  // namespace gemel::GEMEL_DEVICE
