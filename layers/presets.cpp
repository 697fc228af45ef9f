// SPDX-License-Identifier: MIT
//
// The networks that come with the library, as text.
#include "layers/network_text.h"

namespace gemel {

const std::vector<Preset>& network_presets() {
  static const std::vector<Preset> presets = {
      {"lenet", R"(# lenet: the siamese network of Caffe's examples, with an embedding of 128 numbers instead of 2
input 28x28x1
conv 20 5x5 init xavier
maxpool 2
conv 50 5x5 init xavier
maxpool 2
linear 500 init xavier
relu
linear 128 init xavier
)"},
      {"small", R"(# small: pairs of 3x3 convolutions, a normalised embedding; for small images
input 28x28x1
conv 32 3x3 pad same
relu
conv 32 3x3 pad same
relu
maxpool 2
conv 64 3x3 pad same
relu
conv 64 3x3 pad same
relu
maxpool 2
linear 128 init xavier
l2normalize
)"},
      {"deepface",
       R"(# deepface: C1 to F7 of Taigman, Yang, Ranzato, Wolf 2014; for aligned faces, 102 million parameters
input 152x152x3
conv 32 11x11
relu
maxpool 3 stride 2 ceil
conv 16 9x9
relu
local 16 9x9
relu
local 16 7x7 stride 2
relu
local 16 5x5
relu
linear 4096
relu
)"},
  };
  return presets;
}

}  // namespace gemel
