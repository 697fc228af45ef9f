// SPDX-License-Identifier: MIT
//
// Linear: shapes and text; the arithmetic is the device's.
#include "layers/linear.h"

namespace gemel {

std::unique_ptr<Layer> Linear::parse(TextLine& line) {
  const int features = line.number("number of features", 1, kMaxChannels);
  bool bias = true;
  WeightInit init = WeightInit::he;
  BiasInit bias_init;
  while (line.more()) {
    const std::string_view option = line.option({"init", "bias", "nobias"});
    if (option == "init") init = parse_weight_init(line);
    if (option == "bias") bias_init = parse_bias_init(line);
    if (option == "nobias") bias = false;
  }
  return std::make_unique<Linear>(features, bias, init, bias_init);
}

std::string Linear::text() const {
  return concat("linear ", features_, weight_init_text(init_), has_bias_ ? bias_init_text(bias_init_) : " nobias");
}

std::string Linear::describe() const {
  return in_ > 0 ? concat("Linear(", in_, " -> ", features_, ")") : concat("Linear(", features_, ")");
}

std::unique_ptr<Linear> Linear::with_features(int features) const {
  return std::make_unique<Linear>(features, has_bias_, init_, bias_init_);
}

Shape Linear::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  check_count(describe(), "input", input);
  in_ = static_cast<int>(input.count());
  if (features_ < 1) throw ShapeError(concat(describe(), ": the number of features must be at least 1"));
  const Shape weight{features_, in_};
  check_count(describe(), "weight", weight);
  weight_ = parameters.declare(prefix + ".weight", weight, weight_initializer(init_, in_, features_));
  if (has_bias_) bias_ = parameters.declare(prefix + ".bias", {features_}, bias_initializer(bias_init_));
  return {features_};
}

std::size_t Linear::scratch_bytes(const PlanContext& context) const {
  return context.kernels.linear_scratch(shape_of(context.n));
}

std::size_t Linear::packed_bytes(const PlanContext& context) const {
  return context.kernels.linear_packed_bytes(shape_of(context.n));
}

void Linear::pack(const LayerContext& context, void* packed) const {
  context.kernels.linear_pack(context.queue, shape_of(1), context.parameters.value(weight_), packed);
}

void Linear::forward(const LayerContext& context, const ForwardIo& io) const {
  const Parameters& parameters = context.parameters;
  context.kernels.linear_fprop(context.queue, shape_of(io.n), io.x, parameters.value(weight_), io.packed,
                               has_bias_ ? parameters.value(bias_) : nullptr, io.y);
}

void Linear::backward(const LayerContext& context, const BackwardIo& io) const {
  const Parameters& parameters = context.parameters;
  context.kernels.linear_wgrad(context.queue, shape_of(io.n), io.x, io.dy, parameters.gradient(weight_),
                               has_bias_ ? parameters.gradient(bias_) : nullptr);
  if (io.dx != nullptr) {
    context.kernels.linear_dgrad(context.queue, shape_of(io.n), io.dy, parameters.value(weight_), io.dx);
  }
}

}  // namespace gemel
