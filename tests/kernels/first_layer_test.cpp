// SPDX-License-Identifier: MIT
//
// What the first layer's kernels (kernels/conv2d/06_first_layer.cu) promise beyond OpCases: forward has the bits of the
// implicit GEMM, and the table uses them where they pay.
#include <gtest/gtest.h>

#include <cstring>
#include <string>
#include <vector>

#include "tests/kernels/tables.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

Kernels rung(const std::string& name) {
  for (const Conv2dRung& r : simt::conv2d_rungs()) {
    if (r.name == name) return r.in(simt::kernels());
  }
  ADD_FAILURE() << "no rung " << name;
  return simt::kernels();
}

bool same_bits(const OpCase& c, const Kernels& a, const Kernels& b) {
  const Values left = run_case(c, a, Queue{}, host_memory()).got, right = run_case(c, b, Queue{}, host_memory()).got;
  for (const auto& [name, values] : left) {
    const std::vector<double>& others = right.at(name);
    if (values.size() != others.size()) return false;
    if (!values.empty() && std::memcmp(values.data(), others.data(), values.size() * sizeof(double)) != 0) return false;
  }
  return true;
}

bool ends_with(const std::string& text, const std::string& end) {
  return text.size() >= end.size() && text.compare(text.size() - end.size(), end.size(), end) == 0;
}

TEST(FirstLayer, ForwardHasTheBitsOfTheImplicitGemm) {
  int compared = 0;
  for (const OpCase& c : all_cases(Depth::quick)) {
    const bool forward = c.op == "conv2d_fprop" || c.op == "conv_block_forward";
    if (!forward || c.channels == 0 || c.channels > 3 || ends_with(c.shape, "NaN")) continue;
    EXPECT_TRUE(same_bits(c, rung("06_first_layer"), rung("02_implicit_gemm"))) << c.op << " " << c.shape;
    ++compared;
  }
  EXPECT_GE(compared, 40);
}

// wgrad adds in another order than the implicit GEMM, by which one tells them apart.
TEST(FirstLayer, IsTheTablesWhereItPays) {
  int pays = 0, does_not = 0;
  for (const OpCase& c : all_cases(Depth::quick)) {
    if (c.op != "conv2d_wgrad") continue;
    const bool large = c.shape.rfind("n=2 31x33x1 -> 20 @5x5", 0) == 0,
               small = c.shape.rfind("n=1 5x5x3 -> 31", 0) == 0;
    if (!large && !small) continue;
    EXPECT_TRUE(same_bits(c, simt::kernels(), rung(large ? "06_first_layer" : "02_implicit_gemm"))) << c.shape;
    EXPECT_FALSE(large && same_bits(c, simt::kernels(), rung("02_implicit_gemm"))) << c.shape;
    ++(large ? pays : does_not);
  }
  EXPECT_EQ(pays, 1);
  EXPECT_EQ(does_not, 1);
}

}  // namespace
}  // namespace gemel::reference
