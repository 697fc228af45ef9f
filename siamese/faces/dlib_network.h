// SPDX-License-Identifier: MIT
//
// A network that dlib wrote (dlib/dnn/core.h, layers.h, input.h), as one of ours.
#pragma once

#include <array>
#include <map>
#include <string>
#include <vector>

#include "engine/checkpoint.h"
#include "siamese/faces/dlib_archive.h"

namespace gemel {

struct DlibNetwork {
  int height = 0, width = 0;                             // of the picture; 0: any
  std::vector<float> mean, deviation;                    // per channel (R,G,B), of pixels / 255
  std::string layers;                                    // a line each, without the 'input' line
  std::map<std::string, TensorFile::Tensor> parameters;  // by the names that Network gives them, in our layouts
  int channels = 0;                                      // of the output
};

// Moves past the network. It understands convolutions, affine (frozen batch normalisation), ReLU, pools, fully connected
// layers without spatial input, and residual blocks `add_prev(block(tag(x)))` and `add_prev(avg_pool<2,2,2,2>(skip(tag(
// block(tag(x))))))`. Throws InputError naming the byte and the layer that it does not.
DlibNetwork read_dlib_network(DlibArchive& archive);

}  // namespace gemel
