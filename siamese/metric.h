// SPDX-License-Identifier: MIT
//
// Metric: the distance between two embeddings as a model defines it. Euclidean, or a sum over dimensions with learnt
// weights; those are parameters of the network, so that one optimizer trains and one file holds everything.
#pragma once

#include <cstdint>
#include <string>

#include "engine/parameters.h"

namespace gemel {

class Metric {
 public:
  enum class Kind : std::uint8_t { euclidean, weighted_l1, weighted_chi2 };

  Metric() = default;  // Euclidean
  // Weighted: borrows `parameters`, which must hold (declare) metric.weight and metric.threshold. Throws Error if not.
  Metric(Kind kind, const Parameters& parameters);

  // Declares metric.weight (D) and metric.threshold (1), unless Euclidean; before Parameters::allocate.
  static void declare(Kind kind, int d, Parameters& parameters);
  // "l2", "weighted-l1", "weighted-chi2", as in a model's metadata.
  static std::string name(Kind kind);
  static Kind parse(const std::string& name);  // throws InputError listing the known ones

  Kind kind() const { return kind_; }
  // Of a weighted one.
  Weighted weighted() const { return kind_ == Kind::weighted_l1 ? Weighted::l1 : Weighted::chi2; }
  ParamId weight() const { return weight_; }        // (D)
  ParamId threshold() const { return threshold_; }  // (1): where P(different) = 1/2
  // The learnt threshold. Waits.
  float read_threshold(Device& device, Stream& stream) const;

  // Rows of (n,D) with each other: distance (n). All pairs of (n,D) and (m,D): distance (n,m). As in struct Kernels.
  void paired(const Kernels& kernels, Queue queue, int n, int d, const float* a, const float* b, float* distance) const;
  void pairwise(const Kernels& kernels, Queue queue, int n, int m, int d, const float* a, const float* b,
                float* distance) const;

 private:
  Kind kind_ = Kind::euclidean;
  const Parameters* parameters_ = nullptr;
  ParamId weight_ = 0, threshold_ = 0;
};

}  // namespace gemel
