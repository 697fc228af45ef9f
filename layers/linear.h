// SPDX-License-Identifier: MIT
//
// Linear: a fully connected layer with an optional bias.
#pragma once

#include "layers/layer.h"
#include "layers/layer_checks.h"
#include "layers/text_line.h"

namespace gemel {

// y(N,Out) = x(N,In) w(Out,In)^T + b(Out). An image input (H,W,C) counts as its H*W*C features in memory order.
// Parameters: PREFIX.weight (Out,In) and PREFIX.bias (Out).
class Linear : public Layer {
 public:
  static constexpr std::string_view kUsage =
      "linear N [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN STD] [nobias]";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit Linear(int features, bool bias = true, WeightInit init = WeightInit::he, BiasInit bias_init = {})
      : features_(features), has_bias_(bias), init_(init), bias_init_(bias_init) {}

  // The same layer with another width, not built yet.
  std::unique_ptr<Linear> with_features(int features) const;

  std::string describe() const override;
  std::string text() const override;
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  std::size_t scratch_bytes(const PlanContext& context) const override;
  std::size_t packed_bytes(const PlanContext& context) const override;
  void pack(const LayerContext& context, void* packed) const override;
  double flops() const override { return 2.0 * in_ * features_; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  LinearShape shape_of(int n) const { return {.n = n, .in = in_, .out = features_}; }

  int in_ = 0;  // 0 until built
  int features_;
  bool has_bias_;
  WeightInit init_;
  BiasInit bias_init_;
  ParamId weight_ = 0, bias_ = 0;
};

}  // namespace gemel
