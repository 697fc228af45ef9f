// SPDX-License-Identifier: MIT
//
// The tables of the check device: its own, and one for each rung of the ladders but the last, which is in its own.
#pragma once

#include <vector>

#include "kernels/simt/check/kernels.h"
#include "tests/kernels/tables.h"

namespace gemel::reference {

inline const std::vector<Table>& check_tables() {
  static const std::vector<Table> all = [] {
    const auto but_last = [](auto rungs) { return rungs.first(rungs.size() - 1); };
    std::vector<Table> result{{"check", check::kernels(), ""}};
    add_rungs(result, check::kernels(), but_last(check::conv2d_rungs()), but_last(check::linear_rungs()),
              but_last(check::local2d_rungs()), but_last(check::pairwise_distance_rungs()));
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
