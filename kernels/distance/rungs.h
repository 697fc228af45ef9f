// SPDX-License-Identifier: MIT
//
// The ladder of pairwise_distance: every rung by name, for tests and benchmarks. The table holds the one in use.
#pragma once

#include <span>

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

}  // namespace gemel
