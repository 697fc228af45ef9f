// SPDX-License-Identifier: MIT
//
// Conv2d: a two-dimensional convolution (cross-correlation) with an optional bias.
#pragma once

#include "layers/layer.h"
#include "layers/layer_checks.h"
#include "layers/text_line.h"

namespace gemel {

struct Conv2dOptions {
  int filters;
  Size2 window;
  Size2 stride{1, 1};
  Size2 pad{0, 0};
  bool same = false;  // pad (R-1)/2 and (S-1)/2: with stride 1 the output is as large as the input; R and S odd
  bool bias = true;
  WeightInit init = WeightInit::he;
  BiasInit bias_init{};
};

// What a line of filters says besides its keyword: "K N|RxS [stride N|NxN] ...".
Conv2dOptions parse_conv2d_options(TextLine& line);
std::string conv2d_options_text(const Conv2dOptions& options);
// "Conv2d(1 -> 20, 5x5)"; channels 0: not built yet.
std::string describe_conv2d(std::string_view kind, int channels, const Conv2dOptions& options);
// The shape of filters on an input (H,W,C), n = 0; works out `pad same`. Throws ShapeError "KIND(...): ..." where the
// filters do not fit, or an output or the filters of a place are too large.
Conv2dShape conv2d_shape(std::string_view kind, Conv2dOptions& options, const Shape& input);

// y(N,P,Q,K) = x(N,H,W,C) * w(K,R,S,C) + b(K), with P = (H + 2 pad - R) / stride + 1 (rounded down), Q likewise
// (Dumoulin & Visin, "A guide to convolution arithmetic for deep learning", 2016, relationship 6).
// Parameters: PREFIX.weight (K,R,S,C) and PREFIX.bias (K).
class Conv2d : public Layer {
 public:
  static constexpr std::string_view kUsage =
      "conv K N|RxS [stride N|NxN] [pad N|NxN|same] [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN STD] "
      "[nobias]";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit Conv2d(const Conv2dOptions& options) : options_(options) {}

  std::string describe() const override;
  std::string text() const override;
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  std::size_t scratch_bytes(const PlanContext& context) const override;
  double flops() const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

  Conv2dShape shape_of(int n) const;
  // (K,R,S,C) and (K), and their gradients; null without a bias.
  const float* weight(const Parameters& p) const { return p.value(weight_); }
  const float* bias(const Parameters& p) const { return options_.bias ? p.value(bias_) : nullptr; }
  float* weight_gradient(const Parameters& p) const { return p.gradient(weight_); }
  float* bias_gradient(const Parameters& p) const { return options_.bias ? p.gradient(bias_) : nullptr; }

 private:
  Conv2dOptions options_;
  Conv2dShape shape_{};  // n = 0; c = 0 until built
  ParamId weight_ = 0, bias_ = 0;
};

}  // namespace gemel
