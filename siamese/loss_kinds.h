// SPDX-License-Identifier: MIT
//
// The losses by family; loss.cpp knows them by name.
#pragma once

#include "siamese/loss.h"

namespace gemel {

// ---- on pairs (pair_losses.cpp)
std::unique_ptr<EmbeddingLoss> contrastive_loss(std::string name, Contrastive kind, float margin);
// Cross-entropy of a logistic on a weighted distance; trains metric.weight and metric.threshold.
std::unique_ptr<EmbeddingLoss> weighted_loss(std::string name, Metric::Kind metric);

// ---- on P x K images, all against all (batch_losses.cpp)
std::unique_ptr<EmbeddingLoss> contrastive_all_loss(std::string name, float margin);
std::unique_ptr<EmbeddingLoss> triplet_loss(std::string name, const TripletParams& params);
// Of cosines, or of dot products.
std::unique_ptr<EmbeddingLoss> similarity_loss(std::string name, const SimilarityParams& params, bool cosine);

// ---- with a head, one row of head.weight (classes, D) an identity (head_losses.cpp)
// Logits e . w + head.bias.
std::unique_ptr<EmbeddingLoss> softmax_loss(std::string name);
// Logits from cosines: rows of e and of head.weight normalised.
std::unique_ptr<EmbeddingLoss> margin_softmax_loss(std::string name, const SoftmaxParams& params);

// Rows shorter than this are not made longer than 1 (l2_normalize_forward).
inline constexpr float kNormEpsilon = 1e-12F;

inline std::size_t float_bytes(int rows, int columns = 1) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * sizeof(float);
}

// The queue with the loss's own scratch.
inline Queue with_scratch(Queue queue, const Arena& arena, Arena::Piece scratch) {
  queue.scratch = {.data = arena.data(scratch), .bytes = scratch.bytes};
  return queue;
}

}  // namespace gemel
