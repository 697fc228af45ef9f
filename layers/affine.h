// SPDX-License-Identifier: MIT
//
// Affine: a learnt scale and shift for each channel.
#pragma once

#include "layers/channel_layer.h"
#include "layers/text_line.h"

namespace gemel {

// y = x * scale[c] + shift[c] on any shape (...,C). Batch normalisation that was trained elsewhere is one (dlib's
// `affine`). Parameters: PREFIX.scale (C), 1 at first, and PREFIX.shift (C).
class Affine : public ChannelAffine {
 public:
  static constexpr std::string_view kUsage = "affine";
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<Affine>(); }

  std::string describe() const override { return "Affine"; }
  std::string text() const override { return "affine"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  ScaleShift scale_shift(const LayerContext& context, float* memory) const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  ParamId scale_ = 0, shift_ = 0;
};

}  // namespace gemel
