// SPDX-License-Identifier: MIT
//
// What tensor-core rungs promise beyond OpCases: the mode that the queue names is the rung of its name, but for first
// layers; 3xTF32 is as good as f32; tiles do not show in the bits; and asynchronous copies may come as early or as late as
// they like.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/simt/async.h"
#include "tests/kernels/tables.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

// The cases that begin so; products with several tiles and slices among them.
std::vector<OpCase> cases_of(const std::string& prefix, const std::string& part) {
  std::vector<OpCase> result;
  for (const OpCase& c : all_cases(Depth::quick)) {
    if (c.op.rfind(prefix, 0) == 0 && c.shape.find(part) != std::string::npos) result.push_back(c);
  }
  return result;
}

// Every tensor's bits after a call; inf and NaN as they are.
std::vector<double> bits(const OpCase& c, const Kernels& kernels, Math math) {
  std::vector<double> all;
  Queue queue;
  queue.math = math;
  for (const auto& [name, values] : run_case(c, kernels, queue, host_memory()).got) {
    all.insert(all.end(), values.begin(), values.end());
  }
  return all;
}

bool same_bits(const std::vector<double>& a, const std::vector<double>& b) {
  return a.size() == b.size() && std::memcmp(a.data(), b.data(), a.size() * sizeof(double)) == 0;
}

constexpr Math kModes[] = {Math::tf32, Math::tf32x3, Math::bf16};

TEST(TensorCores, TheQueuesModeIsTheRungOfItsName) {
  const Kernels table = simt::kernels();
  int compared = 0, changed = 0;  // small integers are the same in every mode
  for (const Math mode : kModes) {
    for (const OpCase& c : cases_of("linear_", "n=17 32 -> 10")) {
      const std::vector<double> want = bits(c, simt::linear_rung(mode).in(table), Math::fp32);
      EXPECT_TRUE(same_bits(bits(c, table, mode), want)) << c.op;
      changed += same_bits(bits(c, table, Math::fp32), want) ? 0 : 1;
      ++compared;
    }
    for (const OpCase& c : cases_of("conv", "n=2 14x11x16 -> 16 @3x3")) {
      const std::vector<double> want = bits(c, simt::conv2d_rung(mode).in(table), mode);
      EXPECT_TRUE(same_bits(bits(c, table, mode), want)) << c.op;
      changed += same_bits(bits(c, table, Math::fp32), want) ? 0 : 1;
      ++compared;
    }
  }
  EXPECT_GE(compared, 15);
  EXPECT_GE(2 * changed, compared);
}

TEST(TensorCores, FirstLayersAreTheSameInEveryMode) {
  const Kernels table = simt::kernels();
  int compared = 0;
  for (const OpCase& c : cases_of("conv", "n=2 31x33x1 -> 20 @5x5")) {
    const std::vector<double> want = bits(c, table, Math::fp32);
    for (const Math mode : kModes) EXPECT_TRUE(same_bits(bits(c, table, mode), want)) << c.op;
    ++compared;
  }
  EXPECT_EQ(compared, 2);
}

// y and dw of a layer of `out` outputs, the first ones of a larger layer's.
struct Layer {
  static constexpr int kN = 70, kIn = 200, kMost = 100;
  std::vector<float> y, dw;  // (out, N), (out, In)

  Layer(const LinearRung& rung, int out) {
    const LinearShape shape{kN, kIn, out};
    const auto value = [](int a, int b) { return std::sin(static_cast<float>(a * 211 + b * 7 + 1)); };
    std::vector<float> x, w, dy, rows(static_cast<std::size_t>(kN * out));
    for (int n = 0; n < kN; ++n) {
      for (int i = 0; i < kIn; ++i) x.push_back(value(n, i));
      for (int o = 0; o < out; ++o) dy.push_back(value(n, 1000 + o));
    }
    for (int o = 0; o < out; ++o) {
      for (int i = 0; i < kIn; ++i) w.push_back(value(500 + o, i));
    }
    std::vector<float> scratch(rung.scratch(shape) / sizeof(float) + 1);
    Queue queue;
    queue.scratch = {scratch.data(), scratch.size() * sizeof(float)};
    rung.fprop(queue, shape, x.data(), w.data(), nullptr, nullptr, rows.data());
    dw.resize(static_cast<std::size_t>(out * kIn));
    rung.wgrad(queue, shape, x.data(), dy.data(), dw.data(), nullptr);
    for (int o = 0; o < out; ++o) {
      for (int n = 0; n < kN; ++n) y.push_back(rows[static_cast<std::size_t>(n * out + o)]);
    }
  }
};

TEST(TensorCores, NarrowTilesHaveTheBitsOfWideOnes) {
  for (const Math mode : kModes) {
    const LinearRung& rung = simt::linear_rung(mode);
    const Layer wide(rung, Layer::kMost);
    for (const int out : {5, 32}) {
      const Layer narrow(rung, out);
      EXPECT_EQ(std::memcmp(narrow.y.data(), wide.y.data(), narrow.y.size() * sizeof(float)), 0) << rung.name << out;
      EXPECT_EQ(std::memcmp(narrow.dw.data(), wide.dw.data(), narrow.dw.size() * sizeof(float)), 0) << rung.name << out;
    }
  }
}

double error(const OpCase& c, const Kernels& kernels) {
  return rms_error(c, run_case(c, kernels, Queue{}, host_memory()).got);
}

// Beside the fp32 of rung 2; the other modes' errors show that the measure sees one.
TEST(TensorCores, ThreeProductsOfTf32AreAsGoodAsF32) {
  const Kernels table = simt::kernels();
  std::vector<OpCase> cases = cases_of("linear_", "n=132 64 -> 196");
  for (const OpCase& c : cases_of("linear_", "n=2 1200 -> 516")) cases.push_back(c);
  ASSERT_EQ(cases.size(), 6u);
  for (const OpCase& c : cases) {
    const double f32 = error(c, table), tf32x3 = error(c, simt::linear_rung(Math::tf32x3).in(table));
    EXPECT_TRUE(tf32x3 <= 2 * f32) << c.op << " " << c.shape << ": " << tf32x3 << ", f32 " << f32;
    EXPECT_GT(error(c, simt::linear_rung(Math::tf32).in(table)), 50 * f32);
    EXPECT_GT(error(c, simt::linear_rung(Math::bf16).in(table)), 400 * f32);
  }
}

// Of the rungs of linear and conv2d, by the case's op.
bool is_rung_of(const Table& table, const OpCase& c) {
  const bool linear = table.name.rfind("simt_linear_0", 0) == 0;
  if (!linear && table.name.rfind("simt_conv2d_0", 0) != 0) return false;
  return c.op.rfind(linear ? "linear_" : "conv2d_", 0) == 0;
}

std::vector<OpCase> cases_of_several_stages() {
  std::vector<OpCase> cases = cases_of("linear_", "n=2 1200 -> 516");
  for (const OpCase& c : cases_of("conv2d_", "n=2 9x8x64 -> 68")) cases.push_back(c);
  return cases;
}

TEST(TensorCores, CopiesMayComeEarlyOrLate) {
  int compared = 0;
  for (const Table& table : tables()) {
    for (const OpCase& c : cases_of_several_stages()) {
      if (!is_rung_of(table, c)) continue;
      const std::vector<double> late = bits(c, table.kernels, Math::fp32);
      simt::async_copies_early = true;
      const std::vector<double> early = bits(c, table.kernels, Math::fp32);
      simt::async_copies_early = false;
      EXPECT_TRUE(same_bits(late, early)) << table.name << " " << c.op;
      ++compared;
    }
  }
  EXPECT_GE(compared, 3 * (6 + 6));
}

TEST(AsynchronousRungs, HaveTheBitsOfTheRungBelow) {
  const Kernels table = simt::kernels();
  int compared = 0;
  for (const Table& rung : tables()) {
    if (rung.name.find("03_async") == std::string::npos) continue;
    for (const OpCase& c : cases_of_several_stages()) {
      if (!is_rung_of(rung, c)) continue;
      EXPECT_TRUE(same_bits(bits(c, rung.kernels, Math::fp32), bits(c, table, Math::fp32))) << c.op;
      ++compared;
    }
  }
  EXPECT_EQ(compared, 6);
}

}  // namespace
}  // namespace gemel::reference
