// SPDX-License-Identifier: MIT
//
// How much memory a plan takes, to the byte, and that its scratch suffices.
#include "layers/conv_block.h"
#include "tests/layers/layer_rig.h"

namespace gemel {
namespace {

class PlanMemoryTest : public testing::TestWithParam<std::string> {};

std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// Parameters that a plan for inference keeps in the device's own form.
std::size_t packed_bytes(const Network& network, Device& device, bool blocks) {
  const PlanContext context{device.kernels(), 1, false};
  std::size_t bytes = 0;
  const std::span layers(network.layers());
  for (std::size_t i = 0; i < layers.size(); ++i) {
    const bool block = blocks && ConvBlockLayer::length(layers.subspan(i), false) > 0;
    bytes +=
        aligned(block ? ConvBlockLayer(layers.subspan(i, 1)).packed_bytes(context) : layers[i]->packed_bytes(context));
  }
  return bytes;
}

TEST_P(PlanMemoryTest, MemoryOfLenetInBlocks) {
  Rig rig(GetParam());
  const Network network = Network::load("lenet");
  const Kernels& kernels = rig.device->kernels();
  std::size_t scratch = std::max(
      kernels.conv_block_scratch({.conv = {.n = 1, .h = 28, .w = 28, .c = 1, .k = 20, .r = 5, .s = 5}, .pool = true}),
      kernels.conv_block_scratch({.conv = {.n = 1, .h = 12, .w = 12, .c = 20, .k = 50, .r = 5, .s = 5}, .pool = true}));
  for (const auto& layer : network.layers()) {
    if (dynamic_cast<const Conv2d*>(layer.get()) != nullptr) continue;
    scratch = std::max(scratch, layer->scratch_bytes({kernels, 1, true}));
  }
  // As below, but what the convolutions computed before their pools, and its gradient, is never stored.
  const std::size_t input = aligned(4 * 784), pool1 = aligned(4 * 12 * 12 * 20), pool2 = aligned(4 * 800),
                    linear1 = aligned(4 * 500), linear2 = aligned(4 * 128), argmax1 = aligned(12 * 12 * 20),
                    argmax2 = aligned(800);
  EXPECT_EQ(Plan(network, *rig.device, 1, Plan::Mode::inference).bytes(),
            input + pool1 + pool2 + argmax1 + packed_bytes(network, *rig.device, true) + aligned(scratch));
  const std::size_t activations = input + pool1 + pool2 + linear1 + linear2 + argmax1 + argmax2;
  EXPECT_EQ(Plan(network, *rig.device, 1, Plan::Mode::training).bytes(),
            activations + linear2 + pool1 + pool2 + aligned(scratch));
}

TEST_P(PlanMemoryTest, MemoryOfLenet) {
  Rig rig(GetParam());
  rig.device->fuse = false;
  const Network network = Network::load("lenet");
  std::size_t scratch = 0;
  for (const auto& layer : network.layers()) {
    scratch = std::max(scratch, layer->scratch_bytes({rig.device->kernels(), 1, true}));
  }
  // One row: input, conv1, pool1, conv2, pool2, linear1 (relu in it), linear2, and the argmax of both pools.
  const std::size_t input = aligned(4 * 784), conv1 = aligned(4 * 24 * 24 * 20), pool1 = aligned(4 * 12 * 12 * 20),
                    conv2 = aligned(4 * 8 * 8 * 50), pool2 = aligned(4 * 800), linear1 = aligned(4 * 500),
                    linear2 = aligned(4 * 128), argmax1 = aligned(12 * 12 * 20), argmax2 = aligned(800);
  EXPECT_EQ(Plan(network, *rig.device, 1, Plan::Mode::inference).bytes(),
            input + conv1 + pool1 + argmax1 + packed_bytes(network, *rig.device, false) + aligned(scratch));
  const std::size_t activations = input + conv1 + pool1 + conv2 + pool2 + linear1 + linear2 + argmax1 + argmax2;
  // Gradients: of the output, and two buffers in turn, the larger with conv1's, the other with pool1's.
  EXPECT_EQ(Plan(network, *rig.device, 1, Plan::Mode::training).bytes(),
            activations + linear2 + conv1 + pool1 + aligned(scratch));
  EXPECT_EQ(Plan(network, *rig.device, 1, Plan::Mode::training_with_input_gradient).bytes(),
            activations + linear2 + conv1 + pool1 + input + aligned(scratch));
}

// Inference holds one tensor more per open block, and no others: the outputs of this network are of one size.
TEST_P(PlanMemoryTest, MemoryOfBlocks) {
  Rig rig(GetParam());
  rig.device->fuse = false;
  const auto bytes = [&](const std::string& layers) {
    const Network network = Network::parse("input 8x8x16\n" + layers + "flatten", "test");
    std::size_t other = 0;
    for (const auto& layer : network.layers())
      other = std::max(other, layer->scratch_bytes({rig.device->kernels(), 1, false}));
    other = aligned(other) + packed_bytes(network, *rig.device, false);
    return (Plan(network, *rig.device, 1, Plan::Mode::inference).bytes() - other) / aligned(4 * 8 * 8 * 16);
  };
  const std::string conv = "conv 16 3x3 pad same nobias\n";
  EXPECT_EQ(bytes(conv + conv + conv + conv), 3u);  // the input and two in turn
  EXPECT_EQ(bytes(conv + "residual\n" + conv + conv + conv + "end\n" + conv), 4u);
  EXPECT_EQ(bytes(conv + "residual\n" + conv + "residual\n" + conv + conv + "end\n" + conv + "end\n" + conv), 5u);
  EXPECT_EQ(bytes(conv + "residual\n" + conv + "end\nresidual\nrelu\n" + conv + conv + "end\n" + conv), 4u);
  EXPECT_EQ(bytes("dropout 0.5\nrelu\ndropout 0.5\naffine\nprelu\nbatchnorm\n"), 2u);  // all in one
}

// A kernel that splits its work by the batch size may need more scratch for fewer rows; both the tiled and the native
// kernels do so for some batch sizes of this convolution.
TEST_P(PlanMemoryTest, ScratchSufficesForEveryNumberOfRows) {
  constexpr int kMost = 25;
  Rig rig(GetParam());
  const Network network = Network::parse("input 28x28x1\nconv 20 5x5\nflatten", "test");
  for (int n = 1; n <= kMost; ++n) {
    const Plan plan(network, *rig.device, n, Plan::Mode::training);
    const std::size_t planned = plan.queue(rig.stream).scratch.bytes;
    for (int rows = 1; rows <= n; ++rows) {
      const std::size_t needed = network.layers().front()->scratch_bytes({rig.device->kernels(), rows, true});
      EXPECT_LE(needed, planned) << rows << " of " << n << " rows";
    }
  }
}

// What is folded lies in scratch until it is packed: more than a kernel of such a small image asks for.
TEST_P(PlanMemoryTest, ScratchHoldsFoldedFilters) {
  Rig rig(GetParam());
  const Network network = Network::parse("input 3x3x64\nconv 64 3x3\naffine\nflatten", "test");
  const Plan plan(network, *rig.device, 1, Plan::Mode::inference);
  const ConvBlock block{.conv = {.n = 1, .h = 3, .w = 3, .c = 64, .k = 64, .r = 3, .s = 3}};
  const Kernels& kernels = rig.device->kernels();
  const std::size_t filters = kernels.conv_block_packed_bytes(block) > 0 ? 4 * 64 * 9 * 64 : 0;
  EXPECT_GE(plan.queue(rig.stream).scratch.bytes, kernels.conv_block_scratch(block) + filters + 2 * 4 * 64);
}

INSTANTIATE_TEST_SUITE_P(Devices, PlanMemoryTest, testing::ValuesIn(test_devices()), device_test_name);

}  // namespace
}  // namespace gemel
