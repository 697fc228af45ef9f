// SPDX-License-Identifier: MIT
//
// The networks that come with the library, as text.
#include "engine/error.h"
#include "layers/network_text.h"

namespace gemel {
namespace {

constexpr const char* kLenet =
    R"(# lenet: the siamese network of Caffe's examples, with an embedding of 128 numbers instead of 2
input 28x28x1
conv 20 5x5 init xavier
maxpool 2
conv 50 5x5 init xavier
maxpool 2
linear 500 init xavier
relu
linear 128 init xavier
)";

constexpr const char* kSmall = R"(# small: pairs of 3x3 convolutions, a normalised embedding; for small images
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
)";

// The papers' own start of weights and biases.
constexpr const char* kDeepface =
    R"(# deepface: C1 to F7 of Taigman, Yang, Ranzato, Wolf 2014; for aligned faces, 102 million parameters
input 152x152x3
conv 32 11x11 init normal 0.01 bias 0.5
relu
maxpool 3 stride 2 ceil
conv 16 9x9 init normal 0.01 bias 0.5
relu
local 16 9x9 init normal 0.01 bias 0.5
relu
local 16 7x7 stride 2 init normal 0.01 bias 0.5
relu
local 16 5x5 init normal 0.01 bias 0.5
relu
linear 4096 init normal 0.01 bias 0.5
relu
dropout 0.5
)";

constexpr const char* kKoch =
    R"(# koch: the one-shot network of Koch, Zemel, Salakhutdinov 2015, up to the 4096 features that its weighted L1 compares
input 105x105x1
conv 64 10x10 init normal 0.01 bias normal 0.5 0.01
relu
maxpool 2
conv 128 7x7 init normal 0.01 bias normal 0.5 0.01
relu
maxpool 2
conv 128 4x4 init normal 0.01 bias normal 0.5 0.01
relu
maxpool 2
conv 256 4x4 init normal 0.01 bias normal 0.5 0.01
relu
linear 4096 init normal 0.2 bias normal 0.5 0.01
sigmoid
)";

std::string convolution(const std::string& arguments) { return concat("conv ", arguments, " nobias\nbatchnorm\n"); }

// Two 3x3 convolutions to `filters` channels and the input added to them; `stride` are the words behind the first one's
// size: "pad same", or a stride, with which the input is halved by an average pool.
std::string block(const std::string& filters, const std::string& stride) {
  const bool halves = stride.starts_with("stride");
  return concat(halves ? "residual avgpool 2\n" : "residual\n", convolution(filters + " 3x3 " + stride), "relu\n",
                convolution(filters + " 3x3 pad same"), "end\nrelu\n");
}

std::string blocks(int count, const std::string& filters) {
  std::string text;
  for (int i = 0; i < count; ++i) text += block(filters, "pad same");
  return text;
}

std::string facenet_small() {
  const std::string half = "stride 2 pad 1";
  return "# facenet-small: faces to 128 numbers of length 1, as FaceNet (Schroff et al. 2015) learns them, by a small\n"
         "# residual network\n"
         "input 96x96x3\n" +
         convolution("32 3x3 stride 2 pad 1") + "relu\n" + blocks(1, "32") + block("64", half) + blocks(1, "64") +
         block("128", half) + blocks(1, "128") + block("128", half) +
         "globalavgpool\nlinear 128 init xavier\nl2normalize\n";
}

std::string resnet_face() {
  const std::string half = "stride 2";
  return "# resnet-face: 29 convolutions, the network of dlib's face recognition, with batch normalisation to train "
         "it\n"
         "input 150x150x3\n" +
         convolution("32 7x7 stride 2") + "relu\nmaxpool 3 stride 2\n" + blocks(3, "32") + block("64", half) +
         blocks(3, "64") + block("128", half) + blocks(2, "128") + block("256", half) + blocks(2, "256") +
         block("256", half) + "globalavgpool\nlinear 128 init xavier nobias\n";
}

}  // namespace

const std::vector<Preset>& network_presets() {
  static const std::vector<Preset> presets = {{"lenet", kLenet},
                                              {"small", kSmall},
                                              {"deepface", kDeepface},
                                              {"koch", kKoch},
                                              {"facenet-small", facenet_small()},
                                              {"resnet-face", resnet_face()}};
  return presets;
}

}  // namespace gemel
