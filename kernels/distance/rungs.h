// SPDX-License-Identifier: MIT
//
// The ladder of pairwise_distance: every rung by name, for tests and benchmarks. The table holds the one in use.
#pragma once

#include <span>
#include <type_traits>

#include "kernels/kernels.h"

namespace gemel {

struct PairwiseDistanceRung {
  const char* name;  // the file's: "01_direct"
  decltype(Kernels::pairwise_distance) run;

  // `table` with this rung in it.
  Kernels in(Kernels table) const {
    table.pairwise_distance = run;
    return table;
  }
};

namespace simt {
std::span<const PairwiseDistanceRung> pairwise_distance_rungs();
}
namespace cuda {
std::span<const PairwiseDistanceRung> pairwise_distance_rungs();
}

#if defined(GEMEL_DEVICE)
// Of the device that a kernel file is compiled for, which may be the instrument's.
namespace GEMEL_DEVICE {
std::remove_pointer_t<decltype(Kernels::pairwise_distance)> pairwise_distance_mma;  // 03_tf32x3.cu
}
#endif

}  // namespace gemel
