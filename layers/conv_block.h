// SPDX-License-Identifier: MIT
//
// ConvBlockLayer: a convolution and the ReLU and 2x2 max-pool after it, as one step of a plan; for inference also the
// affine or trained batch normalisation directly behind the convolution, whose scale and shift go into the packed
// filters and cost nothing. No network has one: a plan makes it from the layers it merges.
#pragma once

#include <span>

#include "layers/channel_layer.h"
#include "layers/conv2d.h"

namespace gemel {

class ConvBlockLayer : public Layer {
 public:
  // How many of the first `layers` (built) make one block: a convolution, and behind it, if they are there, a ReLU and a
  // max-pool of 2x2 windows that do not overlap, in either order (the maximum of rectified numbers is the rectified
  // maximum). Not in `training`: between them and the convolution an Affine or a BatchNorm. 0: the first layer is no
  // convolution.
  static std::size_t length(std::span<const std::unique_ptr<Layer>> layers, bool training);
  // The block of these layers, which it refers to. One with an Affine or a BatchNorm runs forward from what pack()
  // wrote, and has no backward.
  explicit ConvBlockLayer(std::span<const std::unique_ptr<Layer>> layers);

  std::string describe() const override;
  std::string text() const override { return text_; }  // of its layers
  // The layers are built already. Throws std::logic_error.
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool backward_needs_output() const override { return relu_; }
  std::size_t saved_bytes(const PlanContext& context) const override;
  std::size_t scratch_bytes(const PlanContext& context) const override;
  std::size_t packed_bytes(const PlanContext& context) const override;
  void pack(const LayerContext& context, void* packed) const override;
  double flops() const override { return conv_.flops(); }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  ConvBlock block(int n) const { return {.conv = conv_.shape_of(n), .relu = relu_, .pool = pool_}; }
  std::size_t filter_bytes() const;
  std::size_t bias_bytes() const;  // room for the folded bias in front of what is packed

  const Conv2d& conv_;
  const ChannelAffine* affine_ = nullptr;
  bool relu_ = false, pool_ = false;
  std::string text_;
};

}  // namespace gemel
