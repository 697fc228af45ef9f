// SPDX-License-Identifier: MIT
//
// Conv2d: shapes and text; the arithmetic is the device's.
#include "layers/conv2d.h"

namespace gemel {

Conv2dOptions parse_conv2d_options(TextLine& line) {
  Conv2dOptions options{.filters = line.number("number of filters", 1, kMaxChannels),
                        .window = line.size("filter size", 1, kMaxWindow)};
  while (line.more()) {
    const std::string_view option = line.option({"stride", "pad", "init", "bias", "nobias"});
    if (option == "stride") options.stride = line.size("stride", 1, kMaxWindow);
    if (option == "pad") {
      options.same = line.take("same");
      if (!options.same) options.pad = line.size("padding", 0, kMaxWindow);
    }
    if (option == "init") options.init = parse_weight_init(line);
    if (option == "bias") options.bias_init = parse_bias_init(line);
    if (option == "nobias") options.bias = false;
  }
  return options;
}

std::string conv2d_options_text(const Conv2dOptions& o) {
  std::string line = concat(o.filters, " ", o.window.h, "x", o.window.w);
  if (o.stride.h != 1 || o.stride.w != 1) line += " stride " + size_text(o.stride.h, o.stride.w);
  if (o.same) {
    line += " pad same";
  } else if (o.pad.h != 0 || o.pad.w != 0) {
    line += " pad " + size_text(o.pad.h, o.pad.w);
  }
  line += weight_init_text(o.init);
  line += o.bias ? bias_init_text(o.bias_init) : " nobias";
  return line;
}

std::string describe_conv2d(std::string_view kind, int channels, const Conv2dOptions& o) {
  std::string text = concat(kind, "(");
  if (channels > 0) text += concat(channels, " -> ");
  text += concat(o.filters, ", ", o.window.h, "x", o.window.w);
  if (o.stride.h != 1 || o.stride.w != 1) text += ", stride " + size_text(o.stride.h, o.stride.w);
  if (o.same) {
    text += ", pad same";
  } else if (o.pad.h != 0 || o.pad.w != 0) {
    text += ", pad " + size_text(o.pad.h, o.pad.w);
  }
  return text + ")";
}

Conv2dShape conv2d_shape(std::string_view kind, Conv2dOptions& o, const Shape& input) {
  check_image(describe_conv2d(kind, 0, o), input);
  const std::string layer = describe_conv2d(kind, input[2], o);
  if (o.filters < 1) throw ShapeError(concat(layer, ": the number of filters must be at least 1"));
  if (o.same) {
    if (o.window.h % 2 == 0 || o.window.w % 2 == 0) {
      throw ShapeError(concat(layer, ": pad same needs odd filter sizes"));
    }
    o.pad = {(o.window.h - 1) / 2, (o.window.w - 1) / 2};
  }
  check_window(layer, {input[0], input[1]}, o.window, o.stride, o.pad);
  const Conv2dShape shape{.n = 0,
                          .h = input[0],
                          .w = input[1],
                          .c = input[2],
                          .k = o.filters,
                          .r = o.window.h,
                          .s = o.window.w,
                          .stride_h = o.stride.h,
                          .stride_w = o.stride.w,
                          .pad_h = o.pad.h,
                          .pad_w = o.pad.w};
  check_count(layer, "weight", {shape.k, shape.r, shape.s, shape.c});
  check_count(layer, "output", {shape.p(), shape.q(), shape.k});
  return shape;
}

std::unique_ptr<Layer> Conv2d::parse(TextLine& line) { return std::make_unique<Conv2d>(parse_conv2d_options(line)); }

std::string Conv2d::text() const { return concat("conv ", conv2d_options_text(options_)); }

std::string Conv2d::describe() const { return describe_conv2d("Conv2d", shape_.c, options_); }

Shape Conv2d::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  Conv2dOptions& o = options_;
  shape_ = conv2d_shape("Conv2d", o, input);
  const Shape weight{shape_.k, shape_.r, shape_.s, shape_.c}, output{shape_.p(), shape_.q(), shape_.k};
  const int taps = shape_.r * shape_.s;
  weight_ =
      parameters.declare(prefix + ".weight", weight, weight_initializer(o.init, taps * shape_.c, taps * shape_.k));
  if (o.bias) bias_ = parameters.declare(prefix + ".bias", {shape_.k}, bias_initializer(o.bias_init));
  return output;
}

Conv2dShape Conv2d::shape_of(int n) const {
  Conv2dShape shape = shape_;
  shape.n = n;
  return shape;
}

std::size_t Conv2d::scratch_bytes(const PlanContext& context) const {
  return context.kernels.conv2d_scratch(shape_of(context.n));
}

double Conv2d::flops() const { return 2.0 * shape_.p() * shape_.q() * shape_.k * shape_.r * shape_.s * shape_.c; }

void Conv2d::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.conv2d_fprop(context.queue, shape_of(io.n), io.x, weight(context.parameters),
                               bias(context.parameters), io.y);
}

void Conv2d::backward(const LayerContext& context, const BackwardIo& io) const {
  const Conv2dShape shape = shape_of(io.n);
  context.kernels.conv2d_wgrad(context.queue, shape, io.x, io.dy, weight_gradient(context.parameters),
                               bias_gradient(context.parameters));
  if (io.dx != nullptr) {
    context.kernels.conv2d_dgrad(context.queue, shape, io.dy, weight(context.parameters), io.dx);
  }
}

}  // namespace gemel
