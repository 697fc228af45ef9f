// SPDX-License-Identifier: MIT
//
// Losses on pairs: a fused kernel each, over memory planned once.
#include "engine/error.h"
#include "siamese/loss_kinds.h"

namespace gemel {
namespace {

int pairs_of(int rows, const EmbeddingLoss& loss) {
  if (rows < 2 || rows % 2 != 0) throw ShapeError(concat(loss.describe(), ": ", rows, " rows are not pairs"));
  return rows / 2;
}

// Rows i and i + rows/2 are a pair.
class ContrastiveLoss final : public EmbeddingLoss {
 public:
  ContrastiveLoss(std::string name, Contrastive kind, float margin)
      : name_(std::move(name)), kind_(kind), margin_(margin) {}

  std::string describe() const override { return concat(name_, "(margin ", margin_, ")"); }
  bool wants_pairs() const override { return true; }

  void plan(const Kernels&, Arena& arena, const Parameters&, const BatchShape& batch) override {
    pairs_ = pairs_of(batch.rows, *this);
    d_ = batch.d;
    distance_ = arena.plan(float_bytes(pairs_));
    loss_ = arena.plan(float_bytes(pairs_));
    active_ = arena.plan(float_bytes(pairs_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    kernels.contrastive(queue, pairs_, d_, kind_, margin_, e, labels, arena.f32(distance_), loss, active, de);
    kernels.loss_reduce(queue, pairs_, loss, nullptr, active, state, nullptr);
  }

 private:
  std::string name_;
  Contrastive kind_;
  float margin_;
  int pairs_ = 0, d_ = 0;
  Arena::Piece distance_, loss_, active_;
};

// The same rows under a weighted distance: P(different) = logistic(distance - threshold).
class WeightedLoss final : public EmbeddingLoss {
 public:
  WeightedLoss(std::string name, Metric::Kind kind) : name_(std::move(name)), kind_(kind) {}

  std::string describe() const override { return concat(name_, "(", Metric::name(kind_), ")"); }
  bool wants_pairs() const override { return true; }
  Metric::Kind metric() const override { return kind_; }

  void plan(const Kernels& kernels, Arena& arena, const Parameters& parameters, const BatchShape& batch) override {
    pairs_ = pairs_of(batch.rows, *this);
    d_ = batch.d;
    parameters_ = &parameters;
    metric_ = Metric(kind_, parameters);
    distance_ = arena.plan(float_bytes(pairs_));
    loss_ = arena.plan(float_bytes(pairs_));
    active_ = arena.plan(float_bytes(pairs_));
    scratch_ = arena.plan(kernels.weighted_cross_entropy_scratch(pairs_, d_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    const ParamId weight = metric_.weight(), threshold = metric_.threshold();
    kernels.weighted_cross_entropy(with_scratch(queue, arena, scratch_), pairs_, d_, metric_.weighted(),
                                   parameters_->value(weight), parameters_->value(threshold), e, labels,
                                   arena.f32(distance_), loss, active, de, parameters_->gradient(weight),
                                   parameters_->gradient(threshold));
    kernels.loss_reduce(queue, pairs_, loss, nullptr, active, state, nullptr);
  }

 private:
  std::string name_;
  Metric::Kind kind_;
  Metric metric_;
  const Parameters* parameters_ = nullptr;
  int pairs_ = 0, d_ = 0;
  Arena::Piece distance_, loss_, active_, scratch_;
};

}  // namespace

std::unique_ptr<EmbeddingLoss> contrastive_loss(std::string name, Contrastive kind, float margin) {
  return std::make_unique<ContrastiveLoss>(std::move(name), kind, margin);
}

std::unique_ptr<EmbeddingLoss> weighted_loss(std::string name, Metric::Kind metric) {
  return std::make_unique<WeightedLoss>(std::move(name), metric);
}

}  // namespace gemel
