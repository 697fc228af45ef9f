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
#include "tests/reference/rung_error.h"

namespace gemel::reference {

struct Table {
  std::string name;  // "simt", "simt_02_tiled"
  Kernels kernels;
  std::string ops;  // a rung is run on the cases of ops that begin so; empty: on all
  Math math = Math::fp32;
  std::string also = "none";  // ops that begin so, too

  int most_channels = 0;  // 0: any

  bool runs(const OpCase& c) const {
    const bool serves = most_channels == 0 || c.channels <= most_channels;
    return serves && (c.op.rfind(ops, 0) == 0 || c.op.rfind(also, 0) == 0);
  }
};

// A device's kernels with each rung of its ladders in turn.
inline void add_rungs(std::vector<Table>& tables, const Kernels& kernels, std::span<const Conv2dRung> conv2d,
                      std::span<const LinearRung> linear, std::span<const Local2dRung> local2d,
                      std::span<const PairwiseDistanceRung> distance) {
  const std::string device = kernels.name;
  for (const Conv2dRung& rung : conv2d) {
    tables.push_back({device + "_conv2d_" + rung.name, rung.in(kernels), "conv2d", rung.math});
    if (rung.block_forward != nullptr) tables.back().also = "conv_block_forward";
    if (rung.block_backward != nullptr) tables.back().also = "conv_block";
    tables.back().most_channels = rung.most_channels;
  }
  for (const LinearRung& rung : linear) {
    tables.push_back({device + "_linear_" + rung.name, rung.in(kernels), "linear", rung.math});
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

// Losses have no ladder: their tensor-core form is the queue's to ask for.
template <auto kKernels>
void add_contrastive_all_mma(std::vector<Table>& tables) {
  Kernels kernels = kKernels();
  kernels.contrastive_all = [](Queue queue, int n, int d, Contrastive variant, float margin, const float* e,
                               const std::int32_t* labels, float* loss, float* active, float* de) {
    queue.math = Math::tf32x3;
    kKernels().contrastive_all(queue, n, d, variant, margin, e, labels, loss, active, de);
  };
  tables.push_back({std::string(kernels.name) + "_contrastive_all_mma", kernels, "contrastive_all", Math::tf32x3});
}

inline const std::vector<Table>& tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> result{{"simt", simt::kernels(), ""}, {"cpu", cpu::kernels(), ""}};
    add_rungs(result, simt::kernels(), simt::conv2d_rungs(), simt::linear_rungs(), simt::local2d_rungs(),
              simt::pairwise_distance_rungs());
    add_contrastive_all_mma<&simt::kernels>(result);
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
