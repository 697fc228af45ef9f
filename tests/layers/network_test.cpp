// SPDX-License-Identifier: MIT
//
// Networks as values: text, names of parameters, other input sizes, and what ShapeError
// says.
#include "layers/network.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <filesystem>
#include <fstream>

#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/elementwise.h"
#include "layers/linear.h"
#include "layers/pool2d.h"
#include "layers/residual.h"
#include "tests/layers/network_lists.h"

namespace gemel {
namespace {

using Strings = std::vector<std::string>;

// Every option of every layer in the form text() writes.
constexpr const char* kEverything = R"(input 40x36x3
conv 8 3x3
conv 8 3x5 stride 2x1 pad 1x2 init xavier nobias
conv 4 1x1 stride 2
conv 4 3x3 pad same
local 4 3x5 stride 1x2 pad 1x2 init xavier nobias
local 4 1x1
relu
maxpool 2
maxpool 3x2 stride 1 pad 1x0 ceil
avgpool 2 stride 1x2 pad 1
avgpool 2x1 ceil count_pad
sigmoid
flatten
linear 9 init xavier nobias
l2normalize
linear 5
residual
  linear 7 init glorot bias 0.5
  batchnorm
  residual
    prelu
    dropout 0.25
  end
  linear 3 init normal 0.01 bias normal -0.5 1e-05
  affine
end
)";

TEST(NetworkTest, TextRoundTrip) {
  const Network network = Network::parse(kEverything, "test");
  EXPECT_EQ(network.text(), kEverything);
  EXPECT_EQ(parameter_list(network), (Strings{"conv1.weight 8x3x3x3",
                                              "conv1.bias 8",
                                              "conv2.weight 8x3x5x8",
                                              "conv3.weight 4x1x1x8",
                                              "conv3.bias 4",
                                              "conv4.weight 4x3x3x4",
                                              "conv4.bias 4",
                                              "local1.weight 10x9x4x3x5x4",
                                              "local2.weight 10x9x4x1x1x4",
                                              "local2.bias 10x9x4",
                                              "linear1.weight 9x24",
                                              "linear2.weight 5x9",
                                              "linear2.bias 5",
                                              "linear3.weight 7x5",
                                              "linear3.bias 7",
                                              "batchnorm1.gamma 7",
                                              "batchnorm1.beta 7",
                                              "batchnorm1.running_mean 7",
                                              "batchnorm1.running_variance 7",
                                              "prelu1.slope 7",
                                              "linear4.weight 3x7",
                                              "linear4.bias 3",
                                              "affine1.scale 3",
                                              "affine1.shift 3"}));
  using Kind = Initializer::Kind;
  const auto start = [&](const char* name) { return network.parameters().find(name)->initializer; };
  EXPECT_EQ(start("linear3.weight").kind, Kind::glorot_uniform);
  EXPECT_EQ(start("linear3.weight").fan_in + start("linear3.weight").fan_out, 5 + 7);
  EXPECT_EQ(start("linear3.bias").kind, Kind::constant);
  EXPECT_EQ(start("linear3.bias").value, 0.5f);
  EXPECT_EQ(start("linear4.weight").kind, Kind::normal);
  EXPECT_EQ(start("linear4.weight").value, 0.01f);
  EXPECT_EQ(start("linear4.bias").kind, Kind::normal);
  EXPECT_EQ(start("linear4.bias").mean, -0.5f);
  EXPECT_EQ(start("linear4.bias").value, 1e-5f);
  const Network again = Network::parse(network.text(), "again");
  EXPECT_EQ(shape_list(again), shape_list(network));
  EXPECT_EQ(parameter_list(again), parameter_list(network));
}

TEST(NetworkTest, TextIsReadFreely) {
  const Network network = Network::parse(
      "\xEF\xBB\xBF# a comment\r\n\r\n  input\t28x28x1 # the images\r\n"
      "conv 20 5 pad 0 stride 1 # square\r\nmaxpool 2x2 stride 2\n#relu\nconv 6 3x5 nobias pad same\nlinear 10",
      "test");
  EXPECT_EQ(network.text(), "input 28x28x1\nconv 20 5x5\nmaxpool 2\nconv 6 3x5 pad same nobias\nlinear 10\n");
}

TEST(NetworkTest, BlocksAreIndented) {
  const Network network =
      Network::parse("input 4x4x2\nresidual avgpool 2\nresidual\n\trelu\nend\nconv 3 3\nend\nflatten", "test");
  EXPECT_EQ(network.text(),
            "input 4x4x2\nresidual avgpool 2\n  residual\n    relu\n  end\n  conv 3 3x3\nend\nflatten\n");
  EXPECT_EQ(shape_list(network), (Strings{"4x4x2", "4x4x2", "4x4x2", "4x4x2", "4x4x2", "2x2x3", "2x2x3", "12"}));
  const std::string want =
      "     layer                                             output    parameters       MFLOP\n"
      "     input                                              4x4x2                          \n"
      "     Residual(avgpool 2)                                4x4x2             0       0.000\n"
      "       Residual                                         4x4x2             0       0.000\n"
      "         ReLU                                           4x4x2             0       0.000\n"
      "       ResidualEnd(4x4x2 + 4x4x2)                       4x4x2             0       0.000\n"
      "  1    Conv2d(2 -> 3, 3x3)                              2x2x3            57       0.000\n"
      "     ResidualEnd(2x2x3 + 2x2x2)                         2x2x3             0       0.000\n"
      "     Flatten                                               12             0       0.000\n"
      "     total                                                 12            57       0.000\n";
  EXPECT_EQ(network.table(), want);
}

TEST(NetworkTest, FromCode) {
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<Conv2d>(Conv2dOptions{.filters = 4, .window = {3, 3}, .same = true}));
  layers.push_back(std::make_unique<ActivationLayer>(Activation::relu));
  layers.push_back(std::make_unique<MaxPool2d>(Pool2dOptions{.window = {2, 2}}));
  layers.push_back(std::make_unique<Linear>(3));
  const Network network = Network::make({6, 4, 1}, std::move(layers));
  EXPECT_EQ(network.text(), "input 6x4x1\nconv 4 3x3 pad same\nrelu\nmaxpool 2\nlinear 3\n");
  EXPECT_EQ(network.parameters().parameter_count(), 4u * 9 + 4 + 3 * 24 + 3);
}

TEST(NetworkTest, ForInput) {
  const Network wide = Network::for_input("lenet", {105, 64, 3});
  EXPECT_EQ(wide.text().substr(0, 15), "input 105x64x3\n");
  EXPECT_EQ(wide.parameters().find("conv1.weight")->shape, (Shape{20, 5, 5, 3}));
  EXPECT_EQ(wide.embedding_size(), 128);
  EXPECT_TRUE(Network::for_input("lenet", {28, 28, 1}, 7)
                  .text()
                  .ends_with("\nlinear 500 init xavier\nrelu\nlinear 7 init xavier\n"));
  // The last linear layer, though it is not the last layer; its options stay.
  const Network narrow = Network::for_input("small", {28, 28, 1}, 16);
  EXPECT_EQ(narrow.output(), (Shape{16}));
  EXPECT_TRUE(narrow.text().ends_with("\nlinear 16 init xavier\nl2normalize\n")) << narrow.text();
}

TEST(NetworkTest, Table) {
  const std::string want =
      "     layer                                             output    parameters       MFLOP\n"
      "     input                                              6x6x1                          \n"
      "  1  Conv2d(1 -> 2, 3x3)                                4x4x2            20       0.001\n"
      "     ReLU                                               4x4x2             0       0.000\n"
      "     MaxPool2d(2x2, stride 2)                           2x2x2             0       0.000\n"
      "  2  Linear(8 -> 1000)                                   1000          9000       0.016\n"
      "     total                                               1000          9020       0.017\n";
  EXPECT_EQ(Network::parse("input 6x6x1\nconv 2 3\nrelu\nmaxpool 2\nlinear 1000", "test").table(), want);
}

// A file that goes away with its object.
struct TemporaryFile {
  explicit TemporaryFile(const std::string& content)
      : path(std::filesystem::temp_directory_path() /
             ("gemel_network_test_" + std::to_string(reinterpret_cast<std::uintptr_t>(this)) + ".net")) {
    std::ofstream(path, std::ios::binary) << content;
  }
  ~TemporaryFile() {
    std::error_code ignored;
    std::filesystem::remove(path, ignored);
  }
  std::filesystem::path path;
};

TEST(NetworkTest, File) {
  const TemporaryFile file("input 6x6x1\nlinear 5\n");
  EXPECT_EQ(Network::load(file.path.string()).text(), "input 6x6x1\nlinear 5\n");
}

template <class Kind, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Kind& error) {
    return error.what();
  }
  return "no error";
}

TEST(NetworkTest, FileErrors) {
  const auto load = [](const std::string& path) { return message_of<InputError>([&] { Network::load(path); }); };
  EXPECT_EQ(load("no/such/net"),
            "no/such/net: cannot be read as a network file, and is not a preset (" + Network::preset_list() + ")");
  const std::string directory = std::filesystem::temp_directory_path().string();
  EXPECT_EQ(load(directory),
            directory + ": cannot be read as a network file, and is not a preset (" + Network::preset_list() + ")");
  const TemporaryFile empty(""), large(std::string((1 << 20) + 1, '\n')), just_fits(std::string(1 << 20, '\n'));
  EXPECT_EQ(load(empty.path.string()), empty.path.string() + ": empty; a network starts with 'input HxWxC'");
  EXPECT_EQ(load(large.path.string()), large.path.string() + ": longer than 1048576 bytes; not a network");
  EXPECT_EQ(load(just_fits.path.string()), just_fits.path.string() + ": empty; a network starts with 'input HxWxC'");
  EXPECT_EQ(message_of<InputError>([] { Network::preset_text("lenot"); }),
            "unknown preset 'lenot'; known: " + Network::preset_list());
}

TEST(NetworkTest, ForInputErrors) {
  EXPECT_EQ(message_of<ShapeError>([] {
              Network::for_input("lenet", {10, 28, 1});
            }),
            "lenet:5: Conv2d(20 -> 50, 5x5): input height 3 with padding 0 is smaller than the window's 5");
  EXPECT_EQ(
      message_of<ShapeError>([] {
        Network::for_input("deepface", {70, 70, 3});
      }),
      "deepface:12: LocallyConnected2d(16 -> 16, 5x5): input height 4 with padding 0 is smaller than the window's 5");
  EXPECT_EQ(
      message_of<ShapeError>([] {
        Network::for_input("deepface", {28, 28, 1});
      }),
      "deepface:8: LocallyConnected2d(16 -> 16, 9x9): input height 1 with padding 0 is smaller than the window's 9");
  EXPECT_EQ(message_of<ShapeError>([] { Network::for_input("lenet", {784}); }), "Network: input is 784, must be HxWxC");
  EXPECT_EQ(message_of<InputError>([] {
              Network::for_input("lenet", {28, 28, 1}, -1);
            }),
            "the embedding size must be 1 to 65536, or 0 for the network's own, not -1");
  const TemporaryFile file("input 6x6x1\nflatten");
  EXPECT_EQ(message_of<InputError>([&] {
              Network::for_input(file.path.string(), {6, 6, 1}, 4);
            }),
            file.path.string() + ": no linear layer whose width could be set to 4");
}

// A detector's network has an image of scores; only who wants an embedding minds.
TEST(NetworkTest, AnImageIsNoEmbedding) {
  const std::string text = "input 9x9x1\nconv 2 3\nrelu\n";
  const Network network = Network::parse(text, "net");
  EXPECT_EQ(network.output(), (Shape{7, 7, 2}));
  EXPECT_EQ(
      message_of<ShapeError>([&] { network.embedding_size(); }),
      "net:3: the last layer's output is 7x7x2, an embedding is one row of numbers; end with 'linear N' or 'flatten'");
  const Network larger = Network::parse_for_input(text, "net", {31, 12, 1});
  EXPECT_EQ(larger.output(), (Shape{29, 10, 2}));
  EXPECT_EQ(larger.text(), "input 31x12x1\nconv 2 3x3\nrelu\n");
  std::vector<std::unique_ptr<Layer>> layers;
  layers.push_back(std::make_unique<ActivationLayer>(Activation::relu));
  const Network from_code = Network::make({9, 9, 1}, std::move(layers));
  EXPECT_EQ(message_of<ShapeError>([&] { from_code.embedding_size(); }),
            "Network: the last layer's output is 9x9x1, an embedding is one row of numbers; end with 'linear N' or "
            "'flatten'");
}

struct ShapeErrorCase {
  const char *text, *message;
};

TEST(NetworkTest, ShapeErrors) {
  const std::vector<ShapeErrorCase> cases = {
      {"input 4x9x3\nconv 20 5x5",
       "net:2: Conv2d(3 -> 20, 5x5): input height 4 with padding 0 is smaller than the window's 5"},
      {"input 9x2x3\nconv 20 5 pad 1",
       "net:2: Conv2d(3 -> 20, 5x5, pad 1): input width 2 with padding 1 is smaller than the window's 5"},
      {"input 9x9x1\nconv 2 3x3 pad 3",
       "net:2: Conv2d(1 -> 2, 3x3, pad 3): padding 3 must be smaller than the window's height 3"},
      {"input 9x9x1\nconv 2 3x2 stride 2 pad same",
       "net:2: Conv2d(1 -> 2, 3x2, stride 2, pad same): pad same needs odd filter sizes"},
      {"input 4x9x3\nlocal 20 5x5",
       "net:2: LocallyConnected2d(3 -> 20, 5x5): input height 4 with padding 0 is smaller than the window's 5"},
      {"input 9x9x1\nlinear 4\nlocal 2 3x3", "net:3: LocallyConnected2d(2, 3x3): input is 4, must be HxWxC"},
      {"input 600x600x16\nlocal 16 9x9 stride 1",
       "net:2: LocallyConnected2d(16 -> 16, 9x9): weight 592x592x16x9x9x16 has 7267221504 numbers, at most 2147483647 "
       "are possible"},
      {"input 9x9x1\nlinear 4\nconv 2 3x3", "net:3: Conv2d(2, 3x3): input is 4, must be HxWxC"},
      {"input 9x9x1\nflatten\n\nmaxpool 2", "net:4: MaxPool2d(2x2, stride 2): input is 81, must be HxWxC"},
      {"input 9x9x1\nmaxpool 17x16 pad 9",
       "net:2: MaxPool2d(17x16, stride 17x16, pad 9): a window has at most 256 taps, not 272"},
      {"input 9x9x1\nmaxpool 2 pad 2",
       "net:2: MaxPool2d(2x2, stride 2, pad 2): padding 2 must be smaller than the window's height 2"},
      {"input 9x9x1\navgpool 3x12 ceil count_pad",
       "net:2: AvgPool2d(3x12, stride 3x12, ceil, count_pad): input width 9 with padding 0 is smaller than the "
       "window's 12"},
      {"input 9x9x1\nl2normalize", "net:2: L2Normalize: input is 9x9x1, must be one row of features; flatten it first"},
      {"input 9x1x1\nresidual avgpool 2\nrelu\nend\nflatten",
       "net:2: Residual(avgpool 2): input width 1 with padding 0 is smaller than the window's 2"},
      {"input 9x9x1\nlinear 4\nresidual avgpool 2\nrelu\nend", "net:3: Residual(avgpool 2): input is 4, must be HxWxC"},
      {"input 9x9x1\nresidual\n  relu\n  linear 3\nend",
       "net:5: ResidualEnd(3 + 9x9x1): an image and a row of features cannot be added"},
      {"input 9x9x1\nflatten\nglobalavgpool", "net:3: GlobalAvgPool2d: input is 81, must be HxWxC"},
      {"input 16384x16384x16384\nflatten",
       "Network: input 16384x16384x16384 has 4398046511104 numbers, at most 2147483647 are possible"},
      {"input 16384x16384x4\nconv 65536 1",
       "net:2: Conv2d(4 -> 65536, 1x1): output 16384x16384x65536 has 17592186044416 numbers, at most 2147483647 are "
       "possible"},
      {"input 300x300x16384\nconv 65536 1024 pad 1023",
       "net:2: Conv2d(16384 -> 65536, 1024x1024, pad 1023): weight 65536x1024x1024x16384 has 1125899906842624 numbers, "
       "at most 2147483647 are possible"},
      {"input 16384x16384x4\nlinear 65536",
       "net:2: Linear(1073741824 -> 65536): weight 65536x1073741824 has 70368744177664 numbers, at most 2147483647 are "
       "possible"},
      {"input 4096x4096x100\navgpool 1024 stride 1 pad 1023",
       "net:2: AvgPool2d(1024x1024, stride 1, pad 1023): output 5119x5119x100 has 2620416100 numbers, at most "
       "2147483647 are possible"},
  };
  for (const ShapeErrorCase& c : cases) {
    EXPECT_EQ(message_of<ShapeError>([&] { Network::parse(c.text, "net"); }), c.message) << c.text;
  }
}

TEST(NetworkTest, ShapeErrorsFromCode) {
  const auto make = [](std::unique_ptr<Layer> layer) {
    return message_of<ShapeError>([&] {
      std::vector<std::unique_ptr<Layer>> layers;
      if (layer != nullptr) layers.push_back(std::move(layer));
      Network::make({9, 9, 1}, std::move(layers));
    });
  };
  EXPECT_EQ(make(nullptr), "Network: no layers");
  EXPECT_EQ(make(std::make_unique<Flatten>()), "no error");
  EXPECT_EQ(make(std::make_unique<Residual>()), "Network: a Residual has no ResidualEnd");
  const Residual elsewhere;
  EXPECT_EQ(make(std::make_unique<ResidualEnd>(elsewhere)),
            "Network: a ResidualEnd does not belong to the innermost Residual");
  EXPECT_EQ(make(std::make_unique<Dropout>(1.0f)), "Dropout(1): the rate must be from 0 to 0.999");
  EXPECT_EQ(make(std::make_unique<Linear>(0)), "Linear(81 -> 0): the number of features must be at least 1");
  EXPECT_EQ(make(std::make_unique<Conv2d>(Conv2dOptions{.filters = 0, .window = {3, 3}})),
            "Conv2d(1 -> 0, 3x3): the number of filters must be at least 1");
  EXPECT_EQ(make(std::make_unique<Conv2d>(Conv2dOptions{.filters = 2, .window = {3, 3}, .stride = {0, 1}})),
            "Conv2d(1 -> 2, 3x3, stride 0x1): window and stride must be at least 1, padding at least 0");
  EXPECT_EQ(make(std::make_unique<MaxPool2d>(Pool2dOptions{.window = {3, 3}, .pad = {0, -1}})),
            "MaxPool2d(3x3, stride 3, pad 0x-1): window and stride must be at least 1, padding at least 0");
}

}  // namespace
}  // namespace gemel
