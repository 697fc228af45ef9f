// SPDX-License-Identifier: MIT
//
// Tensor cores: the warp-wide matrix products of sm_80 (PTX ISA, mma.sync and ldmatrix), inline PTX under nvcc, their
// definition in plain loops on the host.
//
// A warp holds a matrix in fragments, g = lane / 4, q = lane % 4:
//   product   element (g, 2q + e) of an 16x8 matrix in d[e], element (g + 8, 2q + e) in d[2 + e]
//   tf32      a (16x8): (g, q), (g + 8, q), (g, q + 4), (g + 8, q + 4)     b (8x8): (q, g), (q + 4, g)
//   bf16      a (16x16): pairs (g, 2q..), (g + 8, 2q..), (g, 2q + 8..), (g + 8, 2q + 8..)
//             b (16x8): pairs (2q.., g), (2q + 8.., g); the lower k in the lower half
//
// Numerics. TF32 has 10 bits of mantissa and the exponents of f32: to_tf32 rounds to nearest, ties away from 0 (cvt.rna);
// a factor that was not rounded is cut off (its low 13 bits are ignored). BF16 has 7 bits: to nearest, ties to even. Both
// products of two factors are exact in f32. PTX leaves the order and the rounding of the sum open ("at least single
// precision"): here it is d, then the products of k = 0, 1, ..., each rounded to nearest. On a GPU the last bits differ:
// tensor cores add several products at once and round towards 0 (Ootomo, Yokota 2022, section 3).
#pragma once

#include <cstdint>
#include <cstring>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// f32 to the nearest TF32, as the bits of the f32.
__device__ __forceinline__ std::uint32_t to_tf32(float x) {
#if defined(__CUDACC__)
  std::uint32_t bits;
  asm("cvt.rna.tf32.f32 %0, %1;" : "=r"(bits) : "f"(x));
  return bits;
#else
  const std::uint32_t bits = __float_as_uint(x);
  return (bits & 0x7f800000u) == 0x7f800000u ? bits : (bits + 0x1000u) & ~0x1fffu;
#endif
}

// Two f32 to the nearest BF16: `low` in the low half.
__device__ __forceinline__ std::uint32_t to_bf16(float low, float high) {
#if defined(__CUDACC__)
  std::uint32_t bits;
  asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(bits) : "f"(high), "f"(low));
  return bits;
#else
  const auto round = [](float x) {
    const std::uint32_t bits = __float_as_uint(x);
    return x != x ? 0x7fffu : (bits + 0x7fffu + (bits >> 16 & 1)) >> 16;
  };
  return round(low) | round(high) << 16;
#endif
}

#if !defined(__CUDACC__)
namespace detail {

struct LoadArgument {
  std::uint16_t row[8];
  std::uint32_t* fragment;
};

template <bool kTransposed>
inline constexpr Collective kLoadMatrices{
    [](void* const* arguments, unsigned lanes) {
      const auto at = [&](int i) { return static_cast<LoadArgument*>(arguments[i]); };
      const auto element = [&](int matrix, int row, int column) {
        return std::uint32_t{at(matrix * 8 + row)->row[column]};
      };
      for_each_lane(lanes, [&](int i) {
        const int row = i / 4, column = i % 4 * 2;
        for (int m = 0; m < 4; ++m) {
          at(i)->fragment[m] = kTransposed ? element(m, column, row) | element(m, column + 1, row) << 16
                                           : element(m, row, column) | element(m, row, column + 1) << 16;
        }
      });
    },
    "ldmatrix"};

template <int kDown, int kAcross>
struct ProductArgument {
  float (*d)[kAcross][4];
  const std::uint32_t (*a)[4];
  const std::uint32_t (*b)[2];
};

struct Tf32 {
  static constexpr int kDepth = 8;
  static float a(const std::uint32_t* fragment, int half, int k) { return value(fragment[half + k / 4 * 2]); }
  static float b(const std::uint32_t* fragment, int k) { return value(fragment[k / 4]); }
  static int lane(int k) { return k % 4; }

 private:
  static float value(std::uint32_t bits) { return __uint_as_float(bits & ~0x1fffu); }
};

struct Bf16 {
  static constexpr int kDepth = 16;
  static float a(const std::uint32_t* fragment, int half, int k) { return value(fragment[half + k / 8 * 2], k); }
  static float b(const std::uint32_t* fragment, int k) { return value(fragment[k / 8], k); }
  static int lane(int k) { return k % 8 / 2; }

 private:
  static float value(std::uint32_t bits, int k) {
    return __uint_as_float(k % 2 != 0 ? bits & 0xffff0000u : bits << 16);
  }
};

// d[i][j] += a[i] * b[j] for all i and j, one rank-1 update of 16 x (8 kAcross) sums after the other.
template <class Format, int kDown, int kAcross>
inline constexpr Collective kMultiplyTile{
    [](void* const* arguments, unsigned) {
      constexpr int kDepth = Format::kDepth, kColumns = 8 * kAcross;
      const auto at = [&](int i) { return static_cast<ProductArgument<kDown, kAcross>*>(arguments[i]); };
      float right[kDepth][kColumns];
      for (int k = 0; k < kDepth; ++k) {
        for (int n = 0; n < kColumns; ++n) right[k][n] = Format::b(at(n % 8 * 4 + Format::lane(k))->b[n / 8], k);
      }
      for (int i = 0; i < kDown; ++i) {
        for (int m = 0; m < 16; ++m) {
          float sums[kColumns];
          for (int n = 0; n < kColumns; ++n) sums[n] = at(m % 8 * 4 + n % 8 / 2)->d[i][n / 8][m / 8 * 2 + n % 2];
          for (int k = 0; k < kDepth; ++k) {
            const float left = Format::a(at(m % 8 * 4 + Format::lane(k))->a[i], m / 8, k);
            for (int n = 0; n < kColumns; ++n) sums[n] += left * right[k][n];
          }
          for (int n = 0; n < kColumns; ++n) at(m % 8 * 4 + n % 8 / 2)->d[i][n / 8][m / 8 * 2 + n % 2] = sums[n];
        }
      }
    },
    "mma.sync"};

}  // namespace detail
#endif

// Loads 4 matrices of 8 rows of 16 bytes from shared memory: lane i gives the address of row i % 8 of matrix i / 8, a
// multiple of 16. fragment[m] are bytes 4q .. 4q + 3 of row g of matrix m: two 16-bit elements or one 32-bit element.
// kTransposed: 16-bit elements (2q, g) and (2q + 1, g). On the host each lane reads its row, as it does on a GPU: what
// looks at a lane's accesses sees this one.
template <bool kTransposed = false>
__device__ __forceinline__ void load_matrices(const void* row, std::uint32_t (&fragment)[4]) {
#if defined(__CUDACC__)
  const auto at = static_cast<unsigned>(__cvta_generic_to_shared(row));
  if constexpr (kTransposed) {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.trans.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(at)
                 : "memory");
  } else {
    asm volatile("ldmatrix.sync.aligned.m8n8.x4.shared.b16 {%0,%1,%2,%3}, [%4];"
                 : "=r"(fragment[0]), "=r"(fragment[1]), "=r"(fragment[2]), "=r"(fragment[3])
                 : "r"(at)
                 : "memory");
  }
#else
  detail::LoadArgument argument{{}, fragment};
  const float4 bytes = load4(static_cast<const float*>(row));
  std::memcpy(argument.row, &bytes, sizeof bytes);
  detail::hop(
      detail::arrive_at_collective(detail::kLoadMatrices<kTransposed>, 0xffffffffu, &argument, {__FILE__, __LINE__}));
#endif
}

// d[i][j] (16x8) += a[i] (16x8) * b[j] (8x8) by m16n8k8, for all i and j; factors TF32. One meeting of the host's lanes
// serves them all.
template <int kDown, int kAcross>
__device__ __forceinline__ void mma_tf32(float (&d)[kDown][kAcross][4], const std::uint32_t (&a)[kDown][4],
                                         const std::uint32_t (&b)[kAcross][2]) {
#if defined(__CUDACC__)
  SIMT_UNROLL
  for (int i = 0; i < kDown; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < kAcross; ++j) {
      float(&s)[4] = d[i][j];
      asm volatile(
          "mma.sync.aligned.m16n8k8.row.col.f32.tf32.tf32.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
          : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
    }
  }
#else
  detail::ProductArgument<kDown, kAcross> argument{d, a, b};
  detail::hop(detail::arrive_at_collective(detail::kMultiplyTile<detail::Tf32, kDown, kAcross>, 0xffffffffu, &argument,
                                           {__FILE__, __LINE__}));
#endif
}

// The same by m16n8k16, factors pairs of BF16: d[i][j] (16x8) += a[i] (16x16) * b[j] (16x8).
template <int kDown, int kAcross>
__device__ __forceinline__ void mma_bf16(float (&d)[kDown][kAcross][4], const std::uint32_t (&a)[kDown][4],
                                         const std::uint32_t (&b)[kAcross][2]) {
#if defined(__CUDACC__)
  SIMT_UNROLL
  for (int i = 0; i < kDown; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < kAcross; ++j) {
      float(&s)[4] = d[i][j];
      asm volatile(
          "mma.sync.aligned.m16n8k16.row.col.f32.bf16.bf16.f32 {%0,%1,%2,%3}, {%4,%5,%6,%7}, {%8,%9}, {%0,%1,%2,%3};"
          : "+f"(s[0]), "+f"(s[1]), "+f"(s[2]), "+f"(s[3])
          : "r"(a[i][0]), "r"(a[i][1]), "r"(a[i][2]), "r"(a[i][3]), "r"(b[j][0]), "r"(b[j][1]));
    }
  }
#else
  detail::ProductArgument<kDown, kAcross> argument{d, a, b};
  detail::hop(detail::arrive_at_collective(detail::kMultiplyTile<detail::Bf16, kDown, kAcross>, 0xffffffffu, &argument,
                                           {__FILE__, __LINE__}));
#endif
}

}  // namespace gemel::GEMEL_DEVICE
