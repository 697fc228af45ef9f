// SPDX-License-Identifier: MIT
//
// Vectors of floats, written in the compilers' vector extensions (vector_size); no intrinsics. One text serves SSE2,
// AVX2, AVX-512 and NEON; the flags of the build decide the width of the registers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/cpu/isa.h"

#define GEMEL_INLINE [[gnu::always_inline]] inline

#if defined(__clang__)
#define GEMEL_UNROLL _Pragma("clang loop unroll(full)")
#else
#define GEMEL_UNROLL _Pragma("GCC unroll 16")
#endif

// Keeps a loaded vector in a register. Without it g++ 12 folds the load into every multiply-add that uses it, and so
// reads it once per row of the tile instead of once.
#if defined(__x86_64__) && !defined(__clang__)
#define GEMEL_KEEP_IN_REGISTER(v) asm("" : "+v"(v))
#else
#define GEMEL_KEEP_IN_REGISTER(v)
#endif

// Keeps a pointer as one register, so that what is read near it has constant offsets. Without it g++ 12 computes the
// address of every vector of a row anew.
#if defined(__GNUC__)
#define GEMEL_KEEP_POINTER(p) asm("" : "+r"(p))
#else
#define GEMEL_KEEP_POINTER(p)
#endif

// Makes a vector one whose parts the compiler cannot take apart: what follows is done with whole vectors, and a product
// and a sum are fused as elsewhere, or not as elsewhere.
#if defined(__x86_64__)
#define GEMEL_OPAQUE(v) asm("" : "+v"(v))
#elif defined(__aarch64__)
#define GEMEL_OPAQUE(v) asm("" : "+w"(v))
#else
#define GEMEL_OPAQUE(v)
#endif

namespace gemel::GEMEL_DEVICE {
namespace {

// Widest vector of the build, and how many vector registers there are.
#if defined(__AVX512F__)
constexpr int kLanes = 16, kRegisters = 32;
#elif defined(__AVX2__)
constexpr int kLanes = 8, kRegisters = 16;
#elif defined(__aarch64__)
constexpr int kLanes = 4, kRegisters = 32;
#else
constexpr int kLanes = 4, kRegisters = 16;
#endif

#if defined(__FMA__) || defined(__aarch64__)
constexpr bool kFusedMultiplyAdd = true;
#else
constexpr bool kFusedMultiplyAdd = false;
#endif

template <int Lanes>
struct VectorTypes {
  typedef float Float __attribute__((vector_size(Lanes * 4)));
  typedef std::int32_t Int __attribute__((vector_size(Lanes * 4)));
  typedef std::uint8_t Byte __attribute__((vector_size(Lanes)));
  typedef std::uint8_t IntBytes __attribute__((vector_size(Lanes * 4)));
};
template <int Lanes>
using Vec = typename VectorTypes<Lanes>::Float;
template <int Lanes>
using IntVec = typename VectorTypes<Lanes>::Int;
template <int Lanes>
using ByteVec = typename VectorTypes<Lanes>::Byte;

constexpr int min(int a, int b) { return a < b ? a : b; }
constexpr int max(int a, int b) { return a > b ? a : b; }
constexpr int divide_up(int a, int b) { return (a + b - 1) / b; }
constexpr int round_up(int a, int b) { return divide_up(a, b) * b; }

template <int Lanes = kLanes>
GEMEL_INLINE Vec<Lanes> load(const float* p) {
  Vec<Lanes> v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

template <int Lanes = kLanes>
GEMEL_INLINE void store(float* p, Vec<Lanes> v) {
  __builtin_memcpy(p, &v, sizeof v);
}

// x - 0 is x for every x, so this folds to a plain broadcast; x + 0 is not (-0).
template <int Lanes = kLanes>
GEMEL_INLINE Vec<Lanes> broadcast(float s) {
  return s - Vec<Lanes>{};
}

// The first `n` < Lanes floats; the other lanes are 0.
template <int Lanes = kLanes>
GEMEL_INLINE Vec<Lanes> load_part(const float* p, int n) {
  Vec<Lanes> v{};
  for (int i = 0; i < n; ++i) v[i] = p[i];
  return v;
}

// Stores the first `n` lanes. Unrolled on purpose: a loop becomes a call of memcpy, a call clobbers every vector
// register, and g++ then keeps the accumulators of a register tile in memory for the whole of its inner loop.
template <int Lanes = kLanes>
GEMEL_INLINE void store_part(float* p, Vec<Lanes> v, int n) {
  GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) {
    if (i < n) p[i] = v[i];
  }
}

// Stores the low byte of the first `n` <= Lanes integers.
template <int Lanes = kLanes>
GEMEL_INLINE void store_bytes(std::uint8_t* p, IntVec<Lanes> v, int n) {
#if defined(__clang__)
  const auto bytes = __builtin_convertvector(v, ByteVec<Lanes>);
#else
  // g++ 12 converts lane by lane, through 30 scalar instructions; it shuffles in four.
  using Bytes = typename VectorTypes<Lanes>::IntBytes;
  Bytes bytes, low{};
  __builtin_memcpy(&bytes, &v, sizeof bytes);
  GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) low[i] = static_cast<std::uint8_t>(4 * i);
  bytes = __builtin_shuffle(bytes, low);
#endif
  if (n == Lanes) {
    __builtin_memcpy(p, &bytes, Lanes);
  } else {
    GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) {
      if (i < n) p[i] = bytes[i];
    }
  }
}

// Sum of the lanes, in a fixed order.
template <int Lanes = kLanes>
GEMEL_INLINE float sum_lanes(Vec<Lanes> v) {
  float lanes[Lanes];
  __builtin_memcpy(lanes, &v, sizeof v);
  for (int half = Lanes / 2; half > 0; half /= 2) {
    for (int i = 0; i < half; ++i) lanes[i] += lanes[i + half];
  }
  return lanes[0];
}

GEMEL_INLINE float largest_lane(Vec<kLanes> v) {
  float most = v[0];
  GEMEL_UNROLL for (int i = 1; i < kLanes; ++i) most = v[i] > most ? v[i] : most;
  return most;
}

// |v|: the sign's bit cleared.
template <int Lanes = kLanes>
GEMEL_INLINE Vec<Lanes> magnitude(Vec<Lanes> v) {
  IntVec<Lanes> bits;
  __builtin_memcpy(&bits, &v, sizeof bits);
  bits &= 0x7fffffff;
  __builtin_memcpy(&v, &bits, sizeof v);
  return v;
}

GEMEL_INLINE float square_root(float x) { return __builtin_sqrtf(x); }

// One instruction, in the end: both compilers vectorise the loop.
template <int Lanes>
GEMEL_INLINE Vec<Lanes> square_roots(Vec<Lanes> v) {
  Vec<Lanes> roots{};
  GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) roots[i] = square_root(v[i]);
  return roots;
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
