// SPDX-License-Identifier: MIT
//
// MaxPool2d, AvgPool2d and GlobalAvgPool2d: shapes and text; the arithmetic is the device's.
#include "layers/pool2d.h"

#include "layers/layer_checks.h"

namespace gemel {

// ---- shared
Pool2d::Pool2d(const Pool2dOptions& options) : options_(options) {
  if (options_.stride.h == 0 && options_.stride.w == 0) options_.stride = options_.window;
}

Pool2dOptions Pool2d::parse_window(TextLine& line) { return {.window = line.size("window", 1, kMaxWindow)}; }

void Pool2d::parse_option(TextLine& line, std::string_view option, Pool2dOptions& options) {
  if (option == "stride") options.stride = line.size("stride", 1, kMaxWindow);
  if (option == "pad") options.pad = line.size("padding", 0, kMaxWindow);
  if (option == "ceil") options.ceil = true;
}

std::string Pool2d::options_text() const {
  const Pool2dOptions& o = options_;
  std::string text = concat(" ", size_text(o.window.h, o.window.w));
  if (o.stride.h != o.window.h || o.stride.w != o.window.w) text += " stride " + size_text(o.stride.h, o.stride.w);
  if (o.pad.h != 0 || o.pad.w != 0) text += " pad " + size_text(o.pad.h, o.pad.w);
  if (o.ceil) text += " ceil";
  return text;
}

std::string Pool2d::options_describe() const {
  const Pool2dOptions& o = options_;
  std::string text = concat(o.window.h, "x", o.window.w, ", stride ", size_text(o.stride.h, o.stride.w));
  if (o.pad.h != 0 || o.pad.w != 0) text += ", pad " + size_text(o.pad.h, o.pad.w);
  if (o.ceil) text += ", ceil";
  return text;
}

Shape Pool2d::build(const Shape& input, const std::string&, Parameters&) {
  check_image(describe(), input);
  const Pool2dOptions& o = options_;
  check_window(describe(), {input[0], input[1]}, o.window, o.stride, o.pad);
  shape_ = {.n = 0,
            .h = input[0],
            .w = input[1],
            .c = input[2],
            .r = o.window.h,
            .s = o.window.w,
            .stride_h = o.stride.h,
            .stride_w = o.stride.w,
            .pad_h = o.pad.h,
            .pad_w = o.pad.w,
            .ceil_mode = o.ceil};
  const Shape output{shape_.p(), shape_.q(), shape_.c};
  check_count(describe(), "output", output);  // padding makes it larger than the input
  return output;
}

Pool2dShape Pool2d::shape_of(int n) const {
  Pool2dShape shape = shape_;
  shape.n = n;
  return shape;
}

// ---- maximum
std::unique_ptr<Layer> MaxPool2d::parse(TextLine& line) {
  Pool2dOptions options = parse_window(line);
  while (line.more()) parse_option(line, line.option({"stride", "pad", "ceil"}), options);
  return std::make_unique<MaxPool2d>(options);
}

Shape MaxPool2d::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  constexpr int kMostTaps = 256;  // a tap's number is saved as one byte
  const Shape output = Pool2d::build(input, prefix, parameters);
  const Pool2dShape shape = shape_of(0);
  if (shape.r * shape.s > kMostTaps) {
    throw ShapeError(concat(describe(), ": a window has at most ", kMostTaps, " taps, not ", shape.r * shape.s));
  }
  return output;
}

std::size_t MaxPool2d::saved_bytes(const PlanContext& context) const {
  const Pool2dShape shape = shape_of(context.n);
  return static_cast<std::size_t>(shape.n) * shape.p() * shape.q() * shape.c;
}

void MaxPool2d::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.maxpool2d_forward(context.queue, shape_of(io.n), io.x, io.y, static_cast<std::uint8_t*>(io.saved));
}

void MaxPool2d::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx == nullptr) return;
  context.kernels.maxpool2d_backward(context.queue, shape_of(io.n), io.dy, static_cast<const std::uint8_t*>(io.saved),
                                     io.dx);
}

// ---- mean
std::unique_ptr<Layer> AvgPool2d::parse(TextLine& line) {
  Pool2dOptions options = parse_window(line);
  PadCount count = PadCount::exclude;
  while (line.more()) {
    const std::string_view option = line.option({"stride", "pad", "ceil", "count_pad"});
    if (option == "count_pad") count = PadCount::include;
    parse_option(line, option, options);
  }
  return std::make_unique<AvgPool2d>(options, count);
}

std::string AvgPool2d::text() const {
  return concat("avgpool", options_text(), count_ == PadCount::include ? " count_pad" : "");
}

std::string AvgPool2d::describe() const {
  return concat("AvgPool2d(", options_describe(), count_ == PadCount::include ? ", count_pad" : "", ")");
}

void AvgPool2d::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.avgpool2d_forward(context.queue, shape_of(io.n), count_, io.x, io.y);
}

void AvgPool2d::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx != nullptr) context.kernels.avgpool2d_backward(context.queue, shape_of(io.n), count_, io.dy, io.dx);
}

// ---- mean of everything
Shape GlobalAvgPool2d::build(const Shape& input, const std::string&, Parameters&) {
  check_image(describe(), input);
  h_ = input[0], w_ = input[1], c_ = input[2];
  return {c_};
}

Pool2dShape GlobalAvgPool2d::shape_of(int n) const {
  return {.n = n, .h = h_, .w = w_, .c = c_, .r = h_, .s = w_, .stride_h = h_, .stride_w = w_};
}

void GlobalAvgPool2d::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.avgpool2d_forward(context.queue, shape_of(io.n), PadCount::exclude, io.x, io.y);
}

void GlobalAvgPool2d::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx == nullptr) return;
  context.kernels.avgpool2d_backward(context.queue, shape_of(io.n), PadCount::exclude, io.dy, io.dx);
}

}  // namespace gemel
