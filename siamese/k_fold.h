// SPDX-License-Identifier: MIT
//
// Cross-validated verification: each fold's threshold comes from the other folds, as in Labeled Faces in the Wild's
// View 2 (Huang, Ramesh, Berg, Learned-Miller 2007, section IV).
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <vector>

#include "siamese/pairs.h"

namespace gemel {

struct KFold {
  std::vector<double>
      accuracy;  // of each fold: (TAR + 1 - FAR) / 2, the share of right answers where both kinds are even
  std::vector<float> threshold;  // the best of all other folds' pairs
  double mean = 0;
  double standard_error = 0;  // deviation of the folds' accuracies (n - 1) / sqrt(folds)
  std::size_t pairs = 0;
  bool given = false;                // the pairs came from a list
  bool disjoint_identities = false;  // no identity is in two folds; else no image is
};

// From distances, whether each pair is of one identity, and each pair's fold in [0, folds), at least 2. Throws Error
// where a fold lacks pairs of one kind, or on NaN.
KFold k_fold(std::span<const float> distances, std::span<const std::uint8_t> same, std::span<const int> fold,
             int folds);

struct FoldedPairs {
  PairList pairs;
  std::vector<int> fold;
  bool disjoint_identities = false;
};

// Folds that share nothing, so that a threshold is judged by pictures it has not seen: identities are dealt out where
// each fold can get two, one of them with two images; else the images of every identity are. Pairs lie within folds,
// `count` / folds of each, half of them same (count 0, or few enough: all). By seed. Throws InputError, naming
// `source`, where there are too few images for that many folds.
FoldedPairs fold_pairs(std::span<const std::int32_t> labels, int folds, std::size_t count, std::uint64_t seed,
                       const std::string& source);

}  // namespace gemel
