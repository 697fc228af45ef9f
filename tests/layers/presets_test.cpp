// SPDX-License-Identifier: MIT
//
// The networks that come with the library: the shapes and numbers of parameters that their papers state.
#include <gtest/gtest.h>

#include <algorithm>

#include "tests/layers/network_lists.h"

namespace gemel {
namespace {

using Strings = std::vector<std::string>;

TEST(Presets, Lenet) {
  const Network network = Network::load("lenet");
  EXPECT_EQ(shape_list(network), (Strings{"28x28x1", "24x24x20", "12x12x20", "8x8x50", "4x4x50", "500", "500", "128"}));
  EXPECT_EQ(parameter_list(network),
            (Strings{"conv1.weight 20x5x5x1", "conv1.bias 20", "conv2.weight 50x5x5x20", "conv2.bias 50",
                     "linear1.weight 500x800", "linear1.bias 500", "linear2.weight 128x500", "linear2.bias 128"}));
  // 520 + 25,050 + 400,500 + 64,128
  EXPECT_EQ(network.parameters().parameter_count(), 490198u);
  // 2 (24*24*20*25 + 8*8*50*500 + 800*500 + 500*128)
  EXPECT_EQ(network.flops(), 2.0 * (288000 + 1600000 + 400000 + 64000));
  EXPECT_EQ(network.embedding_size(), 128);
  for (const Parameters::Entry& entry : network.parameters().entries()) {
    const bool bias = entry.name.ends_with(".bias");
    EXPECT_EQ(entry.initializer.kind, bias ? Initializer::Kind::zero : Initializer::Kind::caffe_xavier) << entry.name;
  }
}

TEST(Presets, Small) {
  const Network network = Network::load("small");
  EXPECT_EQ(shape_list(network), (Strings{"28x28x1", "28x28x32", "28x28x32", "28x28x32", "28x28x32", "14x14x32",
                                          "14x14x64", "14x14x64", "14x14x64", "14x14x64", "7x7x64", "128", "128"}));
  // 320 + 9,248 + 18,496 + 36,928 + 401,536
  EXPECT_EQ(network.parameters().parameter_count(), 466528u);
  const Parameters::Entry* conv4 = network.parameters().find("conv4.weight");
  ASSERT_NE(conv4, nullptr);
  EXPECT_EQ(conv4->shape, (Shape{64, 3, 3, 64}));
  EXPECT_EQ(conv4->initializer.kind, Initializer::Kind::he_normal);
  EXPECT_EQ(conv4->initializer.fan_in, 9 * 64);
  EXPECT_EQ(conv4->initializer.fan_out, 9 * 64);
  EXPECT_EQ(network.parameters().find("linear1.weight")->initializer.fan_in, 3136);
}

TEST(Presets, Deepface) {
  const Network network = Network::load("deepface");
  EXPECT_EQ(shape_list(network),
            (Strings{"152x152x3", "142x142x32", "142x142x32", "71x71x32", "63x63x16", "63x63x16", "55x55x16",
                     "55x55x16", "25x25x16", "25x25x16", "21x21x16", "21x21x16", "4096", "4096", "4096"}));
  const auto count = [&](const std::string& layer) {
    return network.parameters().find(layer + ".weight")->shape.count() +
           network.parameters().find(layer + ".bias")->shape.count();
  };
  EXPECT_EQ(count("conv1"), 11648u);
  EXPECT_EQ(count("conv2"), 41488u);
  EXPECT_EQ(count("local1"), 62774800u);
  EXPECT_EQ(count("local2"), 7850000u);
  EXPECT_EQ(count("local3"), 2829456u);
  EXPECT_EQ(count("linear1"), 28905472u);
  EXPECT_EQ(network.parameters().parameter_count(), 102412864u);
  EXPECT_EQ(network.parameters().find("local1.weight")->shape, (Shape{55, 55, 16, 9, 9, 16}));
  EXPECT_EQ(network.parameters().find("local1.weight")->initializer.value, 0.01f);
  EXPECT_EQ(network.parameters().find("local1.bias")->initializer.value, 0.5f);
  EXPECT_EQ(network.parameters().find("local1.bias")->shape, (Shape{55, 55, 16}));
}

TEST(Presets, Koch) {
  const Network network = Network::load("koch");
  EXPECT_EQ(shape_list(network),
            (Strings{"105x105x1", "96x96x64", "96x96x64", "48x48x64", "42x42x128", "42x42x128", "21x21x128",
                     "18x18x128", "18x18x128", "9x9x128", "6x6x256", "6x6x256", "4096", "4096"}));
  // With the 4096 weights and the threshold of the metric that compares two of them: 38,951,745.
  EXPECT_EQ(network.parameters().parameter_count(), 38951745u - 4096 - 1);
  const Initializer bias = network.parameters().find("conv1.bias")->initializer;
  EXPECT_EQ(bias.mean, 0.5f);
  EXPECT_EQ(bias.value, 0.01f);
}

std::size_t count_layers(const Network& network, const std::string& keyword) {
  return static_cast<std::size_t>(std::count_if(network.layers().begin(), network.layers().end(),
                                                [&](const auto& layer) { return layer->text().starts_with(keyword); }));
}

TEST(Presets, FacenetSmall) {
  const Network network = Network::load("facenet-small");
  EXPECT_EQ(network.output(), (Shape{128}));
  // Convolutions 3x3: 3*32, 2 of 32*32, 32*64, 3 of 64*64, 64*128, 5 of 128*128, without biases; a pair of numbers for
  // each of their 1056 channels; 128*128 + 128.
  EXPECT_EQ(network.parameters().parameter_count(),
            9u * (96 + 2 * 1024 + 2048 + 3 * 4096 + 8192 + 5 * 16384) + 2 * (3 * 32 + 4 * 64 + 6 * 128) + 16512);
  EXPECT_EQ(count_layers(network, "conv"), 13u);
  for (const Shape& input : {Shape{64, 64, 3}, Shape{112, 92, 1}}) {
    EXPECT_EQ(Network::for_input("facenet-small", input).output(), (Shape{128}));
  }
}

TEST(Presets, ResnetFace) {
  const Network network = Network::load("resnet-face");
  EXPECT_EQ(count_layers(network, "conv"), 29u);
  Strings sums;
  for (std::size_t i = 0; i < network.layers().size(); ++i) {
    if (network.layers()[i]->text() == "end") sums.push_back(network.shapes()[i + 1].str());
  }
  EXPECT_EQ(sums, (Strings{"35x35x32", "35x35x32", "35x35x32", "17x17x64", "17x17x64", "17x17x64", "17x17x64",
                           "8x8x128", "8x8x128", "8x8x128", "4x4x256", "4x4x256", "4x4x256", "2x2x256"}));
  // Convolutions: 7x7 of 3*32; 3x3 of 6 times 32*32, 32*64, 7 of 64*64, 64*128, 5 of 128*128, 128*256, 7 of 256*256,
  // without biases; a pair of numbers for each of their channels; 128*256.
  constexpr std::size_t kFilters = 49u * 96 + 9u * (6 * 1024 + 2048 + 7 * 4096 + 8192 + 5 * 16384 + 32768 + 7 * 65536);
  constexpr std::size_t kChannels = 7 * 32 + 8 * 64 + 6 * 128 + 8 * 256;
  EXPECT_EQ(network.parameters().parameter_count(), kFilters + 2 * kChannels + 128 * 256);
  EXPECT_EQ(network.parameters().parameter_count(), 5611040u);
}

TEST(Presets, PresetsAreKnownByName) {
  EXPECT_EQ(Network::presets(), (Strings{"lenet", "small", "deepface", "koch", "facenet-small", "resnet-face"}));
  for (const std::string& preset : Network::presets()) {
    EXPECT_EQ(Network::parse(Network::preset_text(preset), preset).text(), Network::load(preset).text());
  }
}

}  // namespace
}  // namespace gemel
