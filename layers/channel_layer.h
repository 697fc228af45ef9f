// SPDX-License-Identifier: MIT
//
// What Affine, BatchNorm and PRelu share: they treat n rows of (...,C) as M = n * ... rows of C channels, and their
// backward reads x, so that they work in place only after training.
#pragma once

#include "layers/layer.h"

namespace gemel {

class ChannelLayer : public Layer {
 public:
  bool in_place(bool training) const override { return !training; }
  std::size_t scratch_bytes(const PlanContext& context) const override {
    return context.training ? context.kernels.channel_scratch(channel_rows(context.n), channels_) : 0;
  }

 protected:
  Shape build_channels(const Shape& input) {
    channels_ = input[input.rank() - 1];
    pixels_ = input.count() / static_cast<std::size_t>(channels_);
    return input;
  }
  int channels() const { return channels_; }
  std::size_t channel_rows(int n) const { return pixels_ * static_cast<std::size_t>(n); }  // M

 private:
  int channels_ = 0;  // 0 until built
  std::size_t pixels_ = 0;
};

// (C) each, in device memory.
struct ScaleShift {
  const float *scale, *shift;
};

// A layer that, once trained, is y = x * scale[c] + shift[c], and so can be part of the convolution before it.
class ChannelAffine : public ChannelLayer {
 public:
  // `memory` holds 2 C floats that it may write them to.
  virtual ScaleShift scale_shift(const LayerContext& context, float* memory) const = 0;
};

}  // namespace gemel
