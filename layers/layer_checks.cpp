// SPDX-License-Identifier: MIT
//
// Shared checks of the layers.
#include "layers/layer_checks.h"

#include <limits>

#include "engine/error.h"

namespace gemel {

namespace {

constexpr float kMostStart = 1000;  // no weight starts anywhere near it

float parse_deviation(TextLine& line) { return line.real("standard deviation", 0, kMostStart); }

}  // namespace

Initializer weight_initializer(WeightInit init, int fan_in, int fan_out) {
  using Kind = Initializer::Kind;
  switch (init.kind) {
    case WeightInit::he:
      return {.kind = Kind::he_normal, .fan_in = fan_in, .fan_out = fan_out};
    case WeightInit::xavier:
      return {.kind = Kind::caffe_xavier, .fan_in = fan_in, .fan_out = fan_out};
    case WeightInit::glorot:
      return {.kind = Kind::glorot_uniform, .fan_in = fan_in, .fan_out = fan_out};
    case WeightInit::normal:
      break;
  }
  return {.kind = Kind::normal, .value = init.deviation};
}

WeightInit parse_weight_init(TextLine& line) {
  const std::string_view name = line.word("initialiser");
  if (name == "he") return WeightInit::he;
  if (name == "xavier") return WeightInit::xavier;
  if (name == "glorot") return WeightInit::glorot;
  if (name == "normal") return {WeightInit::normal, parse_deviation(line)};
  line.fail(concat("unknown initialiser '", printable(name), "'"));
}

std::string weight_init_text(WeightInit init) {
  switch (init.kind) {
    case WeightInit::he:
      return "";
    case WeightInit::xavier:
      return " init xavier";
    case WeightInit::glorot:
      return " init glorot";
    case WeightInit::normal:
      break;
  }
  return " init normal " + real_text(init.deviation);
}

Initializer bias_initializer(BiasInit init) {
  if (init.deviation != 0) return {.kind = Initializer::Kind::normal, .value = init.deviation, .mean = init.mean};
  if (init.mean != 0) return {.kind = Initializer::Kind::constant, .value = init.mean};
  return {};
}

BiasInit parse_bias_init(TextLine& line) {
  const bool normal = line.take("normal");
  BiasInit init{.mean = line.real("bias", -kMostStart, kMostStart)};
  if (normal) init.deviation = parse_deviation(line);
  return init;
}

std::string bias_init_text(BiasInit init) {
  if (init.deviation != 0) return concat(" bias normal ", real_text(init.mean), " ", real_text(init.deviation));
  return init.mean != 0 ? " bias " + real_text(init.mean) : "";
}

void check_image(const std::string& layer, const Shape& input) {
  if (input.rank() != 3) throw ShapeError(concat(layer, ": input is ", input.str(), ", must be HxWxC"));
}

void check_window(const std::string& layer, Size2 input, Size2 window, Size2 stride, Size2 pad) {
  const auto check = [&](int size, int length, int step, int border, const char* direction) {
    if (length < 1 || step < 1 || border < 0) {
      throw ShapeError(concat(layer, ": window and stride must be at least 1, padding at least 0"));
    }
    // A window that lies in the padding alone has no maximum and no mean.
    if (border >= length) {
      throw ShapeError(
          concat(layer, ": padding ", border, " must be smaller than the window's ", direction, " ", length));
    }
    if (size + 2 * border < length) {
      throw ShapeError(concat(layer, ": input ", direction, " ", size, " with padding ", border,
                              " is smaller than the window's ", length));
    }
  };
  check(input.h, window.h, stride.h, pad.h, "height");
  check(input.w, window.w, stride.w, pad.w, "width");
}

void check_count(const std::string& layer, std::string_view what, const Shape& shape) {
  constexpr std::size_t kMost = std::numeric_limits<int>::max();
  if (shape.count() > kMost) {
    throw ShapeError(concat(layer, ": ", what, " ", shape.str(), " has ", shape.count(), " numbers, at most ", kMost,
                            " are possible"));
  }
}

}  // namespace gemel
