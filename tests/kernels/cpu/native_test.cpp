// SPDX-License-Identifier: MIT
//
// The native entries of the `cpu` device, for every instruction set that this processor has: every case against the
// reference, the same bits on 1, 2 and 7 threads, and for an image or row the same bits in any batch.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <string>
#include <utility>
#include <vector>

#include "kernels/simt/launch_error.h"
#include "kernels/simt/thread_pool.h"
#include "tests/kernels/cpu/native_tables.h"
#include "tests/reference/loss_parts.h"
#include "tests/reference/run_case.h"

namespace gemel {
namespace {

using reference::OpCase;
using reference::Outcome;

// Restores the pool's size.
class Threads {
 public:
  Threads() : before_(ThreadPool::instance().threads()) {}
  ~Threads() { ThreadPool::instance().set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  void set(int threads) { ThreadPool::instance().set_threads(threads); }

 private:
  int before_;
};

class NativeKernels : public NativeTables {};

INSTANTIATE_TEST_SUITE_P(Isa, NativeKernels, testing::ValuesIn(cpu::kIsaNames), isa_test_name);

bool same_bits(const reference::Values& a, const reference::Values& b) {
  for (const auto& [name, values] : a) {
    const std::vector<double>& others = b.at(name);
    if (values.size() != others.size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool both_nan = std::isnan(values[i]) && std::isnan(others[i]);
      if (!both_nan && std::memcmp(&values[i], &others[i], sizeof(double)) != 0) return false;
    }
  }
  return true;
}

TEST_P(NativeKernels, AgreeWithTheReferenceOnAnyNumberOfThreads) {
  Threads threads;
  int cases = 0;
  for (const OpCase& c : reference::all_cases(reference::Depth::quick)) {
    threads.set(1);
    const Outcome alone = run_case(c, *kernels_, Queue{}, reference::host_memory());
    EXPECT_TRUE(alone.mismatch.tensor.empty()) << c.op << " " << c.shape << ": " << alone.mismatch.describe(c);
    EXPECT_EQ(alone.overwritten, "") << c.op << " " << c.shape;
    for (int count : {2, 7}) {
      threads.set(count);
      const Outcome shared = run_case(c, *kernels_, Queue{}, reference::host_memory());
      EXPECT_TRUE(same_bits(alone.got, shared.got)) << c.op << " " << c.shape << " on " << count << " threads";
    }
    ++cases;
  }
  EXPECT_GT(cases, 100);
}

// ---- a row or image alone, and in a batch

std::vector<float> random_floats(std::size_t count, const char* name) {
  OpCase c;
  c.tensors = {{.name = name, .shape = {static_cast<int>(count)}}};
  const std::vector<double> values = make_inputs(c, 1).at(name);
  return std::vector<float>(values.begin(), values.end());
}

// Runs call(queue, first row, rows, out) on rows [first, first + rows), with the scratch it asks for.
template <class Call>
std::vector<float> results(std::size_t scratch_bytes, int first, int rows, std::size_t row_floats, const Call& call) {
  std::vector<float> out(row_floats * static_cast<std::size_t>(rows), std::nanf(""));
  const reference::Memory memory = reference::host_memory();
  void* scratch = memory.allocate(scratch_bytes);
  call(Queue{.scratch = {scratch, scratch_bytes}}, first, rows, out.data());
  memory.free(scratch);
  return out;
}

template <class Scratch, class Call>
void expect_rows_alone_as_in_the_batch(int n, std::size_t row_floats, const Scratch& scratch, const Call& call) {
  const std::vector<float> batch = results(scratch(n), 0, n, row_floats, call);
  for (const int row : {0, n / 2, n - 1}) {
    const std::vector<float> alone = results(scratch(1), row, 1, row_floats, call);
    const float* in_batch = batch.data() + row_floats * static_cast<std::size_t>(row);
    EXPECT_EQ(std::memcmp(alone.data(), in_batch, row_floats * sizeof(float)), 0) << "row " << row << " of " << n;
  }
}

TEST_P(NativeKernels, ConvolveAnImageAloneAsInABatch) {
  // One image is cut into more bands than an image of a batch; 37 and 20 filters leave a part of a vector.
  for (const Conv2dShape& shape :
       {Conv2dShape{.n = 33, .h = 14, .w = 14, .c = 20, .k = 37, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        Conv2dShape{.n = 17, .h = 13, .w = 11, .c = 3, .k = 20, .r = 5, .s = 4, .stride_h = 2, .stride_w = 3}}) {
    const std::size_t x_floats = static_cast<std::size_t>(shape.h) * shape.w * shape.c;
    const std::size_t y_floats = static_cast<std::size_t>(shape.p()) * shape.q() * shape.k;
    const std::vector<float> x = random_floats(x_floats * shape.n, "x"), dy = random_floats(y_floats * shape.n, "dy");
    const std::vector<float> w = random_floats(static_cast<std::size_t>(shape.k) * shape.r * shape.s * shape.c, "w");
    const std::vector<float> bias = random_floats(static_cast<std::size_t>(shape.k), "bias");
    const auto batch_of = [&](int rows) {
      Conv2dShape s = shape;
      s.n = rows;
      return s;
    };
    const auto scratch = [&](int rows) { return kernels_->conv2d_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(shape.n, y_floats, scratch, [&](Queue queue, int first, int rows, float* y) {
      kernels_->conv2d_fprop(queue, batch_of(rows), x.data() + x_floats * first, w.data(), bias.data(), y);
    });
    expect_rows_alone_as_in_the_batch(shape.n, x_floats, scratch, [&](Queue queue, int first, int rows, float* dx) {
      kernels_->conv2d_dgrad(queue, batch_of(rows), dy.data() + y_floats * first, w.data(), dx);
    });
  }
}

TEST_P(NativeKernels, ConvolveLocallyAnImageAloneAsInABatch) {
  // More images than a block of them, more depth than a packed piece; whole vectors, and parts of them at the borders.
  for (const Conv2dShape& shape :
       {Conv2dShape{.n = 131, .h = 6, .w = 5, .c = 16, .k = 16, .r = 5, .s = 5},
        Conv2dShape{.n = 9, .h = 5, .w = 7, .c = 131, .k = 37, .r = 3, .s = 5, .pad_h = 1, .pad_w = 2},
        Conv2dShape{.n = 7, .h = 7, .w = 8, .c = 1, .k = 3, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2}}) {
    const std::size_t x_floats = static_cast<std::size_t>(shape.h) * shape.w * shape.c;
    const std::size_t y_floats = static_cast<std::size_t>(shape.p()) * shape.q() * shape.k;
    const std::vector<float> x = random_floats(x_floats * shape.n, "x"), dy = random_floats(y_floats * shape.n, "dy");
    const std::vector<float> w = random_floats(y_floats * shape.r * shape.s * shape.c, "w");
    const std::vector<float> bias = random_floats(y_floats, "bias");
    const auto batch_of = [&](int rows) {
      Conv2dShape s = shape;
      s.n = rows;
      return s;
    };
    const auto scratch = [&](int rows) { return kernels_->local2d_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(shape.n, y_floats, scratch, [&](Queue queue, int first, int rows, float* y) {
      kernels_->local2d_fprop(queue, batch_of(rows), x.data() + x_floats * first, w.data(), bias.data(), y);
    });
    expect_rows_alone_as_in_the_batch(shape.n, x_floats, scratch, [&](Queue queue, int first, int rows, float* dx) {
      kernels_->local2d_dgrad(queue, batch_of(rows), dy.data() + y_floats * first, w.data(), dx);
    });
  }
}

TEST_P(NativeKernels, MultiplyARowAloneAsInABatch) {
  // More rows than a block of rows, more depth than a packed piece.
  for (const LinearShape& shape : {LinearShape{139, 601, 53}, LinearShape{7, 300, 3}}) {
    const auto in = static_cast<std::size_t>(shape.in), out = static_cast<std::size_t>(shape.out);
    const std::vector<float> x = random_floats(in * shape.n, "x"), dy = random_floats(out * shape.n, "dy");
    const std::vector<float> w = random_floats(in * out, "w"), bias = random_floats(out, "bias");
    const auto batch_of = [&](int rows) { return LinearShape{rows, shape.in, shape.out}; };
    const auto scratch = [&](int rows) { return kernels_->linear_scratch(batch_of(rows)); };
    expect_rows_alone_as_in_the_batch(shape.n, out, scratch, [&](Queue queue, int first, int rows, float* y) {
      kernels_->linear_fprop(queue, batch_of(rows), x.data() + in * first, w.data(), nullptr, bias.data(), y);
    });
    expect_rows_alone_as_in_the_batch(shape.n, in, scratch, [&](Queue queue, int first, int rows, float* dx) {
      kernels_->linear_dgrad(queue, batch_of(rows), dy.data() + out * first, w.data(), dx);
    });
  }
}

TEST_P(NativeKernels, NormalizeAndMeasureARowAloneAsInABatch) {
  // More rows than an item; widths of one, four and a part of a vector.
  for (const auto& [n, d] : {std::pair{37, 131}, {18, 5}}) {
    const auto columns = static_cast<std::size_t>(d), floats = columns * static_cast<std::size_t>(n);
    const std::vector<float> a = random_floats(floats, "a"), b = random_floats(floats, "b");
    std::vector<float> norms(static_cast<std::size_t>(n), 0.5f), unused(norms);
    const auto none = [](int) { return std::size_t{0}; };
    const int width = d;
    expect_rows_alone_as_in_the_batch(n, columns, none, [&](Queue queue, int first, int rows, float* y) {
      kernels_->l2_normalize_forward(queue, rows, width, 1e-12f, a.data() + columns * first, y, unused.data());
    });
    expect_rows_alone_as_in_the_batch(n, columns, none, [&](Queue queue, int first, int rows, float* dx) {
      kernels_->l2_normalize_backward(queue, rows, width, a.data() + columns * first, norms.data() + first,
                                      b.data() + columns * first, dx);
    });
    expect_rows_alone_as_in_the_batch(n, 1, none, [&](Queue queue, int first, int rows, float* distance) {
      kernels_->paired_distance(queue, rows, width, a.data() + columns * first, b.data() + columns * first, distance);
    });
  }
}

TEST_P(NativeKernels, SumTheTripletsOfTheExecutor) {
  // A margin that leaves all triplets active, so that g shows each.
  const int n = 203;
  std::vector<float> distance2(std::size_t{203} * 203);
  std::vector<std::int32_t> labels(n);
  for (std::size_t i = 0; i < distance2.size(); ++i) distance2[i] = static_cast<float>(i * i % 11);
  for (int i = 0; i < n; ++i) labels[static_cast<std::size_t>(i)] = i * i % 13;
  const TripletParams params{.margin = 16, .mining = Mining::all, .squared = true, .soft_margin = false};
  const auto run = [&](const Kernels& kernels) {
    std::vector<float> out(distance2.size() + 3 * std::size_t{203}, std::nanf(""));
    float* rows = out.data() + distance2.size();
    kernels.triplet(Queue{}, n, params, distance2.data(), labels.data(), out.data(), rows, rows + n, rows + 2 * n);
    return out;
  };
  EXPECT_EQ(run(*kernels_), run(simt::kernels()));  // integers: exact
}

// By the matrix of the device's own distances, written out and searched in plain loops.
TEST_P(NativeKernels, MineWhatTheMatrixOfDistancesTells) {
  const int n = 203, d = 17, most = 33;
  const auto rows = static_cast<std::size_t>(n);
  const std::vector<float> e = random_floats(rows * 17, "e");
  std::vector<std::int32_t> labels(rows);
  for (int i = 0; i < n; ++i) labels[static_cast<std::size_t>(i)] = i * i % 13;
  for (const Kernels* kernels : {kernels_, &simt::kernels()}) {
    std::vector<float> distance2(rows * rows);
    kernels->pairwise_distance(Queue{}, n, n, d, e.data(), e.data(), true, distance2.data());
    for (const Mining mining : {Mining::semi_hard, Mining::batch_hard}) {
      const TripletParams params{.margin = 0.2f, .mining = mining, .squared = true, .soft_margin = false};
      std::vector<std::int32_t> positive(rows * most), negative(rows * most), no_rows(rows * most, -1);
      std::vector<float> slopes(2 * rows * most), sums(3 * rows);
      const MinedTriplets triplets{positive.data(), negative.data(), slopes.data(), slopes.data() + rows * most};
      const std::size_t bytes = kernels->mined_triplet_scratch(n, d, params, most);
      const reference::Memory memory = reference::host_memory();
      void* scratch = memory.allocate(bytes);
      kernels->mined_triplet(Queue{.scratch = {scratch, bytes}}, n, d, params, most, e.data(), labels.data(), triplets,
                             sums.data(), sums.data() + n, sums.data() + 2 * n);
      memory.free(scratch);
      std::vector<std::int32_t> wanted_positive = no_rows, wanted_negative = no_rows;
      const std::vector<double> matrix(distance2.begin(), distance2.end()), classes(labels.begin(), labels.end());
      for (std::size_t a = 0; a < rows; ++a) {
        const std::vector<reference::Chosen> chosen = reference::mine(mining, n, static_cast<int>(a), matrix, classes);
        ASSERT_LE(chosen.size(), std::size_t{most});
        for (std::size_t q = 0; q < chosen.size(); ++q) {
          wanted_positive[q * rows + a] = chosen[q].positive;
          wanted_negative[q * rows + a] = chosen[q].negative;
        }
      }
      EXPECT_EQ(positive, wanted_positive) << kernels->name << ", mining " << static_cast<int>(mining);
      EXPECT_EQ(negative, wanted_negative) << kernels->name << ", mining " << static_cast<int>(mining);
    }
  }
}

TEST_P(NativeKernels, ActivateAnElementTheSameWhereverItStands) {
  const std::vector<float> x = random_floats(1001, "x");
  std::vector<float> whole(x.size()), alone(x.size());
  kernels_->activation_forward(Queue{}, Activation::sigmoid, x.size(), x.data(), whole.data());
  for (std::size_t i = 0; i < x.size(); ++i) {
    kernels_->activation_forward(Queue{}, Activation::sigmoid, 1, x.data() + i, alone.data() + i);
  }
  EXPECT_EQ(std::memcmp(whole.data(), alone.data(), x.size() * sizeof(float)), 0);
}

TEST_P(NativeKernels, RefuseTooLittleScratch) {
  const Conv2dShape shape{.n = 2, .h = 5, .w = 5, .c = 3, .k = 4, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1};
  const std::vector<float> x(2 * 5 * 5 * 4), w(4 * 3 * 3 * 3);
  std::vector<float> y(x.size());
  EXPECT_THROW(kernels_->conv2d_fprop(Queue{}, shape, x.data(), w.data(), nullptr, y.data()), LaunchError);
}

// ---- the choice of an instruction set

TEST(NativeIsa, IsOneThatWorksAndGivesTheTable) {
  EXPECT_NE(cpu::kernels_for("baseline"), nullptr);
  EXPECT_EQ(cpu::kernels_for("pdp11"), nullptr);
  EXPECT_EQ(cpu::kernels_for(cpu::isa_name()), &cpu::kernels());
  EXPECT_STREQ(cpu::kernels().name, "cpu");
  EXPECT_NE(cpu::kernels().conv2d_fprop, simt::kernels().conv2d_fprop);
}

}  // namespace
}  // namespace gemel
