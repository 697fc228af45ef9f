// SPDX-License-Identifier: MIT
//
// Affine: parameters; the arithmetic is the device's.
#include "layers/affine.h"

namespace gemel {

Shape Affine::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  const Shape output = build_channels(input);
  scale_ = parameters.declare(prefix + ".scale", {channels()}, {.kind = Initializer::Kind::constant, .value = 1});
  shift_ = parameters.declare(prefix + ".shift", {channels()}, {});
  return output;
}

ScaleShift Affine::scale_shift(const LayerContext& context, float*) const {
  return {context.parameters.value(scale_), context.parameters.value(shift_)};
}

void Affine::forward(const LayerContext& context, const ForwardIo& io) const {
  const auto [scale, shift] = scale_shift(context, nullptr);
  context.kernels.affine_forward(context.queue, channel_rows(io.n), channels(), io.x, scale, shift, io.y);
}

void Affine::backward(const LayerContext& context, const BackwardIo& io) const {
  const Parameters& p = context.parameters;
  context.kernels.affine_backward(context.queue, channel_rows(io.n), channels(), io.x, p.value(scale_), io.dy, io.dx,
                                  p.gradient(scale_), p.gradient(shift_));
}

}  // namespace gemel
