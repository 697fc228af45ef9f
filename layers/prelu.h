// SPDX-License-Identifier: MIT
//
// PRelu: a ReLU with a learnt slope below 0.
#pragma once

#include "layers/channel_layer.h"
#include "layers/text_line.h"

namespace gemel {

// y = x > 0 ? x : slope[c] * x on any shape (...,C) (He et al. 2015, eq. 1). Parameter: PREFIX.slope (C), 0.25 at first
// (section 2.1).
class PRelu : public ChannelLayer {
 public:
  static constexpr std::string_view kUsage = "prelu";
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<PRelu>(); }

  std::string describe() const override { return "PReLU"; }
  std::string text() const override { return "prelu"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  ParamId slope_ = 0;
};

}  // namespace gemel
