// SPDX-License-Identifier: MIT
//
// The tables of the check device: its own, and one for each rung of the ladders.
#pragma once

#include <vector>

#include "kernels/simt/check/kernels.h"
#include "tests/kernels/tables.h"

namespace gemel::reference {

inline const std::vector<Table>& check_tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> result{{"check", check::kernels(), ""}};
    add_rungs(result, check::kernels(), check::conv2d_rungs(), check::linear_rungs(), check::local2d_rungs(),
              check::pairwise_distance_rungs());
    add_contrastive_all_mma<&check::kernels>(result);
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
