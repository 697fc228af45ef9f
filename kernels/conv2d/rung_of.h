// SPDX-License-Identifier: MIT
//
// Rungs declared for the list of rungs: those that are passes.cuh and block_forward.cuh on their own tiles, defined in
// rung_of.cuh and instantiated in the rung's file, and 06_bf16.cu.
#pragma once

#include <cstddef>

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

template <class Tiles>
struct Conv2dRungOf {
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
