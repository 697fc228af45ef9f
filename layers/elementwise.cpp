// SPDX-License-Identifier: MIT
//
// ActivationLayer, Flatten and L2Normalize: shapes; the arithmetic is the device's.
#include "layers/elementwise.h"

#include "layers/layer_checks.h"

namespace gemel {

void pass_on(const LayerContext& context, std::size_t count, const float* from, float* to) {
  if (from != to) context.kernels.activation_forward(context.queue, Activation::none, count, from, to);
}

// ---- activations
std::unique_ptr<Layer> ActivationLayer::parse(TextLine& line) {
  return std::make_unique<ActivationLayer>(line.keyword() == "relu" ? Activation::relu : Activation::sigmoid);
}

Shape ActivationLayer::build(const Shape& input, const std::string&, Parameters&) {
  row_ = input.count();
  return input;
}

void ActivationLayer::forward(const LayerContext& context, const ForwardIo& io) const {
  const std::size_t count = row_ * static_cast<std::size_t>(io.n);
  context.kernels.activation_forward(context.queue, kind_, count, io.x, io.y);
}

void ActivationLayer::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx == nullptr) return;
  const std::size_t count = row_ * static_cast<std::size_t>(io.n);
  context.kernels.activation_backward(context.queue, kind_, count, io.y, io.dy, io.dx);
}

// ---- flatten
Shape Flatten::build(const Shape& input, const std::string&, Parameters&) {
  check_count(describe(), "input", input);
  row_ = input.count();
  return {static_cast<int>(row_)};
}

void Flatten::forward(const LayerContext& context, const ForwardIo& io) const {
  pass_on(context, row_ * static_cast<std::size_t>(io.n), io.x, io.y);
}

void Flatten::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx != nullptr) pass_on(context, row_ * static_cast<std::size_t>(io.n), io.dy, io.dx);
}

// ---- normalisation
Shape L2Normalize::build(const Shape& input, const std::string&, Parameters&) {
  if (input.rank() != 1) {
    throw ShapeError(concat(describe(), ": input is ", input.str(), ", must be one row of features; flatten it first"));
  }
  features_ = input[0];
  return input;
}

std::size_t L2Normalize::saved_bytes(const PlanContext& context) const {
  return static_cast<std::size_t>(context.n) * sizeof(float);
}

void L2Normalize::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.l2_normalize_forward(context.queue, io.n, features_, kEpsilon, io.x, io.y,
                                       static_cast<float*>(io.saved));
}

void L2Normalize::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx == nullptr) return;
  context.kernels.l2_normalize_backward(context.queue, io.n, features_, io.y, static_cast<const float*>(io.saved),
                                        io.dy, io.dx);
}

}  // namespace gemel
