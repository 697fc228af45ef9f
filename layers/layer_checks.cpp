// SPDX-License-Identifier: MIT
//
// Shared checks of the layers.
#include "layers/layer_checks.h"

#include <limits>

#include "engine/error.h"

namespace gemel {

Initializer weight_initializer(WeightInit init, int fan_in, int fan_out) {
  const auto kind = init == WeightInit::he ? Initializer::Kind::he_normal : Initializer::Kind::caffe_xavier;
  return {.kind = kind, .fan_in = fan_in, .fan_out = fan_out};
}

WeightInit parse_weight_init(TextLine& line) {
  const std::string_view name = line.word("initialiser");
  if (name == "he") return WeightInit::he;
  if (name == "xavier") return WeightInit::xavier;
  line.fail(concat("unknown initialiser '", printable(name), "'"));
}

std::string_view weight_init_text(WeightInit init) { return init == WeightInit::xavier ? " init xavier" : ""; }

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
