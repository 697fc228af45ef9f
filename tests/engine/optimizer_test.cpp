// SPDX-License-Identifier: MIT
//
// The optimizer against plain loops in double precision over 20 steps, and what it reports.
#include "engine/optimizer.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/engine/device_fixture.h"

namespace gemel {
namespace {

constexpr int kSteps = 20;
constexpr float kStatistic = 7;

double reference_rate(const Schedule& schedule, int t) {
  const double base = schedule.base, floor = schedule.floor;
  if (t < schedule.warmup) return base * (t + 1) / schedule.warmup;
  const int decaying = t - schedule.warmup;
  const double progress = std::min(1.0, static_cast<double>(decaying) / std::max(1, schedule.total - schedule.warmup));
  switch (schedule.kind) {
    case Schedule::Kind::constant:
      return base;
    case Schedule::Kind::cosine:
      return floor + (base - floor) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Schedule::Kind::linear:
      return base + (floor - base) * progress;
    case Schedule::Kind::step:
      return base * std::pow(schedule.gamma, decaying / schedule.every);
    case Schedule::Kind::inverse:
      return base * std::pow(1 + double{schedule.gamma} * decaying, -double{schedule.power});
  }
  return -1;
}

struct ReferenceState {
  std::vector<double> value, first, second;
};

void reference_step(const SgdParams& p, double rate, int, const std::vector<float>& gradient, ReferenceState& s) {
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i] + p.weight_decay * s.value[i];
    s.first[i] = p.momentum * s.first[i] + g;
    s.value[i] -= rate * (p.nesterov ? g + p.momentum * s.first[i] : s.first[i]);
  }
}

void reference_step(const AdamParams& p, double rate, int t, const std::vector<float>& gradient, ReferenceState& s) {
  for (std::size_t i = 0; i < gradient.size(); ++i) {
    const double g = gradient[i];
    s.first[i] = p.beta1 * s.first[i] + (1 - double{p.beta1}) * g;
    s.second[i] = p.beta2 * s.second[i] + (1 - double{p.beta2}) * g * g;
    const double m = s.first[i] / (1 - std::pow(double{p.beta1}, t + 1));
    const double v = s.second[i] / (1 - std::pow(double{p.beta2}, t + 1));
    s.value[i] -= rate * (m / (std::sqrt(v) + p.epsilon) + p.weight_decay * s.value[i]);
  }
}

class OptimizerTest : public DeviceTest {
 protected:
  // Tensors of awkward sizes, and a buffer that no optimizer may touch.
  void make_parameters(Parameters& parameters) {
    const Initializer he{.kind = Initializer::Kind::he_normal, .fan_in = 3};
    parameters.declare("a", {31, 3}, he);
    statistic_ =
        parameters.declare("statistic", {5}, {.kind = Initializer::Kind::constant, .value = kStatistic}, false);
    parameters.declare("b", {1}, he);
    parameters.declare("c", {67}, he);
    parameters.allocate(*device_, stream_, 3);
  }

  // Gradients of a step; zero in the padding, as layers leave it.
  std::vector<float> gradients(const Parameters& parameters, int step) {
    std::vector<float> block(parameters.count());
    Random random(11, static_cast<std::uint64_t>(step));
    for (const auto& entry : parameters.entries()) {
      if (!entry.trainable) continue;
      for (std::size_t i = 0; i < entry.shape.count(); ++i) block[entry.offset + i] = random.normal();
    }
    return block;
  }

  void expect_agreement(const Optimizer::Rule& rule, const Schedule& schedule) {
    Parameters parameters;
    make_parameters(parameters);
    const std::size_t count = parameters.trainable_count();
    Optimizer optimizer(*device_, stream_, parameters, rule, schedule);
    const auto start = downloaded(parameters.values(), count);
    ReferenceState reference{{start.begin(), start.end()}, std::vector<double>(count), std::vector<double>(count)};
    const Queue queue = device_->queue(stream_);
    for (int step = 0; step < kSteps; ++step) {
      std::vector<float> gradient = gradients(parameters, step);
      device_->upload(stream_, parameters.gradients(), gradient.data(), gradient.size() * sizeof(float));
      optimizer.begin_step(queue);
      optimizer.apply(queue, parameters);
      optimizer.end_step(queue);

      gradient.resize(count);
      const double rate = reference_rate(schedule, step);
      std::visit([&](const auto& params) { reference_step(params, rate, step, gradient, reference); }, rule);
      const float used = optimizer.read(*device_, stream_).learning_rate;
      ASSERT_TRUE(std::abs(used - rate) <= 1e-6 * rate) << "step " << step << ": " << used << " instead of " << rate;
      const auto value = downloaded(parameters.values(), count);
      for (std::size_t i = 0; i < count; ++i) {
        const double error = std::abs(value[i] - reference.value[i]);
        ASSERT_TRUE(error <= 1e-5 * (1 + std::abs(reference.value[i])))
            << "step " << step << ", " << i << ": " << value[i] << " instead of " << reference.value[i];
      }
      ASSERT_EQ(downloaded(parameters.gradients(), count), std::vector<float>(count, 0)) << "the gradient is zeroed";
    }
    EXPECT_NE(downloaded(parameters.values(), count), start);
    EXPECT_EQ(downloaded(parameters.value(statistic_), 5), std::vector<float>(5, kStatistic));
  }

  ParamId statistic_ = 0;
};
INSTANTIATE_TEST_SUITE_P(Devices, OptimizerTest, testing::ValuesIn(test_devices()), device_test_name);

using ScheduleKind = Schedule::Kind;

TEST_P(OptimizerTest, SgdFollowsItsFormula) {
  expect_agreement(SgdParams{.momentum = 0}, {.base = 0.1f});
  expect_agreement(SgdParams{.momentum = 0.9f, .weight_decay = 5e-4f}, {.base = 0.01f});
  expect_agreement(SgdParams{.momentum = 0.9f, .weight_decay = 0.1f, .nesterov = true}, {.base = 0.01f});
}

TEST_P(OptimizerTest, AdamFollowsItsFormula) {
  expect_agreement(AdamParams{}, {.base = 0.01f});
  expect_agreement(AdamParams{.beta1 = 0.5f, .beta2 = 0.99f, .epsilon = 1e-3f, .weight_decay = 0.1f}, {.base = 0.01f});
}

TEST_P(OptimizerTest, SchedulesFollowTheirFormulas) {
  const SgdParams sgd{};
  for (int warmup : {0, 1, 7}) {
    expect_agreement(sgd, {.base = 0.01f, .warmup = warmup});
    expect_agreement(sgd,
                     {.kind = ScheduleKind::cosine, .base = 0.01f, .warmup = warmup, .total = 15, .floor = 0.001f});
    expect_agreement(sgd,
                     {.kind = ScheduleKind::linear, .base = 0.01f, .warmup = warmup, .total = 15, .floor = 0.001f});
    expect_agreement(sgd, {.kind = ScheduleKind::step, .base = 0.01f, .warmup = warmup, .every = 3, .gamma = 0.5f});
    expect_agreement(sgd,
                     {.kind = ScheduleKind::inverse, .base = 0.01f, .warmup = warmup, .gamma = 0.1f, .power = 0.75f});
  }
}

TEST_P(OptimizerTest, ReadGivesMeansAndZeroesTheSums) {
  Parameters parameters;
  make_parameters(parameters);
  const Optimizer optimizer(*device_, stream_, parameters, SgdParams{}, {.base = 0.25f});
  const StepState state{.learning_rate = 0.25f, .loss_sum = 6, .active_sum = 1.5f, .steps = 3, .step = 17, .cursor = 5};
  device_->upload(stream_, optimizer.state(), &state, sizeof(state));
  const std::uint64_t downloads = device_->counters().downloads;
  const auto progress = optimizer.read(*device_, stream_);
  EXPECT_EQ(device_->counters().downloads, downloads + 1);
  EXPECT_EQ(progress.step, 17);
  EXPECT_EQ(progress.steps, 3);
  EXPECT_EQ(progress.learning_rate, 0.25f);
  EXPECT_EQ(progress.mean_loss, 2);
  EXPECT_EQ(progress.mean_active, 0.5f);

  const auto again = optimizer.read(*device_, stream_);
  EXPECT_EQ(again.step, 17);
  EXPECT_EQ(again.steps, 0);
  EXPECT_EQ(again.mean_loss, 0);
  EXPECT_EQ(again.mean_active, 0);

  StepState left{};
  device_->download(stream_, &left, optimizer.state(), sizeof(left));
  EXPECT_EQ(left.cursor, 5);
  optimizer.rewind_cursor(*device_, stream_);
  device_->download(stream_, &left, optimizer.state(), sizeof(left));
  EXPECT_EQ(left.cursor, 0);
  EXPECT_EQ(left.step, 17);
}

TEST_P(OptimizerTest, ARecordedStepIsTheDirectStep) {
  const auto trained = [&](bool recorded) {
    Parameters parameters;
    make_parameters(parameters);
    const Optimizer optimizer(*device_, stream_, parameters, AdamParams{},
                              {.kind = ScheduleKind::cosine, .base = 0.1f, .warmup = 2, .total = 6});
    const auto gradient = gradients(parameters, 0);
    const Buffer source = uploaded(gradient);
    const auto step = [&] {
      const Queue queue = device_->queue(stream_);
      device_->copy(stream_, parameters.gradients(), source.data(), source.bytes());
      optimizer.begin_step(queue);
      optimizer.apply(queue, parameters);
      optimizer.end_step(queue);
    };
    step();
    Graph graph;
    if (recorded) graph = device_->record(stream_, step);
    for (int i = 0; i < 5; ++i) recorded ? graph.replay(stream_) : step();
    EXPECT_EQ(optimizer.read(*device_, stream_).step, 6);
    return downloaded(parameters.values(), parameters.count());
  };
  EXPECT_EQ(trained(true), trained(false));
}

TEST_P(OptimizerTest, RefusesSettingsOutOfRange) {
  Parameters parameters;
  make_parameters(parameters);
  const auto refused = [&](const Optimizer::Rule& rule, const Schedule& schedule, const char* setting) {
    const std::string message =
        message_of<InputError>([&] { Optimizer(*device_, stream_, parameters, rule, schedule); });
    EXPECT_NE(message.find(setting), std::string::npos) << message;
  };
  const float nan = std::nanf("");
  refused(SgdParams{.momentum = 1}, {}, "momentum");
  refused(SgdParams{.momentum = nan}, {}, "momentum");
  refused(SgdParams{.weight_decay = -1}, {}, "weight decay");
  refused(AdamParams{.beta1 = 1}, {}, "beta1");
  refused(AdamParams{.beta2 = -0.1f}, {}, "beta2");
  refused(AdamParams{.epsilon = 0}, {}, "epsilon");
  refused(AdamParams{}, {.base = nan}, "learning rate");
  refused(AdamParams{}, {.warmup = -1}, "warm-up");
  refused(AdamParams{}, {.kind = ScheduleKind::cosine}, "number of steps");
  refused(AdamParams{}, {.kind = ScheduleKind::linear, .total = 3, .floor = -1}, "lowest learning rate");
  refused(AdamParams{}, {.kind = ScheduleKind::step}, "interval");
  refused(AdamParams{}, {.kind = ScheduleKind::inverse, .power = nan}, "power");
}

TEST_P(OptimizerTest, RefusesOtherParameters) {
  Parameters parameters, other;
  make_parameters(parameters);
  other.declare("a", {3}, {});
  other.allocate(*device_, stream_, 1);
  const Optimizer optimizer(*device_, stream_, parameters, SgdParams{}, {});
  message_of<Error>([&] { optimizer.apply(device_->queue(stream_), other); });
}

TEST_P(OptimizerTest, DescribesItself) {
  Parameters parameters;
  make_parameters(parameters);
  const auto described = [&](const Optimizer::Rule& rule, const Schedule& schedule) {
    return Optimizer(*device_, stream_, parameters, rule, schedule).describe();
  };
  EXPECT_EQ(described(AdamParams{}, {.kind = ScheduleKind::cosine, .base = 0.001f, .warmup = 100, .total = 1000}),
            "adam(rate 0.001 cosine to 0 at step 1000, warm-up 100 steps, betas 0.9 0.999, weight decay 0)");
  EXPECT_EQ(described(SgdParams{.nesterov = true}, {.kind = ScheduleKind::inverse, .base = 0.01f}),
            "sgd(rate 0.01 times (1 + 0.0001 t)^-0.75, Nesterov momentum 0.9, weight decay 0)");
  EXPECT_EQ(described(SgdParams{}, {.kind = ScheduleKind::step, .base = 0.01f, .every = 50, .gamma = 0.1f}),
            "sgd(rate 0.01 times 0.1 every 50 steps, momentum 0.9, weight decay 0)");
}

}  // namespace
}  // namespace gemel
