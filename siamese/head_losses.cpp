// SPDX-License-Identifier: MIT
//
// Losses with a head that classifies the training identities. The head is a linear layer of the loss's own, whose
// parameters lie with the network's, so that one optimizer trains both.
#include "engine/error.h"
#include "siamese/loss_kinds.h"

namespace gemel {
namespace {

std::string head_name(const char* what) { return concat(kHeadPrefix, what); }

// head.weight as declared, checked.
ParamId head_weight(const Parameters& parameters, int classes, int d, const EmbeddingLoss& loss) {
  const ParamId id = parameters.id(head_name("weight"));
  const Shape &wanted{classes, d}, &held = parameters.entries()[static_cast<std::size_t>(id)].shape;
  if (!(held == wanted)) {
    throw ShapeError(concat(loss.describe(), ": its head is ", held.str(), ", for ", classes,
                            " identities and embeddings of ", d, " it must be ", wanted.str()));
  }
  return id;
}

void declare_weight(Parameters& parameters, int d, int classes) {
  parameters.declare(head_name("weight"), {classes, d},
                     {.kind = Initializer::Kind::glorot_uniform, .fan_in = d, .fan_out = classes});
}

class SoftmaxLoss final : public EmbeddingLoss {
 public:
  explicit SoftmaxLoss(std::string name) : name_(std::move(name)) {}

  std::string describe() const override { return name_; }
  bool wants_pairs() const override { return false; }

  void declare(Parameters& parameters, int d, int classes) const override {
    declare_weight(parameters, d, classes);
    parameters.declare(head_name("bias"), {classes}, {.kind = Initializer::Kind::zero});
  }

  void plan(const Kernels& kernels, Arena& arena, const Parameters& parameters, const BatchShape& batch) override {
    const int rows = batch.rows, d = batch.d, classes = batch.classes;
    head_ = {.n = rows, .in = d, .out = classes};
    parameters_ = &parameters;
    weight_ = head_weight(parameters, classes, d, *this);
    bias_ = parameters.id(head_name("bias"));
    logits_ = arena.plan(float_bytes(rows, classes));
    dlogits_ = arena.plan(float_bytes(rows, classes));
    loss_ = arena.plan(float_bytes(rows));
    active_ = arena.plan(float_bytes(rows));
    scratch_ = arena.plan(kernels.linear_scratch(head_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *logits = arena.f32(logits_), *dlogits = arena.f32(dlogits_);
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    const float* weight = parameters_->value(weight_);
    queue = with_scratch(queue, arena, scratch_);
    kernels.linear_fprop(queue, head_, e, weight, nullptr, parameters_->value(bias_), logits);
    kernels.softmax_cross_entropy(queue, head_.n, head_.out, {}, logits, labels, loss, active, dlogits);
    kernels.loss_reduce(queue, head_.n, loss, nullptr, active, state, nullptr);
    kernels.linear_dgrad(queue, head_, dlogits, weight, de);
    kernels.linear_wgrad(queue, head_, e, dlogits, parameters_->gradient(weight_), parameters_->gradient(bias_));
  }

 private:
  std::string name_;
  LinearShape head_{};
  const Parameters* parameters_ = nullptr;
  ParamId weight_ = 0, bias_ = 0;
  Arena::Piece logits_, dlogits_, loss_, active_, scratch_;
};

// Cosines of embeddings and identities' directions, with a margin for the true one.
class MarginSoftmaxLoss final : public EmbeddingLoss {
 public:
  MarginSoftmaxLoss(std::string name, const SoftmaxParams& params) : name_(std::move(name)), params_(params) {}

  std::string describe() const override {
    return concat(name_, "(scale ", params_.scale, ", margin ", params_.margin, ")");
  }
  bool wants_pairs() const override { return false; }

  void declare(Parameters& parameters, int d, int classes) const override { declare_weight(parameters, d, classes); }

  void plan(const Kernels& kernels, Arena& arena, const Parameters& parameters, const BatchShape& batch) override {
    const int rows = batch.rows, d = batch.d, classes = batch.classes;
    head_ = {.n = rows, .in = d, .out = classes};
    parameters_ = &parameters;
    weight_ = head_weight(parameters, classes, d, *this);
    unit_ = arena.plan(float_bytes(rows, d));
    inverse_norm_ = arena.plan(float_bytes(rows));
    direction_ = arena.plan(float_bytes(classes, d));
    inverse_length_ = arena.plan(float_bytes(classes));
    cosine_ = arena.plan(float_bytes(rows, classes));
    dcosine_ = arena.plan(float_bytes(rows, classes));
    loss_ = arena.plan(float_bytes(rows));
    active_ = arena.plan(float_bytes(rows));
    scratch_ = arena.plan(kernels.linear_scratch(head_));
  }

  void run(const Kernels& kernels, Queue queue, const Arena& arena, const float* e, const std::int32_t* labels,
           StepState* state, float* de) const override {
    float *unit = arena.f32(unit_), *inverse_norm = arena.f32(inverse_norm_);
    float *direction = arena.f32(direction_), *inverse_length = arena.f32(inverse_length_);
    float *cosine = arena.f32(cosine_), *dcosine = arena.f32(dcosine_);
    float *loss = arena.f32(loss_), *active = arena.f32(active_);
    const auto& [n, d, classes] = head_;
    queue = with_scratch(queue, arena, scratch_);
    kernels.l2_normalize_forward(queue, n, d, kNormEpsilon, e, unit, inverse_norm);
    kernels.l2_normalize_forward(queue, classes, d, kNormEpsilon, parameters_->value(weight_), direction,
                                 inverse_length);
    kernels.linear_fprop(queue, head_, unit, direction, nullptr, nullptr, cosine);
    kernels.softmax_cross_entropy(queue, n, classes, params_, cosine, labels, loss, active, dcosine);
    kernels.loss_reduce(queue, n, loss, nullptr, active, state, nullptr);
    kernels.linear_dgrad(queue, head_, dcosine, direction, de);
    kernels.l2_normalize_backward(queue, n, d, unit, inverse_norm, de, de);
    // In place: nothing else adds to this gradient.
    float* dweight = parameters_->gradient(weight_);
    kernels.linear_wgrad(queue, head_, unit, dcosine, dweight, nullptr);
    kernels.l2_normalize_backward(queue, classes, d, direction, inverse_length, dweight, dweight);
  }

 private:
  std::string name_;
  SoftmaxParams params_;
  LinearShape head_{};
  const Parameters* parameters_ = nullptr;
  ParamId weight_ = 0;
  Arena::Piece unit_, inverse_norm_, direction_, inverse_length_, cosine_, dcosine_, loss_, active_, scratch_;
};

}  // namespace

std::unique_ptr<EmbeddingLoss> softmax_loss(std::string name) { return std::make_unique<SoftmaxLoss>(std::move(name)); }

std::unique_ptr<EmbeddingLoss> margin_softmax_loss(std::string name, const SoftmaxParams& params) {
  return std::make_unique<MarginSoftmaxLoss>(std::move(name), params);
}

}  // namespace gemel
