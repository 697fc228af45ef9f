// SPDX-License-Identifier: MIT
//
// Shuffles of each width, votes and reductions, against plain loops over the lanes.
#include <gtest/gtest.h>

#include <cstdint>
#include <vector>

#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using WarpTest = Executor;

enum Form { kIndex, kUp, kDown, kXor };

template <class T>
__global__ void shuffle_kernel(int form, int argument, int width, T* out) {
  const T mine = static_cast<T>(threadIdx.x * 3 + 1);
  T got{};
  if (form == kIndex) got = __shfl_sync(kAllLanes, mine, argument, width);
  if (form == kUp) got = __shfl_up_sync(kAllLanes, mine, argument, width);
  if (form == kDown) got = __shfl_down_sync(kAllLanes, mine, argument, width);
  if (form == kXor) got = __shfl_xor_sync(kAllLanes, mine, argument, width);
  out[threadIdx.x] = got;
}

// CUDA's definition: the lane `lane` reads, within groups of `width`; its own where the source lies outside.
int source_lane(int form, int lane, int argument, int width) {
  const int first = lane / width * width, last = first + width - 1;
  int from = lane;
  if (form == kIndex) from = first + (argument % width);
  if (form == kUp) from = lane - argument < first ? lane : lane - argument;
  if (form == kDown) from = lane + argument > last ? lane : lane + argument;
  if (form == kXor) from = (lane ^ argument) > last ? lane : lane ^ argument;
  return from;
}

template <class T>
void check_shuffles() {
  for (int form : {kIndex, kUp, kDown, kXor}) {
    for (int width : {1, 2, 8, 16, 32}) {
      for (int argument : {0, 1, 3, 7, 16, 31}) {
        std::vector<T> out(96);
        launch<shuffle_kernel<T>>({1, 96}, form, argument, width, out.data());
        for (int t = 0; t < 96; ++t) {
          const int from = t / 32 * 32 + source_lane(form, t % 32, argument, width);
          ASSERT_EQ(out[t], static_cast<T>(from * 3 + 1)) << form << " " << width << " " << argument << " " << t;
        }
      }
    }
  }
}

TEST_F(WarpTest, ShufflesFloat) { check_shuffles<float>(); }
TEST_F(WarpTest, ShufflesInt) { check_shuffles<int>(); }
TEST_F(WarpTest, ShufflesUnsigned) { check_shuffles<unsigned>(); }
TEST_F(WarpTest, ShufflesDouble) { check_shuffles<double>(); }
TEST_F(WarpTest, ShufflesUint64) { check_shuffles<std::uint64_t>(); }

// Even and odd lanes in two groups at once, each with its own mask, and different values.
__global__ void halves_kernel(int* out) {
  const unsigned even = 0x55555555u;
  const int lane = threadIdx.x % 32;
  int v = threadIdx.x;
  if (lane % 2 == 0) {
    v = __shfl_sync(even, v, 2);
  } else {
    v = __shfl_sync(~even, v, 5);
    v += __shfl_sync(~even, v, 7);
  }
  out[threadIdx.x] = v;
}

TEST_F(WarpTest, PartsOfAWarpMeetByThemselves) {
  for (ThreadOrder order : kOrders) {
    set_thread_order(order);
    std::vector<int> out(64);
    launch<halves_kernel>({1, 64}, out.data());
    for (int t = 0; t < 64; ++t) ASSERT_EQ(out[t], t % 2 == 0 ? t / 32 * 32 + 2 : 2 * (t / 32 * 32 + 5));
  }
}

__global__ void vote_kernel(unsigned pattern, unsigned* ballot, int* any, int* all) {
  const int t = threadIdx.x, p = pattern >> (t % 32) & 1;
  ballot[t] = __ballot_sync(kAllLanes, p);
  any[t] = __any_sync(kAllLanes, p);
  all[t] = __all_sync(kAllLanes, p);
}

TEST_F(WarpTest, Votes) {
  for (unsigned pattern : {0u, 1u, 0x80000000u, 0xdeadbeefu, 0xfffffffeu, 0xffffffffu}) {
    for (unsigned n : {1u, 31u, 33u, 64u}) {
      std::vector<unsigned> ballot(n);
      std::vector<int> any(n), all(n);
      launch<vote_kernel>({1, n}, pattern, ballot.data(), any.data(), all.data());
      for (unsigned t = 0; t < n; ++t) {
        const unsigned lanes = n - t / 32 * 32 >= 32 ? ~0u : ~(~0u << (n - t / 32 * 32));  // that exist
        ASSERT_EQ(ballot[t], pattern & lanes);
        ASSERT_EQ(any[t] != 0, (pattern & lanes) != 0);
        ASSERT_EQ(all[t] != 0, (pattern & lanes) == lanes);
      }
    }
  }
}

// Without __syncwarp lane 31 would read what lane 0 has not written, in reverse order.
__global__ void neighbour_kernel(int* out) {
  SIMT_SHARED(int, row, [64]);
  const int t = threadIdx.x, first = t / 32 * 32;
  row[t] = t * t;
  __syncwarp();
  out[t] = row[first + (t + 1) % 32];
}

TEST_F(WarpTest, SyncWarp) {
  for (ThreadOrder order : kOrders) {
    set_thread_order(order);
    std::vector<int> out(64);
    launch<neighbour_kernel>({1, 64}, out.data());
    for (int t = 0; t < 64; ++t) {
      const int from = t / 32 * 32 + (t + 1) % 32;
      ASSERT_EQ(out[t], from * from);
    }
  }
}

template <class T>
__global__ void warp_reduce_kernel(const T* in, T* sum, T* max) {
  sum[threadIdx.x] = warp_sum(in[threadIdx.x]);
  max[threadIdx.x] = warp_max(in[threadIdx.x]);
}

template <int THREADS, class T>
__global__ void block_reduce_kernel(const T* in, T* sum, T* max) {
  const T v = in[blockIdx.x * THREADS + threadIdx.x];
  sum[blockIdx.x * THREADS + threadIdx.x] = block_sum<THREADS>(v);
  max[blockIdx.x * THREADS + threadIdx.x] = block_max<THREADS>(v);
}

template <class T>
std::vector<T> small_integers(int n) {
  std::vector<T> v(n);
  for (int i = 0; i < n; ++i) v[i] = static_cast<T>((i * 37 + 11) % 101 - 50);  // sums are exact
  return v;
}

template <int THREADS, class T>
void check_reductions() {
  const int n = 3 * THREADS;
  const std::vector<T> in = small_integers<T>(n);
  for (ThreadOrder order : kOrders) {
    set_thread_order(order);
    std::vector<T> sum(n), max(n);
    launch<block_reduce_kernel<THREADS, T>>({3, THREADS}, in.data(), sum.data(), max.data());
    for (int b = 0; b < 3; ++b) {
      T expected_sum = 0, expected_max = in[b * THREADS];
      for (int i = 0; i < THREADS; ++i) {
        expected_sum += in[b * THREADS + i];
        expected_max = std::max(expected_max, in[b * THREADS + i]);
      }
      for (int i = 0; i < THREADS; ++i) {
        ASSERT_EQ(sum[b * THREADS + i], expected_sum);
        ASSERT_EQ(max[b * THREADS + i], expected_max);
      }
    }
  }
}

TEST_F(WarpTest, BlockReductions) {
  check_reductions<32, float>();
  check_reductions<64, int>();
  check_reductions<256, float>();
  check_reductions<1024, double>();
}

TEST_F(WarpTest, WarpReductions) {
  const std::vector<double> in = small_integers<double>(64);
  std::vector<double> sum(64), max(64);
  launch<warp_reduce_kernel<double>>({1, 64}, in.data(), sum.data(), max.data());
  for (int t = 0; t < 64; ++t) {
    double expected_sum = 0.0, expected_max = -100.0;
    for (int i = t / 32 * 32; i < t / 32 * 32 + 32; ++i) {
      expected_sum += in[i];
      expected_max = std::max(expected_max, in[i]);
    }
    ASSERT_EQ(sum[t], expected_sum);
    ASSERT_EQ(max[t], expected_max);
  }
}

TEST_F(WarpTest, ReductionsGiveTheSameBitsInEveryOrder) {
  std::vector<float> in(256), first(256), sum(256), max(256);
  for (int i = 0; i < 256; ++i) in[i] = 1.0f / static_cast<float>(i * 7 % 53 + 1) - 0.3f;
  launch<block_reduce_kernel<256, float>>({1, 256}, in.data(), first.data(), max.data());
  for (ThreadOrder order : kOrders) {
    set_thread_order(order);
    launch<block_reduce_kernel<256, float>>({1, 256}, in.data(), sum.data(), max.data());
    EXPECT_EQ(sum, first);
  }
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
