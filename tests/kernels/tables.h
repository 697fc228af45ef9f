// SPDX-License-Identifier: MIT
//
// The tables that run in host memory: `simt`, `cpu`, and one for each rung of the ladders.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "kernels/conv2d/rungs.h"
#include "kernels/distance/rungs.h"
#include "kernels/linear/rungs.h"
#include "kernels/local2d/rungs.h"

namespace gemel::reference {

struct Table {
  std::string name;  // "simt", "simt_02_tiled"
  Kernels kernels;
  std::string ops;  // a rung is run on the cases of ops that begin so; empty: on all
};

// A device's kernels with each rung of its ladders in turn.
inline void add_rungs(std::vector<Table>& tables, const Kernels& kernels, std::span<const Conv2dRung> conv2d,
                      std::span<const LinearRung> linear, std::span<const Local2dRung> local2d,
                      std::span<const PairwiseDistanceRung> distance) {
  const std::string device = kernels.name;
  for (const Conv2dRung& rung : conv2d) {
    tables.push_back({device + "_conv2d_" + rung.name, rung.in(kernels), "conv2d"});
  }
  for (const LinearRung& rung : linear) {
    tables.push_back({device + "_linear_" + rung.name, rung.in(kernels), "linear"});
  }
  for (const Local2dRung& rung : local2d) {
    tables.push_back({device + "_local2d_" + rung.name, rung.in(kernels), "local2d"});
  }
  for (const PairwiseDistanceRung& rung : distance) {
    Kernels with = kernels;
    with.pairwise_distance = rung.run;
    tables.push_back({device + "_distance_" + rung.name, with, "pairwise_distance"});
  }
}

inline const std::vector<Table>& tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> result{{"simt", simt::kernels(), ""}, {"cpu", cpu::kernels(), ""}};
    add_rungs(result, simt::kernels(), simt::conv2d_rungs(), simt::linear_rungs(), simt::local2d_rungs(),
              simt::pairwise_distance_rungs());
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
