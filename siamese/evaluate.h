// SPDX-License-Identifier: MIT
//
// How well distances tell same from different: exact ROC by sorting, and retrieval. Smaller distance = more alike.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "siamese/bootstrap.h"
#include "siamese/dataset.h"
#include "siamese/pairs.h"
#include "siamese/roc_sweep.h"

namespace gemel {

struct Verification : RocFigures {
  std::size_t same = 0, different = 0;  // pairs
  std::vector<RocPoint> roc;            // thinned to at most 500 points
};

// distances[i] of a pair, same[i] whether one identity. Throws Error without a same or without a different pair, or on
// NaN.
Verification verify_pairs(std::span<const float> distances, std::span<const std::uint8_t> same);

struct Retrieval {
  int queries = 0;  // rows with at least one other row of their identity
  double recall_at_1 = 0, recall_at_5 = 0;
  double r_precision = 0, map_at_r = 0;  // Musgrave, Belongie, Lim 2020
};
// Each row against all others of (n, D); ties are broken against the model. Distances on the encoder's device, in
// strips. Throws Error where embeddings are not finite.
Retrieval retrieve(TwinEncoder& encoder, std::span<const float> embeddings, std::span<const std::int32_t> labels);

struct EmbeddingHealth {
  double mean_same = 0, mean_different = 0;  // distances
  double spread = 0;  // standard deviation of the embeddings around their mean, summed over dimensions, root
  double effective_rank =
      0;  // exp(entropy) of the covariance's normalised eigenvalues (Roy & Vetterli 2007); 0 without spread
  // Nothing left to tell identities apart by: spread below 1e-2 of the mean norm, or mean_same not 1 % below
  // mean_different; evaluate() adds an AUC below 0.52, which a few far outliers cannot mask.
  bool collapsed = false;
};

// Of (n, D) embeddings and the distances of pairs of them. The rank is taken from at most 4096 rows, evenly spaced (512
// when D > 512).
EmbeddingHealth embedding_health(std::span<const float> embeddings, int n, int d, std::span<const float> distances,
                                 std::span<const std::uint8_t> same);

struct Evaluation {
  std::string data;
  int images = 0, identities = 0;
  Verification verification;
  Retrieval retrieval;
  EmbeddingHealth health;
  Intervals intervals;
  PairList pairs;
  std::vector<float> distances;   // of `pairs`
  std::vector<float> embeddings;  // (images, D)
};
// Embeds, draws pairs (all when the data set has at most 200,000 of them, else `pairs`), measures. The intervals' accuracy
// is that at `threshold` (a model's calibrated one); none: at the best one.
Evaluation evaluate(TwinEncoder& encoder, const Dataset& data, std::size_t pairs = 20000, std::uint64_t seed = 7,
                    std::optional<float> threshold = {});
// The same on pairs that are given.
Evaluation evaluate(TwinEncoder& encoder, const Dataset& data, PairList pairs, std::optional<float> threshold = {});

}  // namespace gemel
