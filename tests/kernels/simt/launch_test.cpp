// SPDX-License-Identifier: MIT
//
// Launches: every thread of every block runs once, with and without fibers; limits; names; counting.
#include <gtest/gtest.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {

// Not in an anonymous namespace: the kind of kernel that another library might replace.
__global__ void visible_kernel(int n, const float* __restrict__ x, float* __restrict__ y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = 2.0f * x[i];
}

namespace {

using LaunchTest = Executor;

// Counts visits of each thread, and records what it saw.
__global__ void visit_kernel(int* visits, std::uint64_t* seen) {
  const unsigned block = (blockIdx.z * gridDim.y + blockIdx.y) * gridDim.x + blockIdx.x;
  const unsigned thread = (threadIdx.z * blockDim.y + threadIdx.y) * blockDim.x + threadIdx.x;
  const unsigned at = block * (blockDim.x * blockDim.y * blockDim.z) + thread;
  visits[at] += 1;
  seen[at] = threadIdx.x | threadIdx.y << 8 | std::uint64_t{threadIdx.z} << 16 | std::uint64_t{blockIdx.x} << 24 |
             std::uint64_t{blockIdx.y} << 32 | std::uint64_t{blockIdx.z} << 40;
}

struct Visits {
  std::vector<int> visits;
  std::vector<std::uint64_t> seen;
};

template <bool kFlat>
Visits visit(dim3 grid, dim3 block) {
  const std::size_t n = std::size_t{grid.x} * grid.y * grid.z * block.x * block.y * block.z;
  Visits v{std::vector<int>(n), std::vector<std::uint64_t>(n)};
  if (kFlat) {
    launch_flat<visit_kernel>({grid, block}, v.visits.data(), v.seen.data());
  } else {
    launch<visit_kernel>({grid, block}, v.visits.data(), v.seen.data());
  }
  return v;
}

TEST_F(LaunchTest, EveryThreadRunsOnce) {
  for (int workers : {1, 2, 7}) {
    ThreadPool::instance().set_threads(workers);
    for (ThreadOrder order : kOrders) {
      set_thread_order(order);
      for (dim3 grid : {dim3(1), dim3(5), dim3(97), dim3(3, 5), dim3(2, 3, 4)}) {
        for (dim3 block : {dim3(1), dim3(31), dim3(33), dim3(1024), dim3(5, 7), dim3(3, 5, 2), dim3(1, 1, 33)}) {
          const Visits v = visit<false>(grid, block);
          std::size_t i = 0;
          for (unsigned bz = 0; bz < grid.z; ++bz)
            for (unsigned by = 0; by < grid.y; ++by)
              for (unsigned bx = 0; bx < grid.x; ++bx)
                for (unsigned z = 0; z < block.z; ++z)
                  for (unsigned y = 0; y < block.y; ++y)
                    for (unsigned x = 0; x < block.x; ++x, ++i) {
                      ASSERT_EQ(v.visits[i], 1);
                      ASSERT_EQ(v.seen[i], x % 256 | y << 8 | x / 256 << 8 | std::uint64_t{z} << 16 |
                                               std::uint64_t{bx} << 24 | std::uint64_t{by} << 32 |
                                               std::uint64_t{bz} << 40);
                    }
        }
      }
    }
  }
}

TEST_F(LaunchTest, FlatIsTheSame) {
  for (int workers : {1, 2, 7}) {
    ThreadPool::instance().set_threads(workers);
    for (dim3 grid : {dim3(1), dim3(97), dim3(3, 5), dim3(2, 3, 4)}) {
      for (dim3 block : {dim3(1), dim3(33), dim3(1024), dim3(5, 7), dim3(3, 5, 2), dim3(1, 1, 33)}) {
        const Visits flat = visit<true>(grid, block), fibers = visit<false>(grid, block);
        ASSERT_EQ(flat.visits, fibers.visits);
        ASSERT_EQ(flat.seen, fibers.seen);
      }
    }
  }
}

TEST_F(LaunchTest, FlatGuardsItsTail) {
  for (int n : {1, 31, 33, 255, 257, 1009}) {
    std::vector<float> x(n), y(n + 64, -1.0f);
    for (int i = 0; i < n; ++i) x[i] = static_cast<float>(i);
    launch_flat<visible_kernel>({static_cast<unsigned>(n + 63) / 64, 64}, n, x.data(), y.data());
    for (int i = 0; i < n; ++i) ASSERT_EQ(y[i], 2.0f * static_cast<float>(i));
    for (int i = n; i < n + 64; ++i) ASSERT_EQ(y[i], -1.0f);
  }
}

// Reads and writes the same words through two pointers: threads of a flat launch still do not mix.
__global__ void increment_kernel(int n, const unsigned* x, unsigned* y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = x[i] + i;
}

TEST_F(LaunchTest, FlatInPlace) {
  std::vector<unsigned> v(1009, 5);
  launch_flat<increment_kernel>({32, 32}, 1009, v.data(), v.data());
  for (unsigned i = 0; i < 1009; ++i) ASSERT_EQ(v[i], 5 + i);
}

// What a flat kernel stores is stored before the launch returns, even where it stores to the launcher's own variables.
__global__ void store_kernel(int* a, float* b) {
  *a = static_cast<int>(blockIdx.x) + 7;
  if (threadIdx.x == 2) *b = 0.5f;
}

TEST_F(LaunchTest, FlatStoresToLocals) {
  ThreadPool::instance().set_threads(1);
  int a = 0;
  float b = 0.0f;
  launch_flat<store_kernel>({3, 4}, &a, &b);
  EXPECT_EQ(a, 9);
  EXPECT_EQ(b, 0.5f);
}

template <int N>
__global__ void add_kernel(float v, double* out) {
  *out = v + N;
}

TEST_F(LaunchTest, ArgumentsConvertToTheKernelsParameters) {
  double out = 0.0;
  launch<add_kernel<3>>({1, 1}, 4, &out);
  EXPECT_EQ(out, 7.0);
  launch_flat<add_kernel<5>>({1, 1}, 4, &out);
  EXPECT_EQ(out, 9.0);
}

__global__ void limits_kernel() {}

TEST_F(LaunchTest, AnEmptyGridLaunchesNothing) {
  std::uint64_t launches = 0;
  Queue queue;
  queue.launches = &launches;
  double out = -1.0;
  for (dim3 grid : {dim3(0), dim3(4, 0), dim3(4, 4, 0)}) {
    launch<add_kernel<1>>({grid, 1, 0, queue}, 1.0f, &out);
    launch_flat<add_kernel<1>>({grid, 1, 0, queue}, 1.0f, &out);
  }
  EXPECT_EQ(out, -1.0);
  EXPECT_EQ(launches, 0u);
}

TEST_F(LaunchTest, LaunchesAreCounted) {
  std::uint64_t launches = 40;
  Queue queue;
  queue.launches = &launches;
  launch<limits_kernel>({1, 1, 0, queue});
  launch_flat<limits_kernel>({{2, 2}, 1, 0, queue});
  EXPECT_EQ(launches, 42u);
}

TEST_F(LaunchTest, ImpossibleShapesAreRefusedByName) {
  const auto message = [](dim3 grid, dim3 block) {
    const std::string flat = message_of<LaunchError>([&] { launch_flat<limits_kernel>({grid, block}); });
    const std::string fibers = message_of<LaunchError>([&] { launch<limits_kernel>({grid, block}); });
    EXPECT_EQ(flat, fibers);
    return fibers;
  };
  EXPECT_EQ(message(1, {1025, 1, 1}),
            "launch of limits_kernel: block (1025, 1, 1) has too many threads; the limits are "
            "1024 in all and 64 in z");
  EXPECT_CONTAINS(message(1, {32, 33, 1}), "block (32, 33, 1) has too many threads");
  EXPECT_CONTAINS(message(1, {1, 1, 65}), "block (1, 1, 65) has too many threads");
  EXPECT_CONTAINS(message(1, {65536, 65536, 1}), "too many threads");
  EXPECT_EQ(message(1, {32, 0, 1}), "launch of limits_kernel: block (32, 0, 1) has no threads");
  EXPECT_EQ(message({1, 65536, 1}, 1),
            "launch of limits_kernel: grid (1, 65536, 1) is too large; the limits are "
            "2147483647 in x and 65535 in y and z");
  EXPECT_CONTAINS(message({1, 1, 65536}, 1), "grid (1, 1, 65536) is too large");
  EXPECT_CONTAINS(message({2147483648u, 1, 1}, 1), "grid (2147483648, 1, 1) is too large");
  launch<limits_kernel>({1, {1, 1, 64}});
  launch<limits_kernel>({{1, 65535, 1}, 1});
  launch_flat<limits_kernel>({{1, 1, 65535}, 1});
}

TEST(KernelName, IsWhatAPersonWrites) {
  EXPECT_EQ(
      kernel_name("constexpr std::string_view gemel::simt::detail::spelled() [with auto Kernel = "
                  "gemel::simt::{anonymous}::foo_kernel<3, float>; std::string_view = std::basic_string_view<char>]"),
      "foo_kernel<3, float>");
  EXPECT_EQ(kernel_name("std::string_view gemel::simt::detail::spelled() [Kernel = &gemel::simt::(anonymous "
                        "namespace)::foo_kernel]"),
            "foo_kernel");
  EXPECT_EQ(kernel_name("constexpr std::string_view gemel::cuda::detail::spelled() [with auto Kernel = "
                        "gemel::cuda::_GLOBAL__N__d86e1caf_7_name_cu_76a5a22f::foo_kernel<3>; std::string_view = "
                        "std::basic_string_view<char>]"),
            "foo_kernel<3>");
  EXPECT_EQ(kernel_name("x [with auto Kernel = (& gemel::simt::foo_kernel)]"), "foo_kernel");
}

// Locals that take most of a stack, in every thread at once.
__global__ void deep_kernel(int* out) {
  volatile char local[40 * 1024];
  local[0] = static_cast<char>(threadIdx.x);
  local[40 * 1024 - 1] = 1;
  __syncthreads();
  out[threadIdx.x] = local[0] + local[40 * 1024 - 1];
}

TEST_F(LaunchTest, StacksHoldLargeLocals) {
  std::vector<int> out(128);
  launch<deep_kernel>({1, 128}, out.data());
  for (int t = 0; t < 128; ++t) EXPECT_EQ(out[t], t + 1);
}

__attribute__((noinline)) int recurse(int depth, volatile char* caller) {
  volatile char frame[1024];
  frame[0] = static_cast<char>(caller[0] + 1);
  return depth == 0 ? 0 : recurse(depth - 1, frame) + frame[0];
}

__global__ void endless_kernel(int* out) {
  __syncthreads();
  volatile char frame = 0;
  *out = recurse(200, &frame);
}

TEST(StackDeathTest, AnOverflowHitsTheGuard) {
  testing::FLAGS_gtest_death_test_style = "threadsafe";
  int out = 0;
  EXPECT_DEATH(launch<endless_kernel>({1, 2}, &out), "");
}

// Each block's threads, in the order they began.
__global__ void order_kernel(int* next, int* order) {
  order[blockIdx.x * blockDim.x + next[blockIdx.x]++] = threadIdx.x;
}

TEST_F(LaunchTest, OrdersAreAPropertyOfBlocks) {
  // A shuffled order depends on seed and block, not on how many workers there are.
  const auto order_of = [](ThreadOrder order, int workers) {
    ThreadPool::instance().set_threads(workers);
    set_thread_order(order);
    std::vector<int> next(9), seen(9 * 40);
    launch<order_kernel>({9, 40}, next.data(), seen.data());
    return seen;
  };
  const std::vector<int> one = order_of({ThreadOrder::Kind::shuffle, 1}, 1);
  EXPECT_EQ(order_of({ThreadOrder::Kind::shuffle, 1}, 3), one);
  EXPECT_NE(order_of({ThreadOrder::Kind::shuffle, 2}, 1), one);
  EXPECT_NE(std::vector<int>(one.begin(), one.begin() + 40), std::vector<int>(one.begin() + 40, one.begin() + 80));
  const std::vector<int> reverse = order_of({ThreadOrder::Kind::reverse}, 1);
  for (int i = 0; i < 9 * 40; ++i) EXPECT_EQ(reverse[i], 39 - i % 40);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
