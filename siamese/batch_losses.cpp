// SPDX-License-Identifier: MIT
//
// Losses on P x K images, every row against every other: each a short sequence of kernels over memory planned once.
#include <algorithm>

#include "engine/error.h"
#include "siamese/loss_kinds.h"

namespace gemel {
namespace {

// The contrastive loss of every pair of rows.
class ContrastiveAllLoss final : public EmbeddingLoss {
 public:
  ContrastiveAllLoss(std::string name, float margin) : name_(std::move(name)), margin_(margin) {}

  std::string describe() const override { return concat(name_, "(margin ", margin_, ")"); }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels& kernels, Arena& arena, const Parameters&, const BatchShape& batch) override {
    rows_ = batch.rows;
    d_ = batch.d;
    loss_ = arena.plan(float_bytes(rows_));
    active_ = arena.plan(float_bytes(rows_));
    scratch_ = arena.plan(kernels.contrastive_all_scratch(rows_, d_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    kernels.contrastive_all(with_scratch(queue, arena, scratch_), rows_, d_, Contrastive::hadsell, margin_, e, labels,
                            loss, active, de);
    kernels.loss_reduce(queue, rows_, loss, nullptr, active, state, nullptr);
  }

 private:
  std::string name_;
  float margin_;
  int rows_ = 0, d_ = 0;
  Arena::Piece loss_, active_, scratch_;
};

std::string describe_triplets(const std::string& name, const TripletParams& params) {
  const std::string margin = params.soft_margin ? "soft margin" : concat("margin ", params.margin);
  return concat(name, "(", margin, params.squared ? ", squared distances)" : ", distances)");
}

// Every triplet: distances -> coefficients g = dL/d(d^2) -> dL/dE.
class AllTripletsLoss final : public EmbeddingLoss {
 public:
  AllTripletsLoss(std::string name, const TripletParams& params) : name_(std::move(name)), params_(params) {}

  std::string describe() const override { return describe_triplets(name_, params_); }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels&, Arena& arena, const Parameters&, const BatchShape& batch) override {
    rows_ = batch.rows;
    d_ = batch.d;
    distance2_ = arena.plan(float_bytes(rows_, rows_));
    g_ = arena.plan(float_bytes(rows_, rows_));
    loss_ = arena.plan(float_bytes(rows_));
    count_ = arena.plan(float_bytes(rows_));
    active_ = arena.plan(float_bytes(rows_));
    scale_ = arena.plan(float_bytes(1));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *distance2 = arena.f32(distance2_), *g = arena.f32(g_), *scale = arena.f32(scale_);
    float *loss = arena.f32(loss_), *count = arena.f32(count_), *active = arena.f32(active_);
    kernels.pairwise_distance(queue, rows_, rows_, d_, e, e, true, distance2);
    kernels.triplet(queue, rows_, params_, distance2, labels, g, loss, count, active);
    kernels.loss_reduce(queue, rows_, loss, count, active, state, scale);
    kernels.pairwise_backward(queue, rows_, d_, e, g, scale, de);
  }

 private:
  std::string name_;
  TripletParams params_;
  int rows_ = 0, d_ = 0;
  Arena::Piece distance2_, g_, loss_, count_, active_, scale_;
};

// Chosen triplets: rows -> the triplets of each anchor -> dL/dE.
class MinedTripletsLoss final : public EmbeddingLoss {
 public:
  MinedTripletsLoss(std::string name, const TripletParams& params) : name_(std::move(name)), params_(params) {}

  std::string describe() const override { return describe_triplets(name_, params_); }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels& kernels, Arena& arena, const Parameters&, const BatchShape& batch) override {
    rows_ = batch.rows;
    d_ = batch.d;
    most_ = params_.mining == Mining::semi_hard ? std::max(batch.alike - 1, 1) : 1;
    static_assert(sizeof(std::int32_t) == sizeof(float));
    const std::size_t list_bytes = float_bytes(rows_, most_);
    positive_ = arena.plan(list_bytes);
    negative_ = arena.plan(list_bytes);
    pull_ = arena.plan(list_bytes);
    push_ = arena.plan(list_bytes);
    loss_ = arena.plan(float_bytes(rows_));
    count_ = arena.plan(float_bytes(rows_));
    active_ = arena.plan(float_bytes(rows_));
    scale_ = arena.plan(float_bytes(1));
    scratch_ = arena.plan(kernels.mined_triplet_scratch(rows_, d_, params_, most_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    const MinedTriplets triplets{.positive = static_cast<std::int32_t*>(arena.data(positive_)),
                                 .negative = static_cast<std::int32_t*>(arena.data(negative_)),
                                 .pull = arena.f32(pull_),
                                 .push = arena.f32(push_)};
    float *loss = arena.f32(loss_), *count = arena.f32(count_), *active = arena.f32(active_);
    float* scale = arena.f32(scale_);
    queue = with_scratch(queue, arena, scratch_);
    kernels.mined_triplet(queue, rows_, d_, params_, most_, e, labels, triplets, loss, count, active);
    kernels.loss_reduce(queue, rows_, loss, count, active, state, scale);
    kernels.mined_triplet_backward(queue, rows_, d_, most_, e, triplets, scale, de);
  }

 private:
  std::string name_;
  TripletParams params_;
  int rows_ = 0, d_ = 0, most_ = 1;  // triplets of an anchor
  Arena::Piece positive_, negative_, pull_, push_, loss_, count_, active_, scale_, scratch_;
};

// All rows against all by their similarities: s = E E^T, or of rows of length 1 -> coefficients g = dL/ds -> dL/dE.
class SimilarityLoss final : public EmbeddingLoss {
 public:
  SimilarityLoss(std::string name, const SimilarityParams& params, bool cosine)
      : name_(std::move(name)), params_(params), cosine_(cosine) {}

  std::string describe() const override {
    if (params_.kind == Similarity::multi_similarity) {
      return concat(name_, "(alpha ", params_.alpha, ", beta ", params_.beta, ", lambda ", params_.lambda, ")");
    }
    return cosine_ ? concat(name_, "(temperature ", params_.temperature, ")") : name_;
  }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels& kernels, Arena& arena, const Parameters&, const BatchShape& batch) override {
    rows_ = batch.rows;
    d_ = batch.d;
    unit_ = arena.plan(cosine_ ? float_bytes(rows_, d_) : 0);
    inverse_norm_ = arena.plan(cosine_ ? float_bytes(rows_) : 0);
    similarity_ = arena.plan(float_bytes(rows_, rows_));
    g_ = arena.plan(float_bytes(rows_, rows_));
    loss_ = arena.plan(float_bytes(rows_));
    count_ = arena.plan(float_bytes(rows_));
    active_ = arena.plan(float_bytes(rows_));
    scale_ = arena.plan(float_bytes(1));
    scratch_ = arena.plan(kernels.linear_scratch(products()));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *similarity = arena.f32(similarity_), *g = arena.f32(g_), *scale = arena.f32(scale_);
    float *loss = arena.f32(loss_), *count = arena.f32(count_), *active = arena.f32(active_);
    float *unit = arena.f32(unit_), *inverse_norm = arena.f32(inverse_norm_);
    if (cosine_) kernels.l2_normalize_forward(queue, rows_, d_, kNormEpsilon, e, unit, inverse_norm);
    const float* rows = cosine_ ? unit : e;
    kernels.linear_fprop(with_scratch(queue, arena, scratch_), products(), rows, rows, nullptr, nullptr, similarity);
    kernels.similarity_loss(queue, rows_, params_, similarity, labels, g, loss, count, active);
    kernels.loss_reduce(queue, rows_, loss, count, active, state, scale);
    kernels.similarity_backward(queue, rows_, d_, rows, g, scale, de);
    if (cosine_) kernels.l2_normalize_backward(queue, rows_, d_, unit, inverse_norm, de, de);
  }

 private:
  LinearShape products() const { return {.n = rows_, .in = d_, .out = rows_}; }

  std::string name_;
  SimilarityParams params_;
  bool cosine_;
  int rows_ = 0, d_ = 0;
  Arena::Piece unit_, inverse_norm_, similarity_, g_, loss_, count_, active_, scale_, scratch_;
};

}  // namespace

std::unique_ptr<EmbeddingLoss> contrastive_all_loss(std::string name, float margin) {
  return std::make_unique<ContrastiveAllLoss>(std::move(name), margin);
}

std::unique_ptr<EmbeddingLoss> triplet_loss(std::string name, const TripletParams& params) {
  if (params.mining == Mining::all) return std::make_unique<AllTripletsLoss>(std::move(name), params);
  return std::make_unique<MinedTripletsLoss>(std::move(name), params);
}

std::unique_ptr<EmbeddingLoss> similarity_loss(std::string name, const SimilarityParams& params, bool cosine) {
  return std::make_unique<SimilarityLoss>(std::move(name), params, cosine);
}

}  // namespace gemel
