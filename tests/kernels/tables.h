// SPDX-License-Identifier: MIT
//
// The tables that run in host memory: `simt`, `cpu`, and one for each rung of the ladders.
#pragma once

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

inline const std::vector<Table>& tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> result{{"simt", simt::kernels(), ""}, {"cpu", cpu::kernels(), ""}};
    for (const Conv2dRung& rung : simt::conv2d_rungs()) {
      result.push_back({std::string("simt_conv2d_") + rung.name, rung.in(simt::kernels()), "conv2d"});
    }
    for (const LinearRung& rung : simt::linear_rungs()) {
      result.push_back({std::string("simt_linear_") + rung.name, rung.in(simt::kernels()), "linear"});
    }
    for (const Local2dRung& rung : simt::local2d_rungs()) {
      result.push_back({std::string("simt_local2d_") + rung.name, rung.in(simt::kernels()), "local2d"});
    }
    for (const PairwiseDistanceRung& rung : simt::pairwise_distance_rungs()) {
      Kernels kernels = simt::kernels();
      kernels.pairwise_distance = rung.run;
      result.push_back({std::string("simt_distance_") + rung.name, kernels, "pairwise_distance"});
    }
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
