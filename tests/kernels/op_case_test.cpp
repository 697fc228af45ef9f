// SPDX-License-Identifier: MIT
//
// The judges judged: a comparator that lets NaN pass, or guards that see nothing, would make every other test
// worthless.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <stdexcept>

#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
constexpr double kInfinity = std::numeric_limits<double>::infinity();

// y = 2x, computed by `run`, whatever that does.
OpCase doubling(std::function<void(DeviceTensors&)> run) {
  OpCase c;
  c.op = "doubling";
  c.shape = "3x5";
  c.tensors = {{.name = "x", .shape = {3, 5}}, {.name = "y", .shape = {3, 5}, .role = Role::output}};
  c.run = [run = std::move(run)](const Kernels&, Queue, DeviceTensors& t) { run(t); };
  c.reference = [](Values& v) {
    for (std::size_t i = 0; i < 15; ++i) v["y"][i] = 2 * v["x"][i];
  };
  return c;
}

void doubled(DeviceTensors& t) {
  for (int i = 0; i < 15; ++i) t.f32("y")[i] = 2 * t.f32("x")[i];
}

Outcome run(const OpCase& c) { return run_case(c, Kernels{}, Queue{}, host_memory()); }

TEST(Close, NanIsCloseToNanAlone) {
  EXPECT_TRUE(close(kNan, kNan, 0));
  EXPECT_FALSE(close(kNan, 1, kInfinity));
  EXPECT_FALSE(close(1, kNan, kInfinity));
  EXPECT_FALSE(close(kInfinity, kNan, kInfinity));
}

TEST(Close, InfinitiesAreCloseToThemselvesAlone) {
  EXPECT_TRUE(close(kInfinity, kInfinity, 0));
  EXPECT_FALSE(close(kInfinity, -kInfinity, kInfinity));
  EXPECT_FALSE(close(1, kInfinity, kInfinity));
  EXPECT_FALSE(close(kInfinity, 1, kInfinity));
}

TEST(Close, WithinTheToleranceAndNoFurther) {
  EXPECT_TRUE(close(1.5, 1, 0.5));
  EXPECT_FALSE(close(1.5, 1, 0.499));
  EXPECT_TRUE(close(-0.0, 0.0, 0));
}

TEST(RunCase, AcceptsACorrectResult) {
  const Outcome outcome = run(doubling(doubled));
  EXPECT_TRUE(outcome.ok());
  EXPECT_EQ(outcome.mismatch.worst, 0);
}

TEST(RunCase, FindsOneWrongElement) {
  const OpCase c = doubling([](DeviceTensors& t) {
    doubled(t);
    t.f32("y")[13] += 0.001f;
  });
  const Outcome outcome = run(c);
  EXPECT_EQ(outcome.mismatch.tensor, "y");
  EXPECT_EQ(outcome.mismatch.index, 13u);
  EXPECT_GT(outcome.mismatch.worst, 1);
  EXPECT_NE(outcome.mismatch.describe(c).find("y(2, 3) is "), std::string::npos) << outcome.mismatch.describe(c);
}

TEST(RunCase, FindsResultsShiftedByOneElement) {
  const Outcome outcome = run(doubling([](DeviceTensors& t) {
    for (int i = 0; i < 14; ++i) t.f32("y")[i + 1] = 2 * t.f32("x")[i];
  }));
  EXPECT_EQ(outcome.mismatch.tensor, "y");
  EXPECT_EQ(outcome.mismatch.index, 0u);
}

TEST(RunCase, FindsAnElementNotWritten) {
  const Outcome outcome = run(doubling([](DeviceTensors& t) {
    for (int i = 0; i < 14; ++i) t.f32("y")[i] = 2 * t.f32("x")[i];
  }));
  EXPECT_EQ(outcome.mismatch.tensor, "y");
  EXPECT_EQ(outcome.mismatch.index, 14u);
  EXPECT_TRUE(std::isnan(outcome.mismatch.got));
  EXPECT_TRUE(std::isinf(outcome.mismatch.worst));
}

TEST(RunCase, FindsAReadPastTheEnd) {
  const Outcome outcome = run(doubling([](DeviceTensors& t) {
    doubled(t);
    t.f32("y")[14] += 0 * t.f32("x")[15];
  }));
  EXPECT_EQ(outcome.mismatch.index, 14u);
}

TEST(RunCase, FindsAChangedInput) {
  const Outcome outcome = run(doubling([](DeviceTensors& t) {
    doubled(t);
    t.f32("x")[4] = 0;
  }));
  EXPECT_EQ(outcome.mismatch.tensor, "x");
}

// One byte, at the near and the far end of either guard.
TEST(RunCase, FindsAnOverwrittenGuardByte) {
  for (const int offset : {-64, -1, 60, 123}) {
    const Outcome outcome = run(doubling([offset](DeviceTensors& t) {
      doubled(t);
      t.u8("y")[offset] ^= 1;
    }));
    EXPECT_EQ(outcome.overwritten, "y") << offset;
    EXPECT_TRUE(outcome.mismatch.tensor.empty());
    EXPECT_FALSE(outcome.ok());
  }
}

TEST(RunCase, FindsAnOverrunOfTheScratch) {
  OpCase c = doubling(doubled);
  int overrun = 0;
  c.scratch = [](const Kernels&) { return std::size_t{24}; };
  c.run = [&overrun](const Kernels&, Queue queue, DeviceTensors& t) {
    doubled(t);
    ASSERT_EQ(queue.scratch.bytes, 24u);
    ASSERT_EQ(reinterpret_cast<std::uintptr_t>(queue.scratch.data) % 256, 0u);
    std::memset(queue.scratch.data, 0, queue.scratch.bytes + overrun);
  };
  EXPECT_TRUE(run(c).ok());
  overrun = 1;
  EXPECT_EQ(run(c).overwritten, "scratch");
}

TEST(RunCase, UnknownNamesThrow) {
  EXPECT_THROW(run(doubling([](DeviceTensors& t) { t.raw("z"); })), std::out_of_range);
}

TEST(Inputs, AreSeededAndRoundedToTheirDtype) {
  OpCase c;
  c.op = "none";
  c.tensors = {{.name = "normal", .shape = {2000}, .fill = {.a = 1, .b = 2}},
               {.name = "again", .shape = {2000}, .fill = {.a = 1, .b = 2}},
               {.name = "uniform", .shape = {2000}, .fill = {Fill::Kind::uniform, -3, -2}},
               {.name = "bytes", .shape = {2000}, .fill = {Fill::Kind::integers, 0, 3}, .dtype = Dtype::u8},
               {.name = "out", .shape = {2000}, .role = Role::output}};
  const Values values = make_inputs(c, 1);
  EXPECT_EQ(values, make_inputs(c, 1));
  EXPECT_NE(values, make_inputs(c, 2));
  EXPECT_NE(values.at("normal"), values.at("again"));
  EXPECT_TRUE(values.at("out").empty());

  double sum = 0, squares = 0;
  for (const double v : values.at("normal")) {
    EXPECT_EQ(v, static_cast<double>(static_cast<float>(v)));
    sum += v;
    squares += (v - 1) * (v - 1);
  }
  EXPECT_NEAR(sum / 2000, 1, 0.15);
  EXPECT_NEAR(squares / 2000, 4, 0.5);

  for (const double v : values.at("uniform")) EXPECT_TRUE(v >= -3 && v <= -2);
  int seen[4] = {};
  for (const double v : values.at("bytes")) ++seen[static_cast<int>(v)];
  for (const int count : seen) EXPECT_GT(count, 400);
}

TEST(Inputs, RefuseIntegersThatDoNotFit) {
  OpCase c;
  c.tensors = {{.name = "x", .shape = {1}, .fill = {Fill::Kind::constant, 256}, .dtype = Dtype::u8}};
  EXPECT_THROW(make_inputs(c, 1), std::logic_error);
}

// The numbers every platform must make: the first of seed 1.
TEST(Inputs, AreTheSameEverywhere) {
  OpCase c;
  c.op = "op";
  c.shape = "shape";
  c.tensors = {{.name = "x", .shape = {3}}};
  const std::vector<double> expected{-1.0555760860443115, 1.8052999973297119, 0.46796798706054688};
  EXPECT_EQ(make_inputs(c, 1).at("x"), expected);
}

// dx = factor * 2x, said to be the gradient of sum(x^2).
OpCase square(double factor) {
  OpCase c;
  c.op = "square";
  c.tensors = {{.name = "x", .shape = {7}}, {.name = "dx", .shape = {7}, .role = Role::inout}};
  c.reference = [factor](Values& v) {
    for (std::size_t i = 0; i < 7; ++i) v["dx"][i] += factor * 2 * v["x"][i];
  };
  c.objective = [](const Values& v) {
    double sum = 0;
    for (const double x : v.at("x")) sum += x * x;
    return sum;
  };
  c.gradients = {{"x", "dx"}};
  return c;
}

TEST(CheckGradient, AcceptsTheDerivativeAndRejectsAnother) {
  EXPECT_EQ(check_gradient(square(1)), "");
  EXPECT_NE(check_gradient(square(1.001)), "");
}

}  // namespace
}  // namespace gemel::reference
