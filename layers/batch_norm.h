// SPDX-License-Identifier: MIT
//
// BatchNorm: channels at mean 0 and variance 1 over the batch, then scaled and shifted.
#pragma once

#include "layers/channel_layer.h"
#include "layers/text_line.h"

namespace gemel {

// y = gamma (x - mean) / sqrt(variance + epsilon) + beta on any shape (...,C) (Ioffe & Szegedy 2015).
//
// While training, mean and variance are the batch's, over all its rows and pixels. Both twins are in one batch, so it
// couples them: each row's output depends on all rows, and a pair's distance in training is not yet that of the trained
// network. Afterwards they are running averages, and the layer is an affine; then rows do not depend on each other, and
// a plan makes it part of the convolution before it.
//
// Parameters: PREFIX.gamma (C), 1 at first, and PREFIX.beta (C). Buffers, saved with them but not trained:
// PREFIX.running_mean (C) and PREFIX.running_variance (C), 1 at first; each forward pass in training moves them by
// BatchNormParams::momentum. Saved: mean and 1 / sqrt(variance + epsilon), (C) each.
class BatchNorm : public ChannelAffine {
 public:
  static constexpr std::string_view kUsage = "batchnorm";
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<BatchNorm>(); }

  std::string describe() const override { return "BatchNorm"; }
  std::string text() const override { return "batchnorm"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  std::size_t saved_bytes(const PlanContext& context) const override;
  std::size_t scratch_bytes(const PlanContext& context) const override;
  // In inference: scale and shift.
  std::size_t packed_bytes(const PlanContext& context) const override;
  void pack(const LayerContext& context, void* packed) const override;
  ScaleShift scale_shift(const LayerContext& context, float* memory) const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  std::size_t pair_bytes() const { return 2 * sizeof(float) * static_cast<std::size_t>(channels()); }

  BatchNormParams params_;
  ParamId gamma_ = 0, beta_ = 0, running_mean_ = 0, running_variance_ = 0;
};

}  // namespace gemel
