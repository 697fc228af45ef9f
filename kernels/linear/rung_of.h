// SPDX-License-Identifier: MIT
//
// A rung that is passes.cuh on its own tiles: declared here for the list of rungs, defined in passes.cuh, instantiated in
// the rung's file.
#pragma once

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

template <class Tiles>
struct LinearRungOf {
  static Entry<&Kernels::linear_fprop> fprop;
  static Entry<&Kernels::linear_dgrad> dgrad;
  static Entry<&Kernels::linear_wgrad> wgrad;
};

}  // namespace gemel::GEMEL_DEVICE
