// SPDX-License-Identifier: MIT
//
// The kinds of losses, each a short sequence of kernels over memory planned once.
#include "siamese/loss.h"

#include <cmath>

#include "engine/error.h"

namespace gemel {
namespace {

std::size_t floats(int rows, int columns = 1) {
  return static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns) * sizeof(float);
}

// Rows i and i + rows/2 are a pair.
class ContrastiveLoss final : public EmbeddingLoss {
 public:
  ContrastiveLoss(std::string name, Contrastive kind, float margin)
      : name_(std::move(name)), kind_(kind), margin_(margin) {}

  std::string describe() const override { return concat(name_, "(margin ", margin_, ")"); }
  bool wants_pairs() const override { return true; }

  void plan(const Kernels&, Arena& arena, int rows, int d) override {
    if (rows < 2 || rows % 2 != 0) throw ShapeError(concat(describe(), ": ", rows, " rows are not pairs"));
    pairs_ = rows / 2;
    d_ = d;
    distance_ = arena.plan(floats(pairs_));
    loss_ = arena.plan(floats(pairs_));
    active_ = arena.plan(floats(pairs_));
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

// The contrastive loss of every pair of rows.
class ContrastiveAllLoss final : public EmbeddingLoss {
 public:
  ContrastiveAllLoss(std::string name, float margin) : name_(std::move(name)), margin_(margin) {}

  std::string describe() const override { return concat(name_, "(margin ", margin_, ")"); }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels& kernels, Arena& arena, int rows, int d) override {
    rows_ = rows;
    d_ = d;
    loss_ = arena.plan(floats(rows));
    active_ = arena.plan(floats(rows));
    scratch_ = arena.plan(kernels.contrastive_all_scratch(rows, d));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    queue.scratch = {.data = arena.data(scratch_), .bytes = scratch_.bytes};
    kernels.contrastive_all(queue, rows_, d_, Contrastive::hadsell, margin_, e, labels, loss, active, de);
    kernels.loss_reduce(queue, rows_, loss, nullptr, active, state, nullptr);
  }

 private:
  std::string name_;
  float margin_;
  int rows_ = 0, d_ = 0;
  Arena::Piece loss_, active_, scratch_;
};

// All rows against all: distances -> coefficients g = dL/d(d^2) -> dL/dE.
class TripletLoss final : public EmbeddingLoss {
 public:
  TripletLoss(std::string name, const TripletParams& params) : name_(std::move(name)), params_(params) {}

  std::string describe() const override {
    const std::string margin = params_.soft_margin ? "soft margin" : concat("margin ", params_.margin);
    return concat(name_, "(", margin, params_.squared ? ", squared distances)" : ", distances)");
  }
  bool wants_pairs() const override { return false; }

  void plan(const Kernels&, Arena& arena, int rows, int d) override {
    rows_ = rows;
    d_ = d;
    distance2_ = arena.plan(floats(rows, rows));
    g_ = arena.plan(floats(rows, rows));
    loss_ = arena.plan(floats(rows));
    count_ = arena.plan(floats(rows));
    active_ = arena.plan(floats(rows));
    scale_ = arena.plan(floats(1));
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

}  // namespace

std::unique_ptr<EmbeddingLoss> make_loss(const LossOptions& options) {
  const std::string& name = options.name;
  if (!std::isfinite(options.margin) || options.margin < 0) {
    throw InputError(
        concat("loss ", name, ": the margin must be positive (or 0 for the usual one), not ", options.margin));
  }
  auto margin = [&](float usual) { return options.margin == 0 ? usual : options.margin; };
  auto triplet = [&](Mining mining, bool squared) {
    return std::make_unique<TripletLoss>(
        name, TripletParams{.margin = margin(0.2F), .mining = mining, .squared = squared, .soft_margin = options.soft});
  };
  if (name == "contrastive" || name == "caffe") {
    return std::make_unique<ContrastiveLoss>(name, Contrastive::hadsell, margin(1));
  }
  if (name == "caffe-legacy") return std::make_unique<ContrastiveLoss>(name, Contrastive::caffe_legacy, margin(1));
  if (name == "contrastive-all") return std::make_unique<ContrastiveAllLoss>(name, margin(1));
  if (name == "triplet") return triplet(Mining::semi_hard, options.squared);
  if (name == "batch-hard") return triplet(Mining::batch_hard, false);
  if (name == "batch-all") return triplet(Mining::all, false);
  throw InputError(concat("unknown loss '", name,
                          "'; known: contrastive, caffe, caffe-legacy, contrastive-all, triplet, batch-hard, "
                          "batch-all"));
}

}  // namespace gemel
