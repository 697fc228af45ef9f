// SPDX-License-Identifier: MIT
//
// What tensor-core rungs promise beyond OpCases: the mode that the queue names is the rung of its name, 3xTF32 is as good
// as f32, and asynchronous copies may come as early or as late as they like.
#include <gtest/gtest.h>

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

TEST(TensorCores, CopiesMayComeEarlyOrLate) {
  for (const Table& table : tables()) {
    if (table.name.rfind("simt_linear_0", 0) != 0) continue;
    for (const OpCase& c : cases_of("linear_", "n=2 1200 -> 516")) {
      const std::vector<double> late = bits(c, table.kernels, Math::fp32);
      simt::async_copies_early = true;
      const std::vector<double> early = bits(c, table.kernels, Math::fp32);
      simt::async_copies_early = false;
      EXPECT_TRUE(same_bits(late, early)) << table.name << " " << c.op;
    }
  }
}

}  // namespace
}  // namespace gemel::reference
