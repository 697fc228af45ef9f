// SPDX-License-Identifier: MIT
//
// LocallyConnected2d: shapes and text; the arithmetic is the device's.
#include "layers/locally_connected2d.h"

namespace gemel {

std::unique_ptr<Layer> LocallyConnected2d::parse(TextLine& line) {
  return std::make_unique<LocallyConnected2d>(parse_conv2d_options(line));
}

std::string LocallyConnected2d::text() const { return concat("local ", conv2d_options_text(options_)); }

std::string LocallyConnected2d::describe() const { return describe_conv2d("LocallyConnected2d", shape_.c, options_); }

Shape LocallyConnected2d::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  const Conv2dOptions& o = options_;
  shape_ = conv2d_shape("LocallyConnected2d", options_, input);
  const Shape weight{shape_.p(), shape_.q(), shape_.k, shape_.r, shape_.s, shape_.c};
  check_count(describe(), "weight", weight);
  const Shape output{shape_.p(), shape_.q(), shape_.k};
  const int taps = shape_.r * shape_.s;
  weight_ =
      parameters.declare(prefix + ".weight", weight, weight_initializer(o.init, taps * shape_.c, taps * shape_.k));
  if (o.bias) bias_ = parameters.declare(prefix + ".bias", output, bias_initializer(o.bias_init));
  return output;
}

Conv2dShape LocallyConnected2d::shape_of(int n) const {
  Conv2dShape shape = shape_;
  shape.n = n;
  return shape;
}

std::size_t LocallyConnected2d::scratch_bytes(const PlanContext& context) const {
  return context.kernels.local2d_scratch(shape_of(context.n));
}

double LocallyConnected2d::flops() const {
  return 2.0 * shape_.p() * shape_.q() * shape_.k * shape_.r * shape_.s * shape_.c;
}

void LocallyConnected2d::forward(const LayerContext& context, const ForwardIo& io) const {
  const Parameters& parameters = context.parameters;
  context.kernels.local2d_fprop(context.queue, shape_of(io.n), io.x, parameters.value(weight_),
                                options_.bias ? parameters.value(bias_) : nullptr, io.y);
}

void LocallyConnected2d::backward(const LayerContext& context, const BackwardIo& io) const {
  const Parameters& parameters = context.parameters;
  const Conv2dShape shape = shape_of(io.n);
  context.kernels.local2d_wgrad(context.queue, shape, io.x, io.dy, parameters.gradient(weight_),
                                options_.bias ? parameters.gradient(bias_) : nullptr);
  if (io.dx != nullptr) {
    context.kernels.local2d_dgrad(context.queue, shape, io.dy, parameters.value(weight_), io.dx);
  }
}

}  // namespace gemel
