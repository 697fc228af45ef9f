// SPDX-License-Identifier: MIT
//
// Atomics, bits, arithmetic and 16-byte accesses as kernel code calls them: unqualified.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using IntrinsicsTest = Executor;

struct Totals {
  int i_sum = 0, i_max = -1000, i_min = 1000;
  unsigned u_sum = 0, u_max = 0, u_min = ~0u;
  unsigned long long l_sum = 0, l_max = 0, l_min = ~0ull;
  float f_sum = 0.0f;
  int exchanged = -1, exchanges_seen = 0;
};

__global__ void atomics_kernel(Totals* t, unsigned* taken) {
  const int n = gridDim.x * blockDim.x, i = blockIdx.x * blockDim.x + threadIdx.x;
  atomicAdd(&t->i_sum, i - 3);
  atomicMax(&t->i_max, i - n);
  atomicMin(&t->i_min, i - n);
  atomicAdd(&t->u_sum, static_cast<unsigned>(i));
  atomicMax(&t->u_max, static_cast<unsigned>(i));
  atomicMin(&t->u_min, static_cast<unsigned>(i + 5));
  atomicAdd(&t->l_sum, 1ull << 33);
  atomicMax(&t->l_max, 1ull << (i % 40));
  atomicMin(&t->l_min, 1ull << (i % 40 + 3));
  atomicAdd(&t->f_sum, 1.0f);
  if (atomicExch(&t->exchanged, i) != -1) atomicAdd(&t->exchanges_seen, 1);
  // Each thread takes one free place.
  for (int at = i % 7;; at = (at + 1) % n) {
    if (atomicCAS(&taken[at], 0u, static_cast<unsigned>(i + 1)) == 0u) break;
  }
}

TEST_F(IntrinsicsTest, Atomics) {
  for (int workers : {1, 3}) {
    ThreadPool::instance().set_threads(workers);
    constexpr int kN = 31 * 33;
    Totals t;
    std::vector<unsigned> taken(kN);
    launch<atomics_kernel>({31, 33}, &t, taken.data());
    EXPECT_EQ(t.i_sum, kN * (kN - 1) / 2 - 3 * kN);
    EXPECT_EQ(t.i_max, -1);
    EXPECT_EQ(t.i_min, -kN);
    EXPECT_EQ(t.u_sum, static_cast<unsigned>(kN * (kN - 1) / 2));
    EXPECT_EQ(t.u_max, static_cast<unsigned>(kN - 1));
    EXPECT_EQ(t.u_min, 5u);
    EXPECT_EQ(t.l_sum, static_cast<unsigned long long>(kN) << 33);
    EXPECT_EQ(t.l_max, 1ull << 39);
    EXPECT_EQ(t.l_min, 8ull);
    EXPECT_EQ(t.f_sum, static_cast<float>(kN));
    EXPECT_EQ(t.exchanges_seen, kN - 1);
    std::sort(taken.begin(), taken.end());
    for (unsigned i = 0; i < kN; ++i) ASSERT_EQ(taken[i], i + 1);
  }
}

TEST_F(IntrinsicsTest, AtomicsReturnTheOldValue) {
  int i = 5;
  unsigned u = 5;
  float f = 0.5f;
  EXPECT_EQ(atomicAdd(&i, 2), 5);
  EXPECT_EQ(atomicMax(&i, 3), 7);
  EXPECT_EQ(atomicMin(&i, 3), 7);
  EXPECT_EQ(atomicExch(&i, 9), 3);
  EXPECT_EQ(atomicCAS(&i, 4, 1), 9);
  EXPECT_EQ(atomicCAS(&i, 9, 1), 9);
  EXPECT_EQ(i, 1);
  EXPECT_EQ(atomicMin(&u, 9u), 5u);
  EXPECT_EQ(atomicAdd(&f, 0.25f), 0.5f);
  EXPECT_EQ(atomicExch(&f, 2.0f), 0.75f);
  EXPECT_EQ(f, 2.0f);
}

TEST_F(IntrinsicsTest, Bits) {
  EXPECT_EQ(__popc(0u), 0);
  EXPECT_EQ(__popc(0xf0f0f0f1u), 17);
  EXPECT_EQ(__ffs(0), 0);
  EXPECT_EQ(__ffs(8), 4);
  EXPECT_EQ(__ffs(std::numeric_limits<int>::min()), 32);
  EXPECT_EQ(__clz(0), 32);
  EXPECT_EQ(__clz(1), 31);
  EXPECT_EQ(__clz(-1), 0);
  EXPECT_EQ(__umulhi(0x80000000u, 6u), 3u);
  EXPECT_EQ(__float_as_uint(1.0f), 0x3f800000u);
  EXPECT_EQ(__float_as_int(-0.0f), std::numeric_limits<int>::min());
  EXPECT_EQ(__uint_as_float(0x40000000u), 2.0f);
  EXPECT_EQ(__int_as_float(0x3f000000), 0.5f);
}

TEST_F(IntrinsicsTest, MinAndMaxPreferNumbers) {
  const float nan = std::numeric_limits<float>::quiet_NaN();
  EXPECT_EQ(min(1.0f, nan), 1.0f);
  EXPECT_EQ(min(nan, 1.0f), 1.0f);
  EXPECT_EQ(max(1.0f, nan), 1.0f);
  EXPECT_EQ(max(nan, 1.0f), 1.0f);
  EXPECT_EQ(fmaxf(nan, -1.0f), -1.0f);
  EXPECT_EQ(fminf(2.0f, -1.0f), -1.0f);
  EXPECT_TRUE(isnan(max(nan, nan)));
  EXPECT_EQ(max(-1, 2), 2);
  EXPECT_EQ(min(-1, 2), -1);
  EXPECT_EQ(max(3u, 2u), 3u);
  EXPECT_EQ(min(3, 2u), 2u);
  EXPECT_EQ(max(1.5, 1.0f), 1.5);
  EXPECT_EQ(max(std::size_t{7}, std::size_t{9}), 9u);
}

__global__ void math_kernel(const float* x, float* out) {
  const float v = x[0];
  out[0] = rsqrtf(v);
  out[1] = sqrtf(v);
  out[2] = expf(-v) - __expf(-v);
  out[3] = logf(v) - __logf(v);
  out[4] = fabsf(-v);
  out[5] = isnan(v) || isinf(v) ? 1.0f : 0.0f;
  out[6] = __ldg(x);
  out[7] = fmaf(v, v, 1.0f);
  out[8] = tanhf(v) + log1pf(v) + powf(v, 2.0f);
  __threadfence();
  __threadfence_block();
}

TEST_F(IntrinsicsTest, Arithmetic) {
  const float x = 4.0f;
  std::vector<float> out(9);
  launch<math_kernel>({1, 1}, &x, out.data());
  EXPECT_EQ(out[0], 0.5f);
  EXPECT_EQ(out[1], 2.0f);
  EXPECT_NEAR(out[2], 0.0f, 1e-6f);
  EXPECT_NEAR(out[3], 0.0f, 1e-6f);
  EXPECT_EQ(out[4], 4.0f);
  EXPECT_EQ(out[5], 0.0f);
  EXPECT_EQ(out[6], 4.0f);
  EXPECT_EQ(out[7], 17.0f);
  EXPECT_NEAR(out[8], std::tanh(4.0) + std::log1p(4.0) + 16.0, 1e-5);
}

__global__ void swap_pairs_kernel(const float* in, float* out) {
  const int i = threadIdx.x * 4;
  const float4 v = load4(&in[i]);
  store4(&out[i], make_float4(v.y, v.x, v.w, v.z));
}

TEST_F(IntrinsicsTest, SixteenBytesAtOnce) {
  alignas(16) float in[132], out[132];
  for (int i = 0; i < 132; ++i) in[i] = static_cast<float>(i);
  launch<swap_pairs_kernel>({1, 33}, in, out);
  for (int i = 0; i < 132; ++i) EXPECT_EQ(out[i], static_cast<float>(i ^ 1));
}

TEST(VectorTypes, HaveCudasSizeAndAlignment) {
  EXPECT_EQ(alignof(float2), 8u);
  EXPECT_EQ(alignof(float4), 16u);
  EXPECT_EQ(alignof(int4), 16u);
  EXPECT_EQ(alignof(uint4), 16u);
  EXPECT_EQ(alignof(uchar4), 4u);
  EXPECT_EQ(sizeof(float3), 12u);
  EXPECT_EQ(sizeof(float4), 16u);
  EXPECT_EQ(sizeof(uchar4), 4u);
  EXPECT_EQ(make_int2(3, 4).y, 4);
  EXPECT_EQ(make_uchar4(1, 2, 3, 255).w, 255);
  const dim3 d(4, 5);
  EXPECT_EQ(d.x * d.y * d.z, 20u);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
