// SPDX-License-Identifier: MIT
//
// What the parser says about texts it cannot take, word by word.
#include <gtest/gtest.h>

#include "layers/network.h"

namespace gemel {
namespace {

std::string parse_error(const std::string& text) {
  try {
    Network::parse(text, "net");
  } catch (const InputError& error) {
    return error.what();
  }
  return "no error";
}

constexpr const char* kConvUsage =
    "; write: conv K N|RxS [stride N|NxN] [pad N|NxN|same] [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN "
    "STD] [nobias]";
const std::string kLocalUsage = "; write: local" + std::string(kConvUsage).substr(std::string("; write: conv").size());
constexpr const char* kMaxUsage = "; write: maxpool N|RxS [stride N|NxN] [pad N|NxN] [ceil]";
constexpr const char* kAvgUsage = "; write: avgpool N|RxS [stride N|NxN] [pad N|NxN] [ceil] [count_pad]";
constexpr const char* kLinearUsage =
    "; write: linear N [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN STD] [nobias]";
constexpr const char* kResidualUsage = "; write: residual [avgpool 2] ... end";
const std::string kKnown =
    "; known: affine, avgpool, batchnorm, conv, dropout, flatten, globalavgpool, l2normalize, linear, local, maxpool, "
    "prelu, relu, residual, sigmoid";

TEST(NetworkTextTest, NoInput) {
  EXPECT_EQ(parse_error(""), "net: empty; a network starts with 'input HxWxC'");
  EXPECT_EQ(parse_error("\n \t\r\n# only a comment"), "net: empty; a network starts with 'input HxWxC'");
  EXPECT_EQ(parse_error("\n# lenet\nconv 20 5x5\ninput 28x28x1"),
            "net:3: a network starts with 'input HxWxC', not with 'conv'");
  EXPECT_EQ(parse_error("input 28x28x1\n"), "net: no layers after the 'input' line");
  EXPECT_EQ(parse_error("input 28x28x1\nrelu\ninput 28x28x1"), "net:3: a second 'input' line");
}

TEST(NetworkTextTest, Input) {
  const auto input = [](const std::string& words) { return parse_error("input" + words + "\nlinear 3"); };
  EXPECT_EQ(input(""), "net:1: input: the input size is missing; write: input HxWxC");
  for (const std::string size : {"28", "28x28", "28x28x1x1", "xxx", "28,28,1"}) {
    EXPECT_EQ(input(" " + size), "net:1: input: the input size must be 3 numbers with 'x' between them, not '" + size +
                                     "'; write: input HxWxC");
  }
  const auto bad_number = [](const std::string& number) {
    return "net:1: input: the input size must be a whole number from 1 to 16384, not '" + number +
           "'; write: input HxWxC";
  };
  EXPECT_EQ(input(" 28x28x"), bad_number(""));
  EXPECT_EQ(input(" x28x1"), bad_number(""));
  EXPECT_EQ(input(" 28x0x1"), bad_number("0"));
  EXPECT_EQ(input(" 28x-5x1"), bad_number("-5"));
  EXPECT_EQ(input(" 16385x28x1"), bad_number("16385"));
  EXPECT_EQ(input(" 28x28x99999999999999999999"), bad_number("99999999999999999999"));
  EXPECT_EQ(input(" 28x28x1.5"), bad_number("1.5"));
  EXPECT_EQ(input(" 28x28x1 1"), "net:1: input: unexpected '1'; write: input HxWxC");
}

TEST(NetworkTextTest, UnknownLayer) {
  const std::string known = kKnown;
  EXPECT_EQ(parse_error("input 28x28x1\n\ncovn 20 5x5"), "net:3: unknown layer 'covn'" + known);
  EXPECT_EQ(parse_error("input 28x28x1\nReLU"), "net:2: unknown layer 'ReLU'" + known);
  // What is not for a terminal is not shown, nor are endless words.
  EXPECT_EQ(parse_error("input 28x28x1\n\x1b[2J"), "net:2: unknown layer '?[2J'" + known);
  EXPECT_EQ(parse_error("input 28x28x1\n" + std::string(100000, 'a')),
            "net:2: unknown layer '" + std::string(40, 'a') + "...'" + known);
}

TEST(NetworkTextTest, Layers) {
  struct Case {
    const char *line, *problem, *usage;
  };
  const std::vector<Case> cases = {
      {"conv", "the number of filters is missing", kConvUsage},
      {"conv 20", "the filter size is missing", kConvUsage},
      {"conv 0 5", "the number of filters must be a whole number from 1 to 65536, not '0'", kConvUsage},
      {"conv 65537 5", "the number of filters must be a whole number from 1 to 65536, not '65537'", kConvUsage},
      {"conv 20.5 5", "the number of filters must be a whole number from 1 to 65536, not '20.5'", kConvUsage},
      {"conv +20 5", "the number of filters must be a whole number from 1 to 65536, not '+20'", kConvUsage},
      {"conv twenty 5", "the number of filters must be a whole number from 1 to 65536, not 'twenty'", kConvUsage},
      {"conv 20 5x", "the filter size must be a whole number from 1 to 1024, not ''", kConvUsage},
      {"conv 20 5x5x5", "the filter size must be a whole number from 1 to 1024, not '5x5'", kConvUsage},
      {"conv 20 4294967297", "the filter size must be a whole number from 1 to 1024, not '4294967297'", kConvUsage},
      {"conv 20 5 stride", "the stride is missing", kConvUsage},
      {"conv 20 5 stride 0", "the stride must be a whole number from 1 to 1024, not '0'", kConvUsage},
      {"conv 20 5 pad", "the padding is missing", kConvUsage},
      {"conv 20 5 pad -1", "the padding must be a whole number from 0 to 1024, not '-1'", kConvUsage},
      {"conv 20 5 pad sane", "the padding must be a whole number from 0 to 1024, not 'sane'", kConvUsage},
      {"conv 20 5 pad 1 pad same", "option 'pad' stands twice", kConvUsage},
      {"conv 20 5 nobias nobias", "option 'nobias' stands twice", kConvUsage},
      {"conv 20 5 dilation 2", "unknown option 'dilation'", kConvUsage},
      {"conv 20 5 5", "unknown option '5'", kConvUsage},
      {"conv 20 5 init", "the initialiser is missing", kConvUsage},
      {"conv 20 5 init zero", "unknown initialiser 'zero'", kConvUsage},
      {"conv 20 5 init normal", "the standard deviation is missing", kConvUsage},
      {"conv 20 5 init normal -1", "the standard deviation must be a number from 0 to 1000, not '-1'", kConvUsage},
      {"conv 20 5 init normal nan", "the standard deviation must be a number from 0 to 1000, not 'nan'", kConvUsage},
      {"conv 20 5 bias", "the bias is missing", kConvUsage},
      {"conv 20 5 bias 1e9", "the bias must be a number from -1000 to 1000, not '1e9'", kConvUsage},
      {"conv 20 5 bias 0.5x", "the bias must be a number from -1000 to 1000, not '0.5x'", kConvUsage},
      {"conv 20 5 bias normal 1", "the standard deviation is missing", kConvUsage},
      {"local", "the number of filters is missing", kLocalUsage.c_str()},
      {"local 16 3x3 places 2", "unknown option 'places'", kLocalUsage.c_str()},
      {"maxpool", "the window is missing", kMaxUsage},
      {"maxpool 0", "the window must be a whole number from 1 to 1024, not '0'", kMaxUsage},
      {"maxpool 2 2", "unknown option '2'", kMaxUsage},
      {"maxpool 2 pad same", "the padding must be a whole number from 0 to 1024, not 'same'", kMaxUsage},
      {"maxpool 2 count_pad", "unknown option 'count_pad'", kMaxUsage},
      {"maxpool 2 ceil ceil", "option 'ceil' stands twice", kMaxUsage},
      {"avgpool", "the window is missing", kAvgUsage},
      {"avgpool 2 floor", "unknown option 'floor'", kAvgUsage},
      {"linear", "the number of features is missing", kLinearUsage},
      {"linear 0", "the number of features must be a whole number from 1 to 65536, not '0'", kLinearUsage},
      {"linear 10 relu", "unknown option 'relu'", kLinearUsage},
      {"linear 10 init he init xavier", "option 'init' stands twice", kLinearUsage},
      {"relu 6", "unexpected '6'", "; write: relu"},
      {"prelu 0.25", "unexpected '0.25'", "; write: prelu"},
      {"affine 2", "unexpected '2'", "; write: affine"},
      {"batchnorm 2", "unexpected '2'", "; write: batchnorm"},
      {"globalavgpool 2", "unexpected '2'", "; write: globalavgpool"},
      {"dropout", "the rate is missing", "; write: dropout RATE"},
      {"dropout 1", "the rate must be a number from 0 to 0.999, not '1'", "; write: dropout RATE"},
      {"dropout -0.5", "the rate must be a number from 0 to 0.999, not '-0.5'", "; write: dropout RATE"},
      {"dropout half", "the rate must be a number from 0 to 0.999, not 'half'", "; write: dropout RATE"},
      {"residual 2", "unknown option '2'", kResidualUsage},
      {"residual avgpool", "the window is missing", kResidualUsage},
      {"residual avgpool 3", "the window must be a whole number from 2 to 2, not '3'", kResidualUsage},
      {"residual maxpool 2", "unknown option 'maxpool'", kResidualUsage},
      {"end 2", "unexpected '2'", "; write: end"},
      {"sigmoid x", "unexpected 'x'", "; write: sigmoid"},
      {"flatten 2", "unexpected '2'", "; write: flatten"},
      {"l2normalize 1e-6", "unexpected '1e-6'", "; write: l2normalize"},
  };
  for (const Case& c : cases) {
    const std::string line = c.line;
    EXPECT_EQ(parse_error("input 28x28x1\n# here\n" + line + "\nlinear 3"),
              "net:3: " + line.substr(0, line.find(' ')) + ": " + c.problem + c.usage);
  }
}

TEST(NetworkTextTest, Blocks) {
  const std::string input = "input 8x8x2\n";
  EXPECT_EQ(parse_error(input + "residual\nrelu\nend\nflatten"), "no error");
  EXPECT_EQ(parse_error(input + "relu\nend\nflatten"), "net:3: 'end' without a 'residual'");
  EXPECT_EQ(parse_error(input + "residual\nrelu\nend\nend\nflatten"), "net:5: 'end' without a 'residual'");
  EXPECT_EQ(parse_error(input + "residual\n\nrelu\nflatten"), "net:2: this 'residual' has no 'end'");
  EXPECT_EQ(parse_error(input + "residual\nresidual\nrelu\nend\nflatten"), "net:2: this 'residual' has no 'end'");
  EXPECT_EQ(parse_error(input + "residual avgpool 2\n# nothing\nend\nflatten"),
            "net:4: no layers between 'residual' and 'end'");
  EXPECT_EQ(parse_error(input + "residual\nresidual\nend\nend\nflatten"),
            "net:4: no layers between 'residual' and 'end'");
}

TEST(NetworkTextTest, TooMuch) {
  std::string text = "input 2x2x1\nflatten\n";
  for (int i = 1; i < 1000; ++i) text += "relu\n";
  EXPECT_EQ(parse_error(text), "no error");
  EXPECT_EQ(parse_error(text + "relu"), "net:1002: more than 1000 layers");
  EXPECT_EQ(parse_error(std::string((1 << 20) + 1, ' ')), "net: longer than 1048576 bytes; not a network");
  EXPECT_EQ(parse_error(std::string("input 2x2x1\nlin\0ear 3", 21)), "net:2: unknown layer 'lin?ear'" + kKnown);
}

}  // namespace
}  // namespace gemel
