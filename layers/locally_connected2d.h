// SPDX-License-Identifier: MIT
//
// LocallyConnected2d: a convolution whose filters are each place's own.
#pragma once

#include "layers/conv2d.h"

namespace gemel {

// y(N,P,Q,K) = x(N,H,W,C) * w(P,Q,K,R,S,C) + b(P,Q,K): place (p,q) has K filters and biases of its own (Taigman, Yang,
// Ranzato, Wolf, "DeepFace", 2014, section 3). Options and output size as for Conv2d.
// Parameters: PREFIX.weight (P,Q,K,R,S,C) and PREFIX.bias (P,Q,K).
class LocallyConnected2d : public Layer {
 public:
  static constexpr std::string_view kUsage =
      "local K N|RxS [stride N|NxN] [pad N|NxN|same] [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN STD] "
      "[nobias]";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit LocallyConnected2d(const Conv2dOptions& options) : options_(options) {}

  std::string describe() const override;
  std::string text() const override;
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  std::size_t scratch_bytes(const PlanContext& context) const override;
  double flops() const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  Conv2dShape shape_of(int n) const;

  Conv2dOptions options_;
  Conv2dShape shape_{};  // n = 0; c = 0 until built
  ParamId weight_ = 0, bias_ = 0;
};

}  // namespace gemel
