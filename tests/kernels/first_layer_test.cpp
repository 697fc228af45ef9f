// SPDX-License-Identifier: MIT
//
// What the first layer's kernels (kernels/conv2d/07_first_layer.cu) promise beyond OpCases: forward has the bits of the
// implicit GEMM, and the table uses them where they pay.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
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
    EXPECT_TRUE(same_bits(c, rung("07_first_layer"), rung("02_implicit_gemm"))) << c.op << " " << c.shape;
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
    EXPECT_TRUE(same_bits(c, simt::kernels(), rung(large ? "07_first_layer" : "02_implicit_gemm"))) << c.shape;
    EXPECT_FALSE(large && same_bits(c, simt::kernels(), rung("02_implicit_gemm"))) << c.shape;
    ++(large ? pays : does_not);
  }
  EXPECT_EQ(pays, 1);
  EXPECT_EQ(does_not, 1);
}

// Deterministic, of both signs, no two alike.
std::vector<float> values(std::size_t count, int seed) {
  std::vector<float> all(count);
  for (std::size_t i = 0; i < count; ++i) all[i] = std::sin(static_cast<float>(i * 7 + static_cast<std::size_t>(seed)));
  return all;
}

// Never written out, dz gives the bits that it gives written out.
TEST(FirstLayer, TheBlocksGradientIsThatOfItsDz) {
  const Kernels k = rung("07_first_layer");
  const Conv2dShape s{.n = 3, .h = 33, .w = 30, .c = 3, .k = 21, .r = 5, .s = 4, .pad_h = 1};
  for (const int filters : {20, 21}) {
    for (const bool relu : {false, true}) {
      for (const bool pool : {false, true}) {
        ConvBlock b{.conv = s, .relu = relu, .pool = pool};
        b.conv.k = filters;
        const int P = s.p(), Q = s.q(), side = pool ? 2 : 1;
        const std::size_t outputs = static_cast<std::size_t>(s.n) * b.out_h() * b.out_w() * filters;
        const std::vector<float> x = values(static_cast<std::size_t>(s.n) * s.h * s.w * s.c, 1);
        const std::vector<float> y = values(outputs, 2), dy = values(outputs, 3);
        std::vector<std::uint8_t> argmax(outputs);
        std::vector<float> dz(static_cast<std::size_t>(s.n) * P * Q * filters);
        for (std::size_t i = 0; i < outputs; ++i) {
          argmax[i] = static_cast<std::uint8_t>(i * 5 % 7 % 4);
          const std::size_t pixel = i / filters, column = pixel % b.out_w(), row = pixel / b.out_w() % b.out_h();
          const std::size_t n = pixel / b.out_w() / b.out_h();
          const std::size_t p = row * side + (pool ? argmax[i] / 2 : 0), q = column * side + (pool ? argmax[i] % 2 : 0);
          dz[((n * P + p) * Q + q) * filters + i % filters] = relu && y[i] <= 0 ? 0 : dy[i];
        }
        const std::size_t weights = static_cast<std::size_t>(filters) * s.r * s.s * s.c;
        std::vector<float> dw(weights), db(filters), want_dw(weights), want_db(filters);
        std::vector<float> scratch(std::max(k.conv_block_scratch(b), k.conv2d_scratch(b.conv)) / sizeof(float) + 1);
        const Queue queue{.scratch = {scratch.data(), scratch.size() * sizeof(float)}};
        k.conv2d_wgrad(queue, b.conv, x.data(), dz.data(), want_dw.data(), want_db.data());
        k.conv_block_backward(queue, b, x.data(), nullptr, y.data(), pool ? argmax.data() : nullptr, dy.data(), nullptr,
                              dw.data(), db.data());
        EXPECT_EQ(dw, want_dw) << filters << relu << pool;
        EXPECT_EQ(db, want_db) << filters << relu << pool;
      }
    }
  }
}

}  // namespace
}  // namespace gemel::reference
