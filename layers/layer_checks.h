// SPDX-License-Identifier: MIT
//
// Checks that several layers make while they are built, and the starting values they share.
#pragma once

#include <string>
#include <string_view>

#include "engine/buffer.h"
#include "engine/parameters.h"
#include "layers/text_line.h"

namespace gemel {

// How weights start.
//   he          normal, variance 2 / fan_in (He, Zhang, Ren, Sun 2015): for layers a ReLU follows. The default.
//   xavier      uniform, variance 1 / fan_in (Caffe's `xavier` filler): for layers without one, as in lenet.
//   glorot      uniform, variance 2 / (fan_in + fan_out) (Glorot, Bengio 2010)
//   normal STD  normal with that standard deviation
struct WeightInit {
  enum Kind { he, xavier, glorot, normal } kind = he;
  float deviation = 0;  // normal
  constexpr WeightInit(Kind a_kind = he, float a_deviation = 0) : kind(a_kind), deviation(a_deviation) {}
};

// How biases start: at `mean`, or normal about it. 0 unless told.
struct BiasInit {
  float mean = 0, deviation = 0;
};

Initializer weight_initializer(WeightInit init, int fan_in, int fan_out);
WeightInit parse_weight_init(TextLine& line);   // the words after "init"
std::string weight_init_text(WeightInit init);  // " init xavier", or nothing for the default

Initializer bias_initializer(BiasInit init);
BiasInit parse_bias_init(TextLine& line);   // the words after "bias": VALUE, or "normal" MEAN STD
std::string bias_init_text(BiasInit init);  // " bias 0.5", or nothing for the default

// Each throws ShapeError "LAYER: ...".
void check_image(const std::string& layer, const Shape& input);  // rank 3: (H,W,C)
void check_window(const std::string& layer, Size2 input, Size2 window, Size2 stride, Size2 pad);
// One tensor holds at most 2^31 - 1 numbers, so that a kernel may index it with an int.
void check_count(const std::string& layer, std::string_view what, const Shape& shape);

}  // namespace gemel
