// SPDX-License-Identifier: MIT
//
// A loss on a batch of embeddings: what it needs planned, and one call that leaves dL/dE and adds to the step's sums.
#pragma once

#include <memory>
#include <string>

#include "engine/buffer.h"
#include "engine/optimizer.h"

namespace gemel {

class EmbeddingLoss {
 public:
  virtual ~EmbeddingLoss() = default;
  virtual std::string describe() const = 0;  // "contrastive(margin 1)"
  virtual bool wants_pairs() const = 0;      // rows i, i + N; else P x K rows
  // Its own memory, scratch of the kernels it will run included.
  virtual void plan(const Kernels& kernels, Arena& arena, int rows, int d) = 0;
  // e (rows, D), labels (rows) -> de (rows, D); adds mean loss and active share to `state`. Queues only. Kernels, rows
  // and D as planned.
  virtual void run(const Kernels&, Queue, const Arena&, const float* e, const std::int32_t* labels, StepState* state,
                   float* de) const = 0;
};

struct LossOptions {
  // contrastive | caffe (= contrastive) | caffe-legacy | contrastive-all | triplet | batch-hard | batch-all
  std::string name = "contrastive";
  float margin = 0;     // 0: the loss's usual one (contrastive 1, triplet 0.2)
  bool squared = true;  // triplet: margin between squared distances (FaceNet); batch-* take plain ones (Hermans)
  bool soft = false;    // triplet, batch-*: ln(1 + e^x), without margin
};
// Throws InputError: an unknown name (listing the known ones), a negative or not finite margin.
std::unique_ptr<EmbeddingLoss> make_loss(const LossOptions& options);

}  // namespace gemel
