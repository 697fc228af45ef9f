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

// How weights start; biases start at 0.
//   he      normal, variance 2 / fan_in (He, Zhang, Ren, Sun 2015): for layers a ReLU follows. The default.
//   xavier  uniform, variance 1 / fan_in (Caffe's `xavier` filler): for layers without one, as in lenet.
enum class WeightInit { he, xavier };

Initializer weight_initializer(WeightInit init, int fan_in, int fan_out);
WeightInit parse_weight_init(TextLine& line);        // the word after "init"
std::string_view weight_init_text(WeightInit init);  // " init xavier", or nothing for the default

// Each throws ShapeError "LAYER: ...".
void check_image(const std::string& layer, const Shape& input);  // rank 3: (H,W,C)
void check_window(const std::string& layer, Size2 input, Size2 window, Size2 stride, Size2 pad);
// One tensor holds at most 2^31 - 1 numbers, so that a kernel may index it with an int.
void check_count(const std::string& layer, std::string_view what, const Shape& shape);

}  // namespace gemel
