// SPDX-License-Identifier: MIT
//
// The list of the ladder's rungs, in order.
#include "kernels/distance/rungs.h"

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

Entry<&Kernels::pairwise_distance> pairwise_distance_direct;  // 01_direct.cu

std::span<const PairwiseDistanceRung> pairwise_distance_rungs() {
  static constexpr PairwiseDistanceRung rungs[] = {
      {"01_direct", pairwise_distance_direct},
      {"02_tiled", pairwise_distance},
      {"03_tf32x3", pairwise_distance_mma},
  };
  return rungs;
}

}  // namespace gemel::GEMEL_DEVICE
