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
#include "tests/reference/rung_error.h"

namespace gemel::reference {

struct Table {
  std::string name;  // "simt", "simt_02_tiled"
  Kernels kernels;
  std::string ops;  // a rung is run on the cases of ops that begin so; empty: on all
  Math math = Math::fp32;
  std::string also = "none";  // ops that begin so, too

  bool runs(const std::string& op) const { return op.rfind(ops, 0) == 0 || op.rfind(also, 0) == 0; }
};

inline const std::vector<Table>& tables() {
  static const std::vector<Table> all = [] {
    std::vector<Table> result{{"simt", simt::kernels(), ""}, {"cpu", cpu::kernels(), ""}};
    for (const Conv2dRung& rung : simt::conv2d_rungs()) {
      result.push_back({std::string("simt_conv2d_") + rung.name, rung.in(simt::kernels()), "conv2d", rung.math});
      if (rung.block_forward != nullptr) result.back().also = "conv_block_forward";
    }
    for (const LinearRung& rung : simt::linear_rungs()) {
      result.push_back({std::string("simt_linear_") + rung.name, rung.in(simt::kernels()), "linear", rung.math});
    }
    for (const Local2dRung& rung : simt::local2d_rungs()) {
      result.push_back({std::string("simt_local2d_") + rung.name, rung.in(simt::kernels()), "local2d"});
    }
    for (const PairwiseDistanceRung& rung : simt::pairwise_distance_rungs()) {
      Kernels kernels = simt::kernels();
      kernels.pairwise_distance = rung.run;
      result.push_back({std::string("simt_distance_") + rung.name, kernels, "pairwise_distance"});
    }
    // Losses have no ladder: their tensor-core form is the queue's to ask for.
    Kernels all_pairs = simt::kernels();
    all_pairs.contrastive_all = [](Queue queue, int n, int d, Contrastive variant, float margin, const float* e,
                                   const std::int32_t* labels, float* loss, float* active, float* de) {
      queue.math = Math::tf32x3;
      simt::kernels().contrastive_all(queue, n, d, variant, margin, e, labels, loss, active, de);
    };
    result.push_back({"simt_contrastive_all_mma", all_pairs, "contrastive_all", Math::tf32x3});
    return result;
  }();
  return all;
}

}  // namespace gemel::reference
