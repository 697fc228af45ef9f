// SPDX-License-Identifier: MIT
//
// Static and dynamic shared memory: sizes, alignment, one array a declaration, poison, limits.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using SharedMemoryTest = Executor;

struct Tile {
  float a[33];
  int b[7];
  double c;
};

__global__ void dynamic_kernel(double* out) {
  auto& tile = shared_storage<Tile>();
  const int t = threadIdx.x;
  tile.a[t] = t * 0.5f;
  if (t < 7) tile.b[t] = t;
  if (t == 0) tile.c = 0.25;
  __syncthreads();
  out[t] = tile.a[32 - t] + tile.b[t % 7] + tile.c + static_cast<double>(reinterpret_cast<std::uintptr_t>(&tile) % 128);
}

TEST_F(SharedMemoryTest, DynamicIsAStruct) {
  std::vector<double> out(33);
  launch<dynamic_kernel>({1, 33, sizeof(Tile)}, out.data());
  for (int t = 0; t < 33; ++t) EXPECT_EQ(out[t], (32 - t) * 0.5 + t % 7 + 0.25);
}

__device__ __forceinline__ int* same_array() {
  SIMT_SHARED(int, once, [4]);
  return once;
}

__global__ void places_kernel(int* ok) {
  SIMT_SHARED(char, small, [3]);
  SIMT_SHARED(float, matrix, [5][9]);
  SIMT_SHARED(double, scalar, );
  auto& dynamic = shared_storage<Tile>();
  const auto at = [](const void* p) { return reinterpret_cast<std::uintptr_t>(p); };
  bool good = at(small) % 16 == 0 && at(matrix) % 16 == 0 && at(&scalar) % 16 == 0;
  good = good && sizeof(small) == 3 && sizeof(matrix) == 45 * sizeof(float) && sizeof(scalar) == sizeof(double);
  good = good && same_array() == same_array() && static_cast<void*>(same_array()) != static_cast<void*>(matrix);
  std::memset(&dynamic, 1, sizeof dynamic);
  std::memset(small, 2, sizeof small);
  std::memset(matrix, 3, sizeof matrix);
  scalar = 4.0;
  for (int i = 0; i < 4; ++i) same_array()[i] = 5;
  const auto all = [](const void* p, std::size_t n, unsigned char value) {
    for (std::size_t i = 0; i < n; ++i) {
      if (static_cast<const unsigned char*>(p)[i] != value) return false;
    }
    return true;
  };
  good = good && all(&dynamic, sizeof dynamic, 1) && all(small, 3, 2) && all(matrix, sizeof matrix, 3) && scalar == 4.0;
  ok[blockIdx.x] = good;
}

TEST_F(SharedMemoryTest, DeclarationsAreApartAndAligned) {
  std::vector<int> ok(3);
  launch<places_kernel>({3, 1, sizeof(Tile)}, ok.data());
  EXPECT_EQ(ok, (std::vector<int>{1, 1, 1}));
}

// Writes only when told; reads always.
__global__ void unwritten_kernel(bool write, float* fixed, float* dynamic) {
  SIMT_SHARED(float, row, [32]);
  float* other = &shared_storage<float>();
  const int t = threadIdx.x;
  if (write) row[t] = other[t] = 1.0f;
  __syncthreads();
  fixed[t] = row[31 - t];
  dynamic[t] = other[31 - t];
}

TEST_F(SharedMemoryTest, WhatNobodyWroteIsNaNEvenWhereAnEarlierBlockWrote) {
  ThreadPool::instance().set_threads(1);
  std::vector<float> fixed(32), dynamic(32);
  launch<unwritten_kernel>({1, 32, 128}, true, fixed.data(), dynamic.data());
  for (int t = 0; t < 32; ++t) EXPECT_EQ(fixed[t] + dynamic[t], 2.0f);
  launch<unwritten_kernel>({1, 32, 128}, false, fixed.data(), dynamic.data());
  for (int t = 0; t < 32; ++t) {
    EXPECT_TRUE(std::isnan(fixed[t]));
    EXPECT_TRUE(std::isnan(dynamic[t]));
  }
}

__global__ void large_kernel(int* out) {
  auto* words = &shared_storage<int>();
  const int n = static_cast<int>(kMaxSharedBytes / sizeof(int));
  for (int i = threadIdx.x; i < n; i += blockDim.x) words[i] = i;
  __syncthreads();
  if (threadIdx.x == 0) {
    int wrong = 0;
    for (int i = 0; i < n; ++i) wrong += words[i] != i;
    *out = wrong;
  }
}

TEST_F(SharedMemoryTest, AllOfTheLimitIsThere) {
  int wrong = -1;
  launch<large_kernel>({1, 33, kMaxSharedBytes}, &wrong);
  EXPECT_EQ(wrong, 0);
}

__global__ void two_arrays_kernel() {
  SIMT_SHARED(char, first, [40 * 1024]);
  first[threadIdx.x] = 0;
  SIMT_SHARED(char, second, [10 * 1024]);
  second[threadIdx.x] = 0;
}

__global__ void one_array_kernel() {
  SIMT_SHARED(char, first, [40 * 1024]);
  first[threadIdx.x] = 0;
}

TEST_F(SharedMemoryTest, TooMuchIsRefusedByName) {
  EXPECT_EQ(message_of<LaunchError>([] {
              launch<one_array_kernel>({1, 1, kMaxSharedBytes + 1});
            }),
            "launch of one_array_kernel: 232449 bytes of dynamic shared memory; the limit is 232448");
  EXPECT_EQ(message_of<LaunchError>([] {
              launch<two_arrays_kernel>({1, 1});
            }),
            "two_arrays_kernel: 51200 bytes of static shared memory; the limit is 49152");
  EXPECT_EQ(
      message_of<LaunchError>([] {
        launch<one_array_kernel>({1, 1, 200 * 1024});
      }),
      "one_array_kernel: 40960 bytes of static and 204800 of dynamic shared memory; the limit is 232448 together");
  launch<one_array_kernel>({1, 1, kMaxSharedBytes - 40 * 1024});
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
