// SPDX-License-Identifier: MIT
//
// Residual and ResidualEnd: shapes; the arithmetic is the device's.
#include "layers/residual.h"

#include "layers/elementwise.h"
#include "layers/layer_checks.h"

namespace gemel {
namespace {

// Rows of features are images of one pixel.
struct Image {
  int h, w, c;
};
Image image_of(const Shape& shape) {
  return shape.rank() == 3 ? Image{shape[0], shape[1], shape[2]} : Image{1, 1, shape[0]};
}

std::size_t count_of(const Shape& row, int n) { return row.count() * static_cast<std::size_t>(n); }

}  // namespace

// ---- start
std::unique_ptr<Layer> Residual::parse(TextLine& line) {
  bool pool = false;
  if (line.more()) {
    line.option({"avgpool"});
    line.number("window", 2, 2);
    pool = true;
  }
  return std::make_unique<Residual>(pool);
}

Shape Residual::build(const Shape& input, const std::string&, Parameters&) {
  input_ = skip_ = input;
  if (pool_) {
    check_image(describe(), input);
    check_window(describe(), {input[0], input[1]}, {2, 2}, {2, 2}, {0, 0});
    skip_ = {pool_of(1).p(), pool_of(1).q(), input[2]};
  }
  return input;
}

Pool2dShape Residual::pool_of(int n) const {
  const Image image = image_of(input_);
  return {.n = n, .h = image.h, .w = image.w, .c = image.c, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2};
}

void Residual::forward(const LayerContext& context, const ForwardIo& io) const {
  if (pool_) {
    context.kernels.avgpool2d_forward(context.queue, pool_of(io.n), PadCount::exclude, io.x, io.skip);
  } else {
    pass_on(context, count_of(input_, io.n), io.x, io.skip);
  }
  pass_on(context, count_of(input_, io.n), io.x, io.y);
}

void Residual::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx == nullptr) return;
  const float* of_skip = io.dskip;
  if (pool_) {
    context.kernels.avgpool2d_backward(context.queue, pool_of(io.n), PadCount::exclude, io.dskip, io.dx);
    of_skip = io.dx;
  }
  const auto [h, w, c] = image_of(input_);
  context.kernels.residual_add(context.queue, {io.n, h, w, c, h, w, c}, io.dy, of_skip, io.dx);
}

// ---- end
std::string ResidualEnd::describe() const {
  return main_.rank() == 0 ? "ResidualEnd" : concat("ResidualEnd(", main_.str(), " + ", start_.skip_shape().str(), ")");
}

Shape ResidualEnd::build(const Shape& input, const std::string&, Parameters&) {
  main_ = input;
  if (input.rank() != start_.skip_shape().rank()) {
    throw ShapeError(concat(describe(), ": an image and a row of features cannot be added"));
  }
  const ResidualShape s = shape_of(1);
  sum_ = input.rank() == 3 ? Shape{s.h(), s.w(), s.c()} : Shape{s.c()};
  check_count(describe(), "output", sum_);
  return sum_;
}

ResidualShape ResidualEnd::shape_of(int n) const {
  const Image main = image_of(main_), skip = image_of(start_.skip_shape());
  return {n, main.h, main.w, main.c, skip.h, skip.w, skip.c};
}

void ResidualEnd::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.residual_add(context.queue, shape_of(io.n), io.x, io.skip, io.y);
}

void ResidualEnd::backward(const LayerContext& context, const BackwardIo& io) const {
  context.kernels.residual_split(context.queue, shape_of(io.n), io.dy, io.dx == io.dy ? nullptr : io.dx,
                                 io.dskip == io.dy ? nullptr : io.dskip);
}

int nesting(const Layer& layer) {
  if (dynamic_cast<const Residual*>(&layer) != nullptr) return 1;
  return dynamic_cast<const ResidualEnd*>(&layer) != nullptr ? -1 : 0;
}

}  // namespace gemel
