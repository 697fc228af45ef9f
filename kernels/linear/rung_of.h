// SPDX-License-Identifier: MIT
//
// Rungs declared for the list of rungs: those that are passes.cuh on their own tiles, defined in passes.cuh and
// instantiated in the rung's file, and 06_bf16.cu.
#pragma once

#include <cstddef>

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

template <class Tiles>
struct LinearRungOf {
  static Entry<&Kernels::linear_fprop> fprop;
  static Entry<&Kernels::linear_dgrad> dgrad;
  static Entry<&Kernels::linear_wgrad> wgrad;
};

struct LinearBf16Rung {
  static std::size_t passes_scratch(const LinearShape&);
  static Entry<&Kernels::linear_fprop> fprop;
  static Entry<&Kernels::linear_dgrad> dgrad;
  static Entry<&Kernels::linear_wgrad> wgrad;
};

}  // namespace gemel::GEMEL_DEVICE
