// SPDX-License-Identifier: MIT
//
// A loss on a batch of embeddings: what it needs declared and planned, and one call that leaves dL/dE and adds to the
// step's sums.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/optimizer.h"
#include "siamese/metric.h"

namespace gemel {

// Parameters of losses are named so. They are trained with the network, and no part of a saved model.
inline constexpr const char* kHeadPrefix = "head.";

// A batch that a loss is planned for: embeddings (rows, d), labels in [0, classes), each on at most `alike` rows.
struct BatchShape {
  int rows, d, classes, alike;
};

class EmbeddingLoss {
 public:
  virtual ~EmbeddingLoss() = default;
  virtual std::string describe() const = 0;  // "contrastive(margin 1)"
  virtual bool wants_pairs() const = 0;      // rows i, i + N; else P x K rows
  // How a model that is trained with it measures distances.
  virtual Metric::Kind metric() const { return Metric::Kind::euclidean; }
  // Declares what is trained besides the network, for embeddings (D) of `classes` identities: the metric's parameters, or
  // a head's. Before Parameters::allocate.
  virtual void declare(Parameters& parameters, int d, int classes) const;
  // Its own memory, scratch of the kernels it will run included. Throws Error where `parameters` (borrowed) lack what it
  // declares, ShapeError where they are made for another d or other classes.
  virtual void plan(const Kernels& kernels, Arena& arena, const Parameters& parameters, const BatchShape& batch) = 0;
  // e (rows, D), labels (rows) in [0, classes) -> de (rows, D); adds mean loss and active share to `state`. Leaves the
  // gradients of what it declared, which are 0 before. Queues only. Kernels and batch as planned: with
  // more rows alike, mined triplets leave a loss of NaN.
  virtual void run(const Kernels&, Queue, const Arena&, const float* e, const std::int32_t* labels, StepState* state,
                   float* de) const = 0;
};

// A number of 0 is the loss's usual one; a loss that has no such number refuses any other.
struct LossOptions {
  // on pairs:              contrastive | caffe (= contrastive) | caffe-legacy | koch | chi2
  // on P x K images:       contrastive-all | triplet | batch-hard | batch-all | nt-xent | n-pair | supcon |
  //                        multi-similarity
  // with a softmax head:   softmax | arcface | cosface
  std::string name = "contrastive";
  float margin = 0;       // contrastive ones 1, triplets 0.2, arcface 0.5 (radians), cosface 0.35
  bool squared = true;    // triplet: margin between squared distances (FaceNet); batch-* take plain ones (Hermans)
  bool soft = false;      // triplet, batch-*: ln(1 + e^x), without margin
  float temperature = 0;  // nt-xent, supcon 0.1
  float scale = 0;        // arcface, cosface 64
  float alpha = 0, beta = 0, lambda = 0;  // multi-similarity 2, 50, 0.5 (SimilarityParams)
};
std::vector<std::string> loss_names();
// Throws InputError: an unknown name (listing the known ones), a number that is negative, not finite or not the loss's.
std::unique_ptr<EmbeddingLoss> make_loss(const LossOptions& options);

}  // namespace gemel
