// SPDX-License-Identifier: MIT
//
// PRelu: parameters; the arithmetic is the device's.
#include "layers/prelu.h"

namespace gemel {

Shape PRelu::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  const Shape output = build_channels(input);
  slope_ = parameters.declare(prefix + ".slope", {channels()}, {.kind = Initializer::Kind::constant, .value = 0.25f});
  return output;
}

void PRelu::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.prelu_forward(context.queue, channel_rows(io.n), channels(), io.x, context.parameters.value(slope_),
                                io.y);
}

void PRelu::backward(const LayerContext& context, const BackwardIo& io) const {
  const Parameters& p = context.parameters;
  context.kernels.prelu_backward(context.queue, channel_rows(io.n), channels(), io.x, p.value(slope_), io.dy, io.dx,
                                 p.gradient(slope_));
}

}  // namespace gemel
