// SPDX-License-Identifier: MIT
//
// What kernels.h promises beyond values: a row or an image has the same bits in any batch; and that scratch is checked.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <string>
#include <vector>

#include "kernels/simt/launch_error.h"
#include "tests/kernels/tables.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

// ---- a row's or an image's result does not depend on the batch it is in
class EveryTable : public testing::TestWithParam<Table> {};

// Calls of one entry on `rows` rows, starting at the tensors' row `first`.
struct BatchCall {
  const char* name;
  int rows;
  std::size_t output_stride;  // floats a row of the output
  std::function<std::size_t(int rows)> scratch;
  std::function<void(Queue, int first, int rows, float* out)> run;
};

std::vector<float> results(const BatchCall& call, int first, int rows) {
  std::vector<float> out(call.output_stride * static_cast<std::size_t>(rows), std::nanf(""));
  const Memory memory = host_memory();
  const std::size_t bytes = call.scratch ? call.scratch(rows) : 0;
  void* scratch = memory.allocate(bytes);
  call.run(Queue{.scratch = {scratch, bytes}}, first, rows, out.data());
  memory.free(scratch);
  return out;
}

void expect_rows_alone_as_in_the_batch(const std::string& table, const BatchCall& call) {
  const std::vector<float> batch = results(call, 0, call.rows);
  for (const int row : {0, call.rows / 2, call.rows - 1}) {
    const std::vector<float> alone = results(call, row, 1);
    EXPECT_EQ(std::memcmp(alone.data(), batch.data() + call.output_stride * static_cast<std::size_t>(row),
                          call.output_stride * sizeof(float)),
              0)
        << table << " " << call.name << ": row " << row << " of " << call.rows;
  }
}

std::vector<float> random_floats(const char* name, std::size_t count) {
  OpCase c;
  c.tensors = {{.name = name, .shape = {static_cast<int>(count)}}};
  const std::vector<double> values = make_inputs(c, 1).at(name);
  return std::vector<float>(values.begin(), values.end());
}

// A copy, aligned as every buffer is.
std::vector<float> rows_of(const std::vector<float>& all, std::size_t stride, int first, int rows) {
  const auto begin = all.begin() + static_cast<std::ptrdiff_t>(stride * static_cast<std::size_t>(first));
  return {begin, begin + static_cast<std::ptrdiff_t>(stride * static_cast<std::size_t>(rows))};
}

TEST_P(EveryTable, ConvolvesAnImageAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  // Many channels make sums long enough to be split; one batch is large enough for a larger tile.
  for (const Conv2dShape& shape :
       {Conv2dShape{.n = 5, .h = 5, .w = 6, .c = 132, .k = 68, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 64, .h = 12, .w = 12, .c = 3, .k = 20, .r = 5, .s = 5}}) {
    const std::size_t x_stride = static_cast<std::size_t>(shape.h) * shape.w * shape.c;
    const std::size_t y_stride = static_cast<std::size_t>(shape.p()) * shape.q() * shape.k;
    const std::vector<float> x = random_floats("x", x_stride * shape.n), dy = random_floats("dy", y_stride * shape.n);
    const std::vector<float> w = random_floats("w", static_cast<std::size_t>(shape.k) * shape.r * shape.s * shape.c);
    const std::vector<float> bias = random_floats("bias", static_cast<std::size_t>(shape.k));
    const auto batch_of = [&](int rows) {
      Conv2dShape s = shape;
      s.n = rows;
      return s;
    };
    const auto scratch = [&](int rows) { return k.conv2d_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"conv2d_fprop", shape.n, y_stride, scratch, [&](Queue queue, int first, int rows, float* y) {
                            k.conv2d_fprop(queue, batch_of(rows), rows_of(x, x_stride, first, rows).data(), w.data(),
                                           bias.data(), y);
                          }});
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"conv2d_dgrad", shape.n, x_stride, scratch, [&](Queue queue, int first, int rows, float* dx) {
                            k.conv2d_dgrad(queue, batch_of(rows), rows_of(dy, y_stride, first, rows).data(), w.data(),
                                           dx);
                          }});
  }
}

TEST_P(EveryTable, ConvolvesLocallyAnImageAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  // Batches of one tile and of several; long sums; whole vectors and parts of them.
  for (const Conv2dShape& shape :
       {Conv2dShape{.n = 70, .h = 4, .w = 5, .c = 36, .k = 16, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 31, .h = 7, .w = 5, .c = 3, .k = 17, .r = 3, .s = 2, .stride_h = 2, .stride_w = 1}}) {
    const std::size_t x_stride = static_cast<std::size_t>(shape.h) * shape.w * shape.c;
    const std::size_t y_stride = static_cast<std::size_t>(shape.p()) * shape.q() * shape.k;
    const std::vector<float> x = random_floats("x", x_stride * shape.n), dy = random_floats("dy", y_stride * shape.n);
    const std::vector<float> w = random_floats("w", y_stride * shape.r * shape.s * shape.c);
    const std::vector<float> bias = random_floats("bias", y_stride);
    const auto batch_of = [&](int rows) {
      Conv2dShape s = shape;
      s.n = rows;
      return s;
    };
    const auto scratch = [&](int rows) { return k.local2d_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"local2d_fprop", shape.n, y_stride, scratch, [&](Queue queue, int first, int rows, float* y) {
                            k.local2d_fprop(queue, batch_of(rows), rows_of(x, x_stride, first, rows).data(), w.data(),
                                            bias.data(), y);
                          }});
    expect_rows_alone_as_in_the_batch(
        GetParam().name,
        {"local2d_dgrad", shape.n, x_stride, scratch, [&](Queue queue, int first, int rows, float* dx) {
           k.local2d_dgrad(queue, batch_of(rows), rows_of(dy, y_stride, first, rows).data(), w.data(), dx);
         }});
  }
}

TEST_P(EveryTable, RunsABlockOnAnImageAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  // Sums of three slices: an image alone splits them over blocks, the batch of 64 does not.
  for (const Conv2dShape& shape :
       {Conv2dShape{.n = 64, .h = 5, .w = 6, .c = 131, .k = 36, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 25, .h = 4, .w = 3, .c = 19, .k = 71, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 3, .h = 7, .w = 7, .c = 37, .k = 71, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2},
        Conv2dShape{.n = 64, .h = 12, .w = 12, .c = 4, .k = 20, .r = 5, .s = 5}}) {
    for (const bool pool : {false, true}) {
      const auto batch_of = [&](int rows) {
        ConvBlock b{.conv = shape, .relu = true, .pool = pool};
        b.conv.n = rows;
        return b;
      };
      const ConvBlock whole = batch_of(shape.n);
      const std::size_t x_stride = static_cast<std::size_t>(shape.h) * shape.w * shape.c;
      const std::size_t y_stride = static_cast<std::size_t>(whole.out_h()) * whole.out_w() * shape.k;
      const std::vector<float> x = random_floats("x", x_stride * shape.n);
      const std::vector<float> w = random_floats("w", static_cast<std::size_t>(shape.k) * shape.r * shape.s * shape.c);
      const std::vector<float> bias = random_floats("bias", static_cast<std::size_t>(shape.k));
      expect_rows_alone_as_in_the_batch(
          GetParam().name,
          {"conv_block_forward", shape.n, y_stride, [&](int rows) { return k.conv_block_scratch(batch_of(rows)); },
           [&](Queue queue, int first, int rows, float* y) {
             std::vector<std::uint8_t> argmax(y_stride * static_cast<std::size_t>(rows));
             k.conv_block_forward(queue, batch_of(rows), rows_of(x, x_stride, first, rows).data(), w.data(), nullptr,
                                  bias.data(), y, pool ? argmax.data() : nullptr);
           }});
    }
  }
}

// A block is its layers one after the other, to the bit.
TEST(Blocks, AreConvolutionActivationAndPool) {
  const Kernels& k = simt::kernels();
  for (const int channels : {3, 132}) {  // one slice, three
    const ConvBlock b{.conv = {.n = 3, .h = 9, .w = 7, .c = channels, .k = 35, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
                      .relu = true,
                      .pool = true};
    const Conv2dShape& s = b.conv;
    const auto count = [](auto... extents) { return (static_cast<std::size_t>(extents) * ...); };
    const std::vector<float> x = random_floats("x", count(s.n, s.h, s.w, s.c));
    const std::vector<float> w = random_floats("w", count(s.k, s.r, s.s, s.c));
    const std::vector<float> bias = random_floats("bias", count(s.k));
    std::vector<float> z(count(s.n, s.p(), s.q(), s.k)), y(count(s.n, b.out_h(), b.out_w(), s.k)), fused(y.size());
    std::vector<std::uint8_t> argmax(y.size()), fused_argmax(y.size());
    std::vector<float> scratch(std::max(k.conv2d_scratch(s), k.conv_block_scratch(b)) / sizeof(float) + 1);
    const Queue queue{.scratch = {scratch.data(), scratch.size() * sizeof(float)}};
    k.conv2d_fprop(queue, s, x.data(), w.data(), bias.data(), z.data());
    k.maxpool2d_forward(queue,
                        {.n = s.n, .h = s.p(), .w = s.q(), .c = s.k, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2},
                        z.data(), y.data(), argmax.data());
    k.activation_forward(queue, Activation::relu, y.size(), y.data(), y.data());
    k.conv_block_forward(queue, b, x.data(), w.data(), nullptr, bias.data(), fused.data(), fused_argmax.data());
    EXPECT_EQ(fused, y) << channels;
    EXPECT_EQ(fused_argmax, argmax) << channels;
  }
}

TEST_P(EveryTable, MultipliesARowAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  for (const LinearShape& shape : {LinearShape{131, 1604, 36}, LinearShape{301, 37, 1203}}) {
    const auto in = static_cast<std::size_t>(shape.in), out = static_cast<std::size_t>(shape.out);
    const std::vector<float> x = random_floats("x", in * shape.n), dy = random_floats("dy", out * shape.n);
    const std::vector<float> w = random_floats("w", in * out), bias = random_floats("bias", out);
    const auto batch_of = [&](int rows) { return LinearShape{rows, shape.in, shape.out}; };
    const auto scratch = [&](int rows) { return k.linear_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"linear_fprop", shape.n, out, scratch, [&](Queue queue, int first, int rows, float* y) {
                            k.linear_fprop(queue, batch_of(rows), rows_of(x, in, first, rows).data(), w.data(), nullptr,
                                           bias.data(), y);
                          }});
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"linear_dgrad", shape.n, in, scratch, [&](Queue queue, int first, int rows, float* dx) {
                            k.linear_dgrad(queue, batch_of(rows), rows_of(dy, out, first, rows).data(), w.data(), dx);
                          }});
  }
}

// Scratch that is too small is refused, instead of written past.
TEST(Tables, RefuseTooLittleScratch) {
  const LinearShape shape{1, 1600, 4};
  const std::vector<float> x(1600), w(4 * 1600);
  std::vector<float> y(4);
  const Kernels& k = simt::kernels();
  ASSERT_GT(k.linear_scratch(shape), 0u);
  EXPECT_THROW(k.linear_fprop(Queue{}, shape, x.data(), w.data(), nullptr, nullptr, y.data()), LaunchError);
}

TEST_P(EveryTable, NormalizesARowAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  constexpr int kRows = 67, kWidth = 131;
  const std::vector<float> x = random_floats("x", kRows * kWidth);
  expect_rows_alone_as_in_the_batch(
      GetParam().name, {"l2_normalize_forward", kRows, kWidth, {}, [&](Queue queue, int first, int rows, float* y) {
                          std::vector<float> inverse_norm(static_cast<std::size_t>(rows));
                          k.l2_normalize_forward(queue, rows, kWidth, 1e-12f, rows_of(x, kWidth, first, rows).data(), y,
                                                 inverse_norm.data());
                        }});
}

TEST_P(EveryTable, MeasuresARowAloneAsInABatch) {
  const Kernels& k = GetParam().kernels;
  constexpr int kRows = 67, kOthers = 35, kWidth = 132;
  const std::vector<float> a = random_floats("a", kRows * kWidth), b = random_floats("b", kRows * kWidth);
  expect_rows_alone_as_in_the_batch(GetParam().name,
                                    {"paired_distance", kRows, 1, {}, [&](Queue queue, int first, int rows, float* d) {
                                       k.paired_distance(queue, rows, kWidth, rows_of(a, kWidth, first, rows).data(),
                                                         rows_of(b, kWidth, first, rows).data(), d);
                                     }});
  expect_rows_alone_as_in_the_batch(
      GetParam().name, {"pairwise_distance", kRows, kOthers, {}, [&](Queue queue, int first, int rows, float* d) {
                          k.pairwise_distance(queue, rows, kOthers, kWidth, rows_of(a, kWidth, first, rows).data(),
                                              b.data(), true, d);
                        }});
  const std::vector<float> w = random_floats("w", kWidth);
  for (const Weighted kind : {Weighted::l1, Weighted::chi2}) {
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"weighted_distance", kRows, 1, {}, [&](Queue queue, int first, int rows, float* d) {
                            k.weighted_distance(queue, rows, kWidth, kind, w.data(),
                                                rows_of(a, kWidth, first, rows).data(),
                                                rows_of(b, kWidth, first, rows).data(), d);
                          }});
    expect_rows_alone_as_in_the_batch(
        GetParam().name, {"weighted_pairwise", kRows, kOthers, {}, [&](Queue queue, int first, int rows, float* d) {
                            k.weighted_pairwise(queue, rows, kOthers, kWidth, kind, w.data(),
                                                rows_of(a, kWidth, first, rows).data(), b.data(), d);
                          }});
  }
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryTable, testing::ValuesIn(tables()),
                         [](const auto& info) { return info.param.name; });

}  // namespace
}  // namespace gemel::reference
