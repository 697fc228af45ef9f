// SPDX-License-Identifier: MIT
//
// The device `check`: simt's kernels, watched (instrument.h), with the tiles of cuda. Apart from kernels/kernels.h, as few
// files want it and a namespace called `check` would hide functions of that name in all of them.
#pragma once

#include <span>

#include "kernels/conv2d/rungs.h"
#include "kernels/distance/rungs.h"
#include "kernels/kernels.h"
#include "kernels/linear/rungs.h"
#include "kernels/local2d/rungs.h"

namespace gemel::check {

const Kernels& kernels();
std::span<const Conv2dRung> conv2d_rungs();
std::span<const LinearRung> linear_rungs();
std::span<const Local2dRung> local2d_rungs();
std::span<const PairwiseDistanceRung> pairwise_distance_rungs();

}  // namespace gemel::check
