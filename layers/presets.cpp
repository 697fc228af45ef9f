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
  };
  return presets;
}

}  // namespace gemel
