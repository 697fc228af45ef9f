// SPDX-License-Identifier: MIT
//
// Winograd's convolution on the `cpu` device: how far it is from the sum in double, beside the plain sum in float, and
// that it can be switched off.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <vector>

#include "tests/kernels/cpu/native_tables.h"
#include "tests/reference/conv2d_loops.h"
#include "tests/reference/run_case.h"

namespace gemel {
namespace {

using reference::OpCase;
using reference::Outcome;

// Restores the switch.
class WinogradSwitch {
 public:
  WinogradSwitch() : before_(cpu::uses_winograd()) {}
  ~WinogradSwitch() { cpu::use_winograd(before_); }
  WinogradSwitch(const WinogradSwitch&) = delete;
  WinogradSwitch& operator=(const WinogradSwitch&) = delete;

 private:
  bool before_;
};

class WinogradTest : public NativeTables {};

INSTANTIATE_TEST_SUITE_P(Isa, WinogradTest, testing::ValuesIn(cpu::kIsaNames), isa_test_name);

// The case of y or dx from numbers filled as `fill` says, 3x3, stride 1.
OpCase convolution(const std::string& op, const Conv2dShape& s, const reference::Fill& fill) {
  OpCase c;
  c.op = op;
  const bool forward = op == "conv2d_fprop";
  const std::vector<int> image{s.n, s.h, s.w, s.c}, output{s.n, s.p(), s.q(), s.k};
  c.tensors = {{.name = "in", .shape = forward ? image : output, .fill = fill},
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}},
               {.name = "out", .shape = forward ? output : image, .role = reference::Role::output}};
  c.scratch = [s](const Kernels& kernels) { return kernels.conv2d_scratch(s); };
  c.run = [s, forward](const Kernels& kernels, Queue queue, reference::DeviceTensors& t) {
    if (forward) kernels.conv2d_fprop(queue, s, t.f32("in"), t.f32("w"), nullptr, t.f32("out"));
    if (!forward) kernels.conv2d_dgrad(queue, s, t.f32("in"), t.f32("w"), t.f32("out"));
  };
  c.reference = [s, forward](reference::Values& v) {
    const std::vector<double>&in = v.at("in"), &w = v.at("w");
    std::vector<double>& out = v.at("out");
    out.assign(out.size(), 0.0);
    reference::for_each_product(
        s, [&](std::size_t x, std::size_t f, std::size_t y) { out[forward ? y : x] += in[forward ? x : y] * w[f]; });
  };
  return c;
}

// Root mean square of got - want, as a share of want's.
double relative_error(const std::vector<double>& got, const std::vector<double>& want) {
  double error = 0, size = 0;
  for (std::size_t i = 0; i < want.size(); ++i) {
    error += (got[i] - want[i]) * (got[i] - want[i]);
    size += want[i] * want[i];
  }
  return std::sqrt(error / size);
}

TEST_P(WinogradTest, RoundsNoMoreThanThePlainSum) {
  const WinogradSwitch restore;
  for (const Conv2dShape& s :
       {Conv2dShape{.n = 2, .h = 14, .w = 14, .c = 64, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 1, .h = 9, .w = 7, .c = 131, .k = 37, .r = 3, .s = 3},
        Conv2dShape{.n = 1, .h = 5, .w = 6, .c = 512, .k = 16, .r = 3, .s = 3, .pad_h = 2, .pad_w = 2}}) {
    for (const auto& [op, fill] : {std::pair{"conv2d_fprop", reference::Fill{}},
                                   std::pair{"conv2d_fprop", reference::Fill{reference::Fill::Kind::uniform, 0, 1}},
                                   std::pair{"conv2d_dgrad", reference::Fill{}}}) {
      const OpCase c = convolution(op, s, fill);
      reference::Values want = reference::make_inputs(c, 1);
      want["out"].resize(static_cast<std::size_t>(s.n) *
                         (op == std::string("conv2d_fprop") ? s.p() * s.q() * s.k : s.h * s.w * s.c));
      c.reference(want);
      cpu::use_winograd(false);
      const Outcome plain = run_case(c, *kernels_, Queue{}, reference::host_memory());
      cpu::use_winograd(true);
      const Outcome fast = run_case(c, *kernels_, Queue{}, reference::host_memory());
      EXPECT_EQ(plain.overwritten, "");
      EXPECT_EQ(fast.overwritten, "");
      const double plain_error = relative_error(plain.got.at("out"), want.at("out"));
      const double fast_error = relative_error(fast.got.at("out"), want.at("out"));
      EXPECT_TRUE(fast_error <= plain_error) << op << " C=" << s.c << ": " << fast_error << ", plain " << plain_error;
      EXPECT_TRUE(fast_error <= 1e-6) << op << " C=" << s.c << ": " << fast_error;
      EXPECT_NE(fast.got.at("out"), plain.got.at("out")) << "the switch changes nothing";
    }
  }
}

}  // namespace
}  // namespace gemel
