// SPDX-License-Identifier: MIT
//
// Layout of the parameter block and the distributions it starts from.
#include "engine/parameters.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>

#include "tests/engine/device_fixture.h"

namespace gemel {
namespace {

using Kind = Initializer::Kind;

class ParametersTest : public DeviceTest {
 protected:
  std::vector<float> values(const Parameters& parameters, ParamId id) {
    const auto& entry = parameters.entries()[static_cast<std::size_t>(id)];
    return downloaded(parameters.value(id), entry.shape.count());
  }
  // The starting values of one tensor of `count` numbers.
  std::vector<float> start(const Initializer& how, int count, std::uint64_t seed = 1) {
    Parameters parameters;
    const ParamId id = parameters.declare("weight", {count}, how);
    parameters.allocate(*device_, stream_, seed);
    return values(parameters, id);
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, ParametersTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(ParametersTest, TensorsAreAlignedAndBuffersComeLast) {
  Parameters parameters;
  const ParamId a = parameters.declare("a", {33}, {.kind = Kind::constant, .value = 1});
  const ParamId statistics = parameters.declare("statistics", {5}, {.kind = Kind::constant, .value = 2}, false);
  const ParamId b = parameters.declare("b", {8, 8}, {.kind = Kind::constant, .value = 3});
  const ParamId c = parameters.declare("c", {1}, {.kind = Kind::constant, .value = 4});
  parameters.allocate(*device_, stream_, 1);

  EXPECT_EQ(parameters.count(), 256u);
  EXPECT_EQ(parameters.trainable_count(), 192u);
  EXPECT_EQ(parameters.parameter_count(), 33u + 64 + 1);
  EXPECT_EQ(parameters.value(a) - parameters.values(), 0);
  EXPECT_EQ(parameters.value(b) - parameters.values(), 64);
  EXPECT_EQ(parameters.value(c) - parameters.values(), 128);
  EXPECT_EQ(parameters.value(statistics) - parameters.values(), 192);
  EXPECT_EQ(parameters.gradient(c) - parameters.gradients(), 128);

  std::vector<float> expected(256, 0);  // the padding is zero
  std::fill_n(expected.begin(), 33, 1.0f);
  std::fill_n(expected.begin() + 64, 64, 3.0f);
  expected[128] = 4;
  std::fill_n(expected.begin() + 192, 5, 2.0f);
  EXPECT_EQ(downloaded(parameters.values(), 256), expected);
  EXPECT_EQ(downloaded(parameters.gradients(), 256), std::vector<float>(256, 0));
}

TEST_P(ParametersTest, AForwardPassWritesToBuffersAlone) {
  Parameters parameters;
  const ParamId weight = parameters.declare("weight", {3}, {});
  const ParamId statistics = parameters.declare("statistics", {5}, {}, false);
  parameters.allocate(*device_, stream_, 1);
  const Parameters& seen = parameters;
  const std::uint64_t version = seen.version();
  EXPECT_EQ(seen.writable_buffer(statistics), seen.value(statistics));
  EXPECT_GT(seen.version(), version);
  EXPECT_NE(message_of<Error>([&] { seen.writable_buffer(weight); }).find("weight"), std::string::npos);
}

TEST_P(ParametersTest, FindsByName) {
  Parameters parameters;
  parameters.declare("conv1.weight", {20, 5, 5, 1}, {});
  parameters.declare("conv1.bias", {20}, {});
  ASSERT_NE(parameters.find("conv1.bias"), nullptr);
  EXPECT_EQ(parameters.find("conv1.bias")->shape, Shape{20});
  EXPECT_EQ(parameters.find("conv2.bias"), nullptr);
}

TEST_P(ParametersTest, RefusesDuplicatesAndLateDeclarations) {
  Parameters parameters;
  parameters.declare("conv1.weight", {3}, {});
  EXPECT_NE(message_of<Error>([&] { parameters.declare("conv1.weight", {4}, {}); }).find("conv1.weight"),
            std::string::npos);
  EXPECT_EQ(parameters.entries().size(), 1u);
  parameters.allocate(*device_, stream_, 1);
  message_of<Error>([&] { parameters.declare("late", {3}, {}); });
  message_of<Error>([&] { parameters.allocate(*device_, stream_, 1); });
}

TEST_P(ParametersTest, NoParametersAreAllowed) {
  Parameters parameters;
  parameters.allocate(*device_, stream_, 1);
  EXPECT_EQ(parameters.count(), 0u);
  EXPECT_EQ(parameters.values(), nullptr);
}

TEST_P(ParametersTest, AMissingFanNamesTheParameter) {
  const std::string message = message_of<Error>([&] { start({.kind = Kind::he_normal}, 3); });
  EXPECT_NE(message.find("weight"), std::string::npos) << message;
}

// Mean, deviation (within 5 standard errors) and bound of 40,009 values.
void expect_distribution(const std::vector<float>& values, double deviation, double bound, double kurtosis) {
  const double n = static_cast<double>(values.size());
  double sum = 0, squares = 0, largest = 0;
  for (float x : values) {
    sum += x;
    squares += double{x} * x;
    largest = std::max(largest, std::abs(double{x}));
  }
  EXPECT_TRUE(std::abs(sum / n) <= 5 * deviation / std::sqrt(n)) << sum / n;
  const double variance = squares / n / (deviation * deviation);
  EXPECT_TRUE(std::abs(variance - 1) <= 5 * std::sqrt((kurtosis - 1) / n)) << variance;
  EXPECT_TRUE(largest <= bound && largest > 0.999 * std::min(bound, 3 * deviation)) << largest;
}

TEST_P(ParametersTest, InitializersHaveTheirDistributions) {
  constexpr int kCount = 40009;
  constexpr double kNormal = 3, kUniform = 1.8;  // kurtosis
  const double root3 = std::sqrt(3.0);
  const auto he = start({.kind = Kind::he_normal, .fan_in = 25, .fan_out = 500}, kCount);
  expect_distribution(he, std::sqrt(2.0 / 25), 6.7 * std::sqrt(2.0 / 25), kNormal);
  const auto normal = start({.kind = Kind::normal, .value = 0.01f}, kCount);
  expect_distribution(normal, 0.01, 0.067, kNormal);
  // The same numbers about another mean.
  const auto moved = start({.kind = Kind::normal, .value = 0.01f, .mean = 0.5f}, kCount);
  for (std::size_t i = 0; i < moved.size(); ++i) EXPECT_EQ(moved[i], 0.5f + normal[i]) << i;
  const auto he_uniform = start({.kind = Kind::he_uniform, .fan_in = 25, .fan_out = 500}, kCount);
  expect_distribution(he_uniform, std::sqrt(2.0 / 25), root3 * std::sqrt(2.0 / 25) * 1.0001, kUniform);
  const auto glorot = start({.kind = Kind::glorot_uniform, .fan_in = 25, .fan_out = 500}, kCount);
  expect_distribution(glorot, std::sqrt(2.0 / 525), root3 * std::sqrt(2.0 / 525) * 1.0001, kUniform);
  const auto xavier = start({.kind = Kind::caffe_xavier, .fan_in = 25, .fan_out = 500}, kCount);
  expect_distribution(xavier, std::sqrt(1.0 / 25), root3 * std::sqrt(1.0 / 25) * 1.0001, kUniform);
  EXPECT_EQ(start({.kind = Kind::zero}, 131), std::vector<float>(131, 0));
  EXPECT_EQ(start({.kind = Kind::constant, .value = 0.5f}, 131), std::vector<float>(131, 0.5f));
}

TEST_P(ParametersTest, SameSeedSameBits) {
  const Initializer how{.kind = Kind::he_normal, .fan_in = 9};
  EXPECT_EQ(start(how, 1009, 42), start(how, 1009, 42));
  EXPECT_NE(start(how, 1009, 42), start(how, 1009, 43));
  const auto on_simt = [&] {
    const auto device = open_device("simt");
    Stream stream = device->make_stream();
    Parameters parameters;
    const ParamId id = parameters.declare("weight", {1009}, how);
    parameters.allocate(*device, stream, 42);
    return download(*device, stream, parameters.value(id), 1009);
  };
  EXPECT_EQ(start(how, 1009, 42), on_simt());
}

TEST_P(ParametersTest, ValuesDependOnTheNameAloneNotOnOtherTensors) {
  const Initializer how{.kind = Kind::glorot_uniform, .fan_in = 3, .fan_out = 5};
  Parameters parameters;
  const ParamId before = parameters.declare("other", {77}, how);
  const ParamId weight = parameters.declare("weight", {31, 3}, how);
  parameters.allocate(*device_, stream_, 1);
  const auto alone = start(how, 93);
  EXPECT_EQ(values(parameters, weight), alone);
  const auto other = values(parameters, before);
  EXPECT_FALSE(std::equal(other.begin(), other.end(), alone.begin()));
}

}  // namespace
}  // namespace gemel
