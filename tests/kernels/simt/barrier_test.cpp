// SPDX-License-Identifier: MIT
//
// Barriers of each form, over awkward block sizes and in each order of threads.
#include <gtest/gtest.h>

#include <numeric>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using BarrierTest = Executor;

// out[b][i] = in[b][n - 1 - i] after `rounds` exchanges through shared memory (an odd number).
__global__ void reverse_kernel(int rounds, const int* in, int* out) {
  SIMT_SHARED(int, row, [1024]);
  const int n = blockDim.x, i = threadIdx.x, at = blockIdx.x * n + i;
  int v = in[at];
  for (int r = 0; r < rounds; ++r) {
    row[i] = v;
    __syncthreads();
    v = row[n - 1 - i];
    __syncthreads();
  }
  out[at] = v;
}

TEST_F(BarrierTest, ThreadsSeeWhatOthersWroteBeforeIt) {
  for (unsigned n : {1u, 2u, 31u, 32u, 33u, 97u, 256u, 1024u}) {
    for (ThreadOrder order : kOrders) {
      for (int workers : {1, 3}) {
        set_thread_order(order);
        ThreadPool::instance().set_threads(workers);
        std::vector<int> in(5 * n), out(5 * n, -1);
        std::iota(in.begin(), in.end(), 0);
        launch<reverse_kernel>({5, n}, 7, in.data(), out.data());
        for (unsigned i = 0; i < 5 * n; ++i) ASSERT_EQ(out[i], static_cast<int>(i / n * n + n - 1 - i % n)) << n;
      }
    }
  }
}

// The same without its first barrier.
__global__ void hasty_reverse_kernel(const int* in, int* out) {
  SIMT_SHARED(int, row, [64]);
  row[threadIdx.x] = in[threadIdx.x];
  out[threadIdx.x] = row[63 - threadIdx.x];
  __syncthreads();
}

TEST_F(BarrierTest, AMissingOneShowsInSomeOrder) {
  std::vector<int> in(64), forward(64), reverse(64);
  std::iota(in.begin(), in.end(), 0);
  set_thread_order({ThreadOrder::Kind::forward});
  launch<hasty_reverse_kernel>({1, 64}, in.data(), forward.data());
  set_thread_order({ThreadOrder::Kind::reverse});
  launch<hasty_reverse_kernel>({1, 64}, in.data(), reverse.data());
  EXPECT_NE(forward, reverse);
}

__global__ void vote_kernel(int threshold, int* count, int* all, int* any) {
  const int i = threadIdx.x;
  count[i] = __syncthreads_count(i < threshold);
  all[i] = __syncthreads_and(i < threshold ? 4 : 0);
  any[i] = __syncthreads_or(i < threshold ? 2 : 0);
}

TEST_F(BarrierTest, CountAndOr) {
  for (int n : {1, 31, 33, 200}) {
    for (int threshold : {0, 1, n / 2, n - 1, n}) {
      for (ThreadOrder order : kOrders) {
        set_thread_order(order);
        std::vector<int> count(n), all(n), any(n);
        launch<vote_kernel>({1, static_cast<unsigned>(n)}, threshold, count.data(), all.data(), any.data());
        for (int i = 0; i < n; ++i) {
          ASSERT_EQ(count[i], threshold);
          ASSERT_EQ(all[i] != 0, threshold == n);
          ASSERT_EQ(any[i] != 0, threshold > 0);
        }
      }
    }
  }
}

// Values that live across barriers in every kind of register: each must come back to its own thread.
__global__ void registers_kernel(int n, double* out) {
  double d[6];
  float f[12];
  long v[8];
  for (int i = 0; i < 6; ++i) d[i] = threadIdx.x + 0.25 * i;
  for (int i = 0; i < 12; ++i) f[i] = threadIdx.x * 0.5f + i;
  for (int i = 0; i < 8; ++i) v[i] = static_cast<long>(threadIdx.x) << i;
  for (int r = 0; r < n; ++r) {
    __syncthreads();
    for (double& x : d) x += 1.0;
    __syncwarp();
    for (float& x : f) x = x * 0.5f + 1.0f;
    for (long& x : v) x += r;
  }
  double sum = 0.0;
  for (double x : d) sum += x;
  for (float x : f) sum += x;
  for (long x : v) sum += static_cast<double>(x);
  out[threadIdx.x] = sum;
}

TEST_F(BarrierTest, LocalValuesSurviveIt) {
  constexpr int kThreads = 97, kRounds = 5;
  std::vector<double> out(kThreads);
  launch<registers_kernel>({1, kThreads}, kRounds, out.data());
  for (int t = 0; t < kThreads; ++t) {
    double expected = 0.0;
    for (int i = 0; i < 6; ++i) expected += t + 0.25 * i + kRounds;
    for (int i = 0; i < 12; ++i) {
      float f = static_cast<float>(t) * 0.5f + static_cast<float>(i);
      for (int r = 0; r < kRounds; ++r) f = f * 0.5f + 1.0f;
      expected += f;
    }
    for (int i = 0; i < 8; ++i)
      expected += static_cast<double>((static_cast<long>(t) << i) + kRounds * (kRounds - 1) / 2);
    ASSERT_EQ(out[t], expected) << t;
  }
}

// A barrier in a function that is not inlined: the switch happens below a frame of its own.
__attribute__((noinline)) int rotate(int* row, int v) {
  const int n = blockDim.x, i = threadIdx.x;
  row[i] = v;
  __syncthreads();
  const int next = row[(i + 1) % n];
  __syncthreads();
  return next;
}

__global__ void rotate_kernel(int times, int* out) {
  SIMT_SHARED(int, row, [128]);
  int v = threadIdx.x;
  for (int r = 0; r < times; ++r) v = rotate(row, v);
  out[threadIdx.x] = v;
}

TEST_F(BarrierTest, MayBeMetInACalledFunction) {
  std::vector<int> out(77);
  launch<rotate_kernel>({1, 77}, 40, out.data());
  for (int i = 0; i < 77; ++i) ASSERT_EQ(out[i], (i + 40) % 77);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
