// SPDX-License-Identifier: MIT
//
// Tensor-core products, ldmatrix and asynchronous copies, bit for bit against plain loops over whole matrices.
#include <gtest/gtest.h>

#include <cmath>
#include <cstdint>
#include <limits>
#include <random>
#include <vector>

#include "kernels/simt/async.h"
#include "kernels/simt/mma.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using MmaTest = Executor;
using AsyncTest = Executor;

std::vector<float> numbers(std::size_t count, unsigned seed) {
  std::mt19937 random(seed);
  std::vector<float> all(count);
  for (float& x : all) x = static_cast<float>(static_cast<int>(random() % 200001) - 100000) * 1.37e-4f;
  return all;
}

// ---- rounding
// The nearest number of `bits` bits of mantissa, in double; a tie goes away from 0, or to the even neighbour.
double rounded(float x, int bits, bool ties_away) {
  int exponent;
  const double mantissa = std::ldexp(std::frexp(static_cast<double>(x), &exponent), bits + 1);
  const double whole = ties_away ? std::round(mantissa) : std::nearbyint(mantissa);
  return std::ldexp(whole, exponent - bits - 1);
}

TEST_F(MmaTest, Tf32IsTheNearestAndTiesGoAway) {
  for (const float x : numbers(1000, 1)) EXPECT_EQ(__uint_as_float(to_tf32(x)), rounded(x, 10, true)) << x;
  EXPECT_EQ(__uint_as_float(to_tf32(1 + 0x1p-11f)), 1 + 0x1p-10f);
  EXPECT_EQ(__uint_as_float(to_tf32(-1 - 0x1p-11f)), -1 - 0x1p-10f);
  EXPECT_EQ(__uint_as_float(to_tf32(1 + 0x1p-12f)), 1);
  EXPECT_EQ(to_tf32(INFINITY), __float_as_uint(INFINITY));
  EXPECT_TRUE(std::isnan(__uint_as_float(to_tf32(NAN))));
}

TEST_F(MmaTest, Bf16IsTheNearestAndTiesAreEven) {
  const auto low = [](float x) { return __uint_as_float(to_bf16(x, 0) << 16); };
  const auto high = [](float x) { return __uint_as_float(to_bf16(7, x) & 0xffff0000u); };
  for (const float x : numbers(1000, 2)) {
    EXPECT_EQ(low(x), rounded(x, 7, false)) << x;
    EXPECT_EQ(high(x), rounded(x, 7, false)) << x;
  }
  EXPECT_EQ(low(1 + 0x1p-8f), 1);
  EXPECT_EQ(low(1 + 3 * 0x1p-8f), 1 + 0x1p-6f);
  EXPECT_EQ(low(-INFINITY), -INFINITY);
  EXPECT_TRUE(std::isnan(low(NAN)));
}

// ---- products: every warp has matrices of its own
enum class Format { tf32, bf16 };

// a (16 kDown, depth), b (8 kAcross, depth), d (16 kDown, 8 kAcross), a warp after the other.
template <Format kFormat, int kDown, int kAcross>
__global__ void product_kernel(const float* a, const float* b, float* d) {
  constexpr int kDepth = kFormat == Format::tf32 ? 8 : 16, kColumns = 8 * kAcross;
  const int warp = threadIdx.x / 32, g = threadIdx.x % 32 / 4, q = threadIdx.x % 4;
  a += warp * 16 * kDown * kDepth;
  b += warp * kColumns * kDepth;
  d += warp * 16 * kDown * kColumns;
  std::uint32_t left[kDown][4], right[kAcross][2];
  float sums[kDown][kAcross][4];
  const auto fragment = [&](const float* row, int part) {
    if constexpr (kFormat == Format::tf32) return __float_as_uint(row[q + 4 * part]);
    return to_bf16(row[2 * q + 8 * part], row[2 * q + 8 * part + 1]);
  };
  for (int i = 0; i < kDown; ++i) {
    for (int part = 0; part < 4; ++part) {
      left[i][part] = fragment(a + (i * 16 + g + part % 2 * 8) * kDepth, part / 2);
    }
  }
  for (int j = 0; j < kAcross; ++j) {
    for (int part = 0; part < 2; ++part) right[j][part] = fragment(b + (j * 8 + g) * kDepth, part);
  }
  const auto at = [&](int i, int j, int e) -> float& {
    return d[(i * 16 + g + e / 2 * 8) * kColumns + j * 8 + 2 * q + e % 2];
  };
  for (int i = 0; i < kDown; ++i) {
    for (int j = 0; j < kAcross; ++j) {
      for (int e = 0; e < 4; ++e) sums[i][j][e] = at(i, j, e);
    }
  }
  if constexpr (kFormat == Format::tf32) {
    mma_tf32(sums, left, right);
  } else {
    mma_bf16(sums, left, right);
  }
  for (int i = 0; i < kDown; ++i) {
    for (int j = 0; j < kAcross; ++j) {
      for (int e = 0; e < 4; ++e) at(i, j, e) = sums[i][j][e];
    }
  }
}

// A factor as the tensor core takes it: TF32 cut off, BF16 rounded.
float taken(Format format, float x) {
  return format == Format::tf32 ? __uint_as_float(__float_as_uint(x) & ~0x1fffu)
                                : static_cast<float>(rounded(x, 7, false));
}

template <Format kFormat, int kDown, int kAcross>
void check_product() {
  constexpr int kWarps = 2, kRows = 16 * kDown, kColumns = 8 * kAcross, kDepth = kFormat == Format::tf32 ? 8 : 16;
  const std::vector<float> a = numbers(kWarps * kRows * kDepth, 3), b = numbers(kWarps * kColumns * kDepth, 4);
  const std::vector<float> before = numbers(kWarps * kRows * kColumns, 5);
  for (const ThreadOrder order : kOrders) {
    set_thread_order(order);
    std::vector<float> d = before;
    launch<product_kernel<kFormat, kDown, kAcross>>({1, 32 * kWarps}, a.data(), b.data(), d.data());
    for (int at = 0; at < kWarps * kRows * kColumns; ++at) {
      const int row = at / kColumns, column = row / kRows * kColumns + at % kColumns;  // of all warps' rows
      float want = before[at];
      for (int k = 0; k < kDepth; ++k) {
        const double product =
            static_cast<double>(taken(kFormat, a[row * kDepth + k])) * taken(kFormat, b[column * kDepth + k]);
        want = static_cast<float>(static_cast<double>(want) + product);  // one rounding
      }
      ASSERT_EQ(d[at], want) << at;
    }
  }
}

TEST_F(MmaTest, ProductsOfTf32) {
  check_product<Format::tf32, 1, 1>();
  check_product<Format::tf32, 2, 3>();
}
TEST_F(MmaTest, ProductsOfBf16) {
  check_product<Format::bf16, 1, 1>();
  check_product<Format::bf16, 3, 2>();
}

// ---- ldmatrix
struct alignas(16) MatrixRow {
  std::uint16_t elements[8];
};

template <bool kTransposed>
__global__ void load_kernel(std::uint32_t* out) {
  SIMT_SHARED(MatrixRow, rows, [32]);
  for (int i = 0; i < 8; ++i) rows[threadIdx.x].elements[i] = static_cast<std::uint16_t>(threadIdx.x * 100 + i);
  __syncwarp();
  std::uint32_t fragment[4];
  // Matrix m has rows m, m + 4, m + 8, ...
  load_matrices<kTransposed>(&rows[threadIdx.x % 8 * 4 + threadIdx.x / 8], fragment);
  for (int m = 0; m < 4; ++m) out[threadIdx.x * 4 + m] = fragment[m];
}

template <bool kTransposed>
void check_load() {
  std::vector<std::uint32_t> out(32 * 4);
  launch<load_kernel<kTransposed>>({1, 32}, out.data());
  for (int lane = 0; lane < 32; ++lane) {
    for (int m = 0; m < 4; ++m) {
      const auto element = [&](int row, int column) {
        return static_cast<std::uint32_t>((row * 4 + m) * 100 + column);
      };
      const int g = lane / 4, q = lane % 4;
      const std::uint32_t want = kTransposed ? element(2 * q, g) | element(2 * q + 1, g) << 16
                                             : element(g, 2 * q) | element(g, 2 * q + 1) << 16;
      ASSERT_EQ(out[lane * 4 + m], want) << lane << " " << m;
    }
  }
}

TEST_F(MmaTest, LoadsMatrices) {
  check_load<false>();
  check_load<true>();
}

// ---- asynchronous copies
// Three groups, the second empty: what shared memory holds after wait<2>, wait<1> and wait<0>.
template <int kBytes>
__global__ void copy_kernel(const float* from, float* out) {
  SIMT_SHARED(float, buffer, [4][32][4]);
  const int t = threadIdx.x;
  for (int part = 0; part < 4; ++part) {
    for (int i = 0; i < 4; ++i) buffer[part][t][i] = -1;
  }
  AsyncCopies<2, 4> copies;
  copies.copy<kBytes>(buffer[0][t], from + t * 4);
  copies.copy<kBytes>(buffer[1][t], nullptr);
  copies.commit();
  copies.commit();
  copies.copy<kBytes>(buffer[2][t], from + t * 4);
  copies.commit();
  copies.copy<kBytes>(buffer[3][t], from + t * 4);  // of no group: wait does not wait for it
  const auto report = [&](int at) {
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 4; ++i) out[((at * 4 + part) * 32 + t) * 4 + i] = buffer[part][t][i];
    }
  };
  report(0);
  copies.wait<2>();
  report(1);
  copies.wait<1>();
  report(2);
  copies.wait<0>();
  report(3);
}

template <int kBytes>
void check_copies(bool early) {
  const std::vector<float> from = numbers(128, 6);
  std::vector<float> out(4 * 4 * 128);
  async_copies_early = early;
  launch<copy_kernel<kBytes>>({1, 32}, from.data(), out.data());
  async_copies_early = false;
  // From which report on each part has arrived.
  const int arrived[] = {1, 1, 3, 4};
  for (int at = 0; at < 4; ++at) {
    for (int part = 0; part < 4; ++part) {
      for (int i = 0; i < 128; ++i) {
        const bool here = (early || at >= arrived[part]) && i % 4 < kBytes / 4;
        const float want = !here ? -1 : part == 1 ? 0 : from[i];
        ASSERT_EQ(out[(at * 4 + part) * 128 + i], want) << at << " " << part << " " << i;
      }
    }
  }
}

TEST_F(AsyncTest, CopiesArriveWhenWaitedForAndNoSooner) {
  check_copies<4>(false);
  check_copies<8>(false);
  check_copies<16>(false);
}
TEST_F(AsyncTest, CopiesArriveAtOnceWhereAskedTo) { check_copies<16>(true); }

__global__ void crowded_kernel(const float* from) {
  SIMT_SHARED(float, buffer, [4]);
  AsyncCopies<1, 1> copies;
  copies.copy<4>(buffer, from);
  copies.copy<4>(buffer + 1, from);
}
__global__ void backlog_kernel() {
  AsyncCopies<1, 2> copies;
  copies.commit();
  copies.commit();
}
TEST_F(AsyncTest, MoreThanWasDeclaredIsAnError) {
  const float x = 1;
  EXPECT_CONTAINS(message_of<std::logic_error>([&] { launch<crowded_kernel>({1, 1}, &x); }), "in a group");
  EXPECT_CONTAINS(message_of<std::logic_error>([&] { launch<backlog_kernel>({1, 1}); }), "more groups");
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
