// SPDX-License-Identifier: MIT
//
// Every loss and its gradients against numbers that are not this project's: loss_values.json, which
// tools/peers/loss_values.py computes in PyTorch from the same inputs.
#include <fstream>
#include <nlohmann/json.hpp>
#include <set>

#include "tests/engine/device_fixture.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

using Json = nlohmann::json;

constexpr int kRows = 12, kColumns = 5, kClasses = 4;
constexpr double kTolerance = 2e-5;  // of the largest number of a tensor

// The inputs, by the script's formulas.
std::vector<float> embeddings() {
  std::vector<float> e;
  for (int i = 0; i < kRows; ++i) {
    for (int k = 0; k < kColumns; ++k) {
      e.push_back((static_cast<float>((7 * i + 13 * k + 3 * i * k) % 17) - 8.5F) / 8 +
                  static_cast<float>(i * i + 5 * k) / 256);
    }
  }
  return e;
}

const std::vector<std::int32_t> kLabels{0, 1, 2, 3, 0, 0, 2, 2, 1, 3, 1, 0};

std::vector<float> parameter(const std::string& name) {
  std::vector<float> values;
  const auto fill = [&](int count, const auto& value) {
    for (int i = 0; i < count; ++i) values.push_back(static_cast<float>(value(i)));
    return values;
  };
  if (name == "head.weight") {
    return fill(kClasses * kColumns, [](int i) {
      const int c = i / kColumns, k = i % kColumns;
      return ((5 * c + 11 * k + 2 * c * k) % 13 - 6.5) / 8;
    });
  }
  if (name == "head.bias") return fill(kClasses, [](int c) { return (c - 1.5) / 4; });
  if (name == "metric.weight") return fill(kColumns, [](int k) { return (2 * k - 3) / 8.0; });
  return fill(1, [](int) { return 0.5; });  // metric.threshold
}

LossOptions options_of(const Json& test) {
  LossOptions options{.name = test.at("name")};
  const Json& given = test.at("options");
  options.margin = given.value("margin", options.margin);
  options.squared = given.value("squared", options.squared);
  options.soft = given.value("soft", options.soft);
  options.temperature = given.value("temperature", options.temperature);
  options.scale = given.value("scale", options.scale);
  options.alpha = given.value("alpha", options.alpha);
  options.beta = given.value("beta", options.beta);
  options.lambda = given.value("lambda", options.lambda);
  return options;
}

void expect_close(const std::vector<float>& got, const std::vector<double>& want, const std::string& what) {
  ASSERT_EQ(got.size(), want.size()) << what;
  double largest = 0;
  for (const double x : want) largest = std::max(largest, std::abs(x));
  ASSERT_GT(largest, 0) << what;
  for (std::size_t i = 0; i < got.size(); ++i) {
    const double error = std::abs(static_cast<double>(got[i]) - want[i]);
    EXPECT_TRUE(error <= kTolerance * largest) << what << " " << i << ": " << got[i] << ", expected " << want[i];
  }
}

class LossValuesTest : public DeviceTest {
 protected:
  void check(const Json& test) {
    const LossOptions options = options_of(test);
    const auto loss = make_loss(options);
    SCOPED_TRACE(loss->describe());
    Parameters parameters;
    loss->declare(parameters, kColumns, kClasses);
    parameters.allocate(*device_, stream_, 1);
    for (const Parameters::Entry& entry : parameters.entries()) {
      const std::vector<float> values = parameter(entry.name);
      device_->upload(stream_, parameters.writable(parameters.id(entry.name)), values.data(),
                      values.size() * sizeof(float));
    }
    Arena arena;
    loss->plan(device_->kernels(), arena, parameters, {kRows, kColumns, kClasses, kRows});
    arena.allocate(*device_);
    const Buffer e = uploaded(embeddings()), de(*device_, e.bytes()), state(*device_, sizeof(StepState));
    const Buffer labels(*device_, kLabels.size() * sizeof(std::int32_t));
    device_->upload(stream_, labels.data(), kLabels.data(), labels.bytes());
    device_->fill_zero(stream_, state.data(), state.bytes());
    loss->run(device_->kernels(), device_->queue(stream_), arena, e.f32(),
              static_cast<const std::int32_t*>(labels.data()), static_cast<StepState*>(state.data()), de.f32());

    StepState sums{};
    device_->download(stream_, &sums, state.data(), sizeof(sums));
    expect_close({sums.loss_sum}, {test.at("loss").get<double>()}, "loss");
    expect_close(downloaded(de.f32(), kRows * kColumns), test.at("de"), "de");
    for (const auto& [name, want] : test.at("gradients").items()) {
      const std::size_t count = parameters.find(name)->shape.count();
      expect_close(downloaded(parameters.gradient(parameters.id(name)), count), want, name);
    }
    EXPECT_EQ(test.at("gradients").size(), parameters.entries().size());
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, LossValuesTest, testing::ValuesIn(test_devices()), device_test_name);

TEST_P(LossValuesTest, AreThoseOfTheFormulas) {
  std::ifstream file(GEMEL_LOSS_VALUES);
  const Json values = Json::parse(file);
  std::set<std::string> names;
  for (const Json& test : values.at("cases")) {
    check(test);
    names.insert(test.at("name"));
  }
  for (const std::string& name : loss_names()) EXPECT_TRUE(names.contains(name)) << name;
}

}  // namespace
}  // namespace gemel
