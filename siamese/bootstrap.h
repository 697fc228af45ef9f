// SPDX-License-Identifier: MIT
//
// How far the figures of an evaluation may lie from the truth: 95 % intervals by the bootstrap (Efron & Tibshirani
// 1993, chapter 13: percentiles).
#pragma once

#include <cstdint>
#include <span>

#include "siamese/pairs.h"

namespace gemel {

struct Interval {
  double low = 0, high = 0;
};

struct Intervals {
  int units = 0;  // what is drawn with replacement: identities, or images
  bool of_identities = false;
  int rounds = 0;       // that had pairs of both kinds; 0: no intervals
  float threshold = 0;  // of `accuracy`
  Interval auc, eer, best_accuracy, accuracy, tar_at_far_1e2, tar_at_far_1e3;
};

// Fewer identities than this are not drawn from: the intervals then hold for these identities alone, and images are.
inline constexpr int kLeastIdentities = 20;

// Pairs share images and identities, so it is those that are drawn, not pairs: with w the times that a unit was drawn, a
// pair of units i and j counts w_i w_j times, a pair within identity i counts w_i times. Errs to the wide side (Owen
// 2007, "The pigeonhole bootstrap"). `labels` are the rows', `threshold` is that of `accuracy`. By seed; the same on any
// number of threads. `distances` must have pairs of both kinds, all finite (verify_pairs throws where not).
Intervals bootstrap(std::span<const float> distances, const PairList& pairs, std::span<const std::int32_t> labels,
                    float threshold, int rounds = 400, std::uint64_t seed = 1);

}  // namespace gemel
