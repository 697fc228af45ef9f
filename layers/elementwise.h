// SPDX-License-Identifier: MIT
//
// Layers without parameters that keep the number of values: ActivationLayer (ReLU, Sigmoid), Flatten, L2Normalize.
#pragma once

#include "layers/layer.h"
#include "layers/text_line.h"

namespace gemel {

// `to` = `from`, number by number; nothing to do where both are the same memory.
void pass_on(const LayerContext& context, std::size_t count, const float* from, float* to);

// y = max(x, 0) or y = 1 / (1 + exp(-x)), element by element, on any shape.
class ActivationLayer : public Layer {
 public:
  static constexpr std::string_view kReluUsage = "relu", kSigmoidUsage = "sigmoid";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit ActivationLayer(Activation kind) : kind_(kind) {}  // relu or sigmoid

  Activation kind() const { return kind_; }
  std::string describe() const override { return kind_ == Activation::relu ? "ReLU" : "Sigmoid"; }
  std::string text() const override { return kind_ == Activation::relu ? "relu" : "sigmoid"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool in_place(bool) const override { return true; }
  bool backward_needs_input() const override { return false; }
  bool backward_needs_output() const override { return true; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  Activation kind_;
  std::size_t row_ = 0;  // values of one row
};

// (H,W,C) -> (H*W*C), in memory order: the same numbers. Costs nothing: a plan gives y the memory of x.
class Flatten : public Layer {
 public:
  static constexpr std::string_view kUsage = "flatten";
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<Flatten>(); }

  std::string describe() const override { return "Flatten"; }
  std::string text() const override { return "flatten"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool forward_is_identity(bool) const override { return true; }
  bool backward_is_identity() const override { return true; }
  bool backward_needs_input() const override { return false; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  std::size_t row_ = 0;
};

// y = x / max(||x||, epsilon) for each row (D): an embedding on the unit sphere. Saved: 1 / max(||x||, epsilon).
class L2Normalize : public Layer {
 public:
  static constexpr std::string_view kUsage = "l2normalize";
  static constexpr float kEpsilon = 1e-12f;
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<L2Normalize>(); }

  std::string describe() const override { return "L2Normalize"; }
  std::string text() const override { return "l2normalize"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool backward_needs_input() const override { return false; }
  bool backward_needs_output() const override { return true; }
  std::size_t saved_bytes(const PlanContext& context) const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  int features_ = 0;
};

}  // namespace gemel
