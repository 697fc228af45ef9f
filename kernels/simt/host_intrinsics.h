// SPDX-License-Identifier: MIT
//
// CUDA's device functions on the host.  Functions that make a thread wait take the place of their call as defaulted
// arguments, for messages, and are always inlined (kernels/simt/context.h says why).
#pragma once

#include <algorithm>
#include <bit>
#include <cmath>
#include <cstdint>
#include <type_traits>

#include <math.h>

#include "kernels/simt/executor.h"
#include "kernels/simt/host_types.h"

#define SIMT_SITE const char *site_file = __builtin_FILE(), int site_line = __builtin_LINE()

namespace gemel::GEMEL_EXECUTOR {

// ---- barriers ----

SIMT_INLINE void __syncthreads(SIMT_SITE) {
  detail::hop(detail::arrive_at_barrier(detail::BarrierKind::plain, false, {site_file, site_line}));
}
// The number of threads for which `predicate` is not 0; whether it is so for all; for any.
SIMT_INLINE int __syncthreads_count(int predicate, SIMT_SITE) {
  detail::hop(detail::arrive_at_barrier(detail::BarrierKind::count, predicate != 0, {site_file, site_line}));
  return detail::barrier_held;
}
SIMT_INLINE int __syncthreads_and(int predicate, SIMT_SITE) {
  detail::hop(detail::arrive_at_barrier(detail::BarrierKind::all, predicate != 0, {site_file, site_line}));
  return detail::barrier_held == detail::barrier_threads;
}
SIMT_INLINE int __syncthreads_or(int predicate, SIMT_SITE) {
  detail::hop(detail::arrive_at_barrier(detail::BarrierKind::any, predicate != 0, {site_file, site_line}));
  return detail::barrier_held != 0;
}

// ---- warp functions ----

namespace detail {

inline constexpr Collective kSyncWarp{[](void* const*, unsigned) {}, "__syncwarp"};

template <class T>
struct ShuffleArgument {
  T value, result;
  int source;  // lane; the caller's own value is returned where that lane takes no part
};

template <class T>
inline constexpr Collective kShuffle{
    [](void* const* arguments, unsigned lanes) {
      const auto at = [&](int i) { return static_cast<ShuffleArgument<T>*>(arguments[i]); };
      for_each_lane(lanes, [&](int i) {
        ShuffleArgument<T>& mine = *at(i);
        mine.result = (lanes >> mine.source & 1) != 0 ? at(mine.source)->value : mine.value;
      });
    },
    "__shfl_sync"};

template <class T>
SIMT_INLINE T shuffle(unsigned mask, T value, int source, Site site) {
  static_assert(std::is_arithmetic_v<T> && (sizeof(T) == 4 || sizeof(T) == 8), "shuffles move 4 or 8 bytes");
  ShuffleArgument<T> argument{value, value, source};
  hop(arrive_at_collective(kShuffle<T>, mask, &argument, site));
  return argument.result;
}

// The last lane of this lane's group of `width`.
SIMT_INLINE int last_of_group(int width) { return lane | (width - 1); }
SIMT_INLINE int first_of_group(int width) { return lane & ~(width - 1); }

struct BallotArgument {
  unsigned result;
  bool predicate;
};

inline constexpr Collective kBallot{
    [](void* const* arguments, unsigned lanes) {
      const auto at = [&](int i) { return static_cast<BallotArgument*>(arguments[i]); };
      unsigned result = 0;
      for_each_lane(lanes, [&](int i) { result |= static_cast<unsigned>(at(i)->predicate) << i; });
      for_each_lane(lanes, [&](int i) { at(i)->result = result; });
    },
    "__ballot_sync"};

SIMT_INLINE unsigned ballot(unsigned mask, bool predicate, Site site) {
  BallotArgument argument{0, predicate};
  hop(arrive_at_collective(kBallot, mask, &argument, site));
  return argument.result;
}

}  // namespace detail

SIMT_INLINE void __syncwarp(unsigned mask = 0xffffffffu, SIMT_SITE) {
  detail::hop(detail::arrive_at_collective(detail::kSyncWarp, mask, nullptr, {site_file, site_line}));
}

// `value` of another lane, within groups of `width` lanes (a power of two).  A lane whose source would lie outside
// its group gets its own value.
template <class T>
SIMT_INLINE T __shfl_sync(unsigned mask, T value, int source, int width = 32, SIMT_SITE) {
  const int from = detail::first_of_group(width) | (source & (width - 1));
  return detail::shuffle(mask, value, from, {site_file, site_line});
}
template <class T>
SIMT_INLINE T __shfl_up_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  const int from = detail::lane - static_cast<int>(delta);
  return detail::shuffle(mask, value, from < detail::first_of_group(width) ? detail::lane : from,
                         {site_file, site_line});
}
template <class T>
SIMT_INLINE T __shfl_down_sync(unsigned mask, T value, unsigned delta, int width = 32, SIMT_SITE) {
  const int from = detail::lane + static_cast<int>(delta);
  return detail::shuffle(mask, value, from > detail::last_of_group(width) ? detail::lane : from,
                         {site_file, site_line});
}
template <class T>
SIMT_INLINE T __shfl_xor_sync(unsigned mask, T value, int lane_mask, int width = 32, SIMT_SITE) {
  const int from = detail::lane ^ lane_mask;
  return detail::shuffle(mask, value, from > detail::last_of_group(width) ? detail::lane : from,
                         {site_file, site_line});
}

SIMT_INLINE unsigned __ballot_sync(unsigned mask, int predicate, SIMT_SITE) {
  return detail::ballot(mask, predicate != 0, {site_file, site_line});
}
SIMT_INLINE int __any_sync(unsigned mask, int predicate, SIMT_SITE) {
  return detail::ballot(mask, predicate != 0, {site_file, site_line}) != 0;
}
SIMT_INLINE int __all_sync(unsigned mask, int predicate, SIMT_SITE) {
  return detail::ballot(mask, predicate == 0, {site_file, site_line}) == 0;
}

// ---- atomics: relaxed, as CUDA's; each returns the old value ----

namespace detail {

template <class T, class Change>
SIMT_INLINE T atomic_change(T* address, Change change) {
  T old;
  __atomic_load(address, &old, __ATOMIC_RELAXED);
  for (T next = change(old); !__atomic_compare_exchange(address, &old, &next, true, __ATOMIC_RELAXED, __ATOMIC_RELAXED);
       next = change(old)) {
  }
  return old;
}

}  // namespace detail

SIMT_INLINE int atomicAdd(int* p, int v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
SIMT_INLINE unsigned atomicAdd(unsigned* p, unsigned v) { return __atomic_fetch_add(p, v, __ATOMIC_RELAXED); }
SIMT_INLINE unsigned long long atomicAdd(unsigned long long* p, unsigned long long v) {
  return __atomic_fetch_add(p, v, __ATOMIC_RELAXED);
}
SIMT_INLINE float atomicAdd(float* p, float v) {
  return detail::atomic_change(p, [v](float old) { return old + v; });
}
SIMT_INLINE double atomicAdd(double* p, double v) {
  return detail::atomic_change(p, [v](double old) { return old + v; });
}

#define SIMT_INTEGER_ATOMICS(T)                                                               \
  SIMT_INLINE T atomicMax(T* p, T v) {                                                        \
    return detail::atomic_change(p, [v](T old) { return old < v ? v : old; });                \
  }                                                                                           \
  SIMT_INLINE T atomicMin(T* p, T v) {                                                        \
    return detail::atomic_change(p, [v](T old) { return v < old ? v : old; });                \
  }                                                                                           \
  SIMT_INLINE T atomicExch(T* p, T v) { return __atomic_exchange_n(p, v, __ATOMIC_RELAXED); } \
  SIMT_INLINE T atomicCAS(T* p, T expected, T v) {                                            \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_RELAXED, __ATOMIC_RELAXED);  \
    return expected;                                                                          \
  }
SIMT_INTEGER_ATOMICS(int)
SIMT_INTEGER_ATOMICS(unsigned)
SIMT_INTEGER_ATOMICS(unsigned long long)
#undef SIMT_INTEGER_ATOMICS

inline float atomicExch(float* p, float v) {
  return detail::atomic_change(p, [v](float) { return v; });
}

#if defined(GEMEL_SIMT_TSAN) && !defined(__clang__)
#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wtsan"  // the sanitizer does not see fences, and says so
#endif
inline void __threadfence() { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
#if defined(GEMEL_SIMT_TSAN) && !defined(__clang__)
#pragma GCC diagnostic pop
#endif
inline void __threadfence_block() { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

// ---- memory ----

template <class T>
SIMT_INLINE T __ldg(const T* p) {
  return *p;
}

namespace detail {
// One vector instruction, and one access to a checker, whatever the compiler thinks of structs.
typedef float Float2 __attribute__((vector_size(8), may_alias));
typedef float Float4 __attribute__((vector_size(16), may_alias));
}  // namespace detail

// One 8-byte access; `p` is 8-byte aligned.
SIMT_INLINE float2 load2(const float* p) {
  return __builtin_bit_cast(float2, *reinterpret_cast<const detail::Float2*>(p));
}
// One 16-byte access; `p` is 16-byte aligned.
SIMT_INLINE float4 load4(const float* p) {
  return __builtin_bit_cast(float4, *reinterpret_cast<const detail::Float4*>(p));
}
SIMT_INLINE void store2(float* p, float2 v) {
  *reinterpret_cast<detail::Float2*>(p) = __builtin_bit_cast(detail::Float2, v);
}
SIMT_INLINE void store4(float* p, float4 v) {
  *reinterpret_cast<detail::Float4*>(p) = __builtin_bit_cast(detail::Float4, v);
}

// ---- integers and bits ----

inline int __popc(unsigned x) { return std::popcount(x); }
inline int __popcll(unsigned long long x) { return std::popcount(x); }
inline int __ffs(int x) { return __builtin_ffs(x); }
inline int __clz(int x) { return std::countl_zero(static_cast<unsigned>(x)); }
inline unsigned __umulhi(unsigned a, unsigned b) {
  return static_cast<unsigned>((static_cast<std::uint64_t>(a) * b) >> 32);
}

inline float __int_as_float(int x) { return std::bit_cast<float>(x); }
inline int __float_as_int(float x) { return std::bit_cast<int>(x); }
inline float __uint_as_float(unsigned x) { return std::bit_cast<float>(x); }
inline unsigned __float_as_uint(float x) { return std::bit_cast<unsigned>(x); }
inline double __longlong_as_double(long long x) { return std::bit_cast<double>(x); }
inline long long __double_as_longlong(double x) { return std::bit_cast<long long>(x); }

// ---- arithmetic ----

using std::abs;
using std::isfinite;
using std::isinf;
using std::isnan;

// As CUDA's: floating-point min and max return the operand that is a number; mixed operands take the wider type.
SIMT_INLINE int min(int a, int b) { return b < a ? b : a; }
SIMT_INLINE int max(int a, int b) { return a < b ? b : a; }
SIMT_INLINE unsigned min(unsigned a, unsigned b) { return b < a ? b : a; }
SIMT_INLINE unsigned max(unsigned a, unsigned b) { return a < b ? b : a; }
SIMT_INLINE unsigned min(int a, unsigned b) { return min(static_cast<unsigned>(a), b); }
SIMT_INLINE unsigned max(int a, unsigned b) { return max(static_cast<unsigned>(a), b); }
SIMT_INLINE unsigned min(unsigned a, int b) { return min(a, static_cast<unsigned>(b)); }
SIMT_INLINE unsigned max(unsigned a, int b) { return max(a, static_cast<unsigned>(b)); }
SIMT_INLINE long min(long a, long b) { return b < a ? b : a; }
SIMT_INLINE long max(long a, long b) { return a < b ? b : a; }
SIMT_INLINE unsigned long min(unsigned long a, unsigned long b) { return b < a ? b : a; }
SIMT_INLINE unsigned long max(unsigned long a, unsigned long b) { return a < b ? b : a; }
SIMT_INLINE long long min(long long a, long long b) { return b < a ? b : a; }
SIMT_INLINE long long max(long long a, long long b) { return a < b ? b : a; }
SIMT_INLINE unsigned long long min(unsigned long long a, unsigned long long b) { return b < a ? b : a; }
SIMT_INLINE unsigned long long max(unsigned long long a, unsigned long long b) { return a < b ? b : a; }
SIMT_INLINE float min(float a, float b) { return b < a || a != a ? b : a; }
SIMT_INLINE float max(float a, float b) { return a < b || a != a ? b : a; }
SIMT_INLINE double min(double a, double b) { return b < a || a != a ? b : a; }
SIMT_INLINE double max(double a, double b) { return a < b || a != a ? b : a; }
SIMT_INLINE double min(float a, double b) { return min(static_cast<double>(a), b); }
SIMT_INLINE double max(float a, double b) { return max(static_cast<double>(a), b); }
SIMT_INLINE double min(double a, float b) { return min(a, static_cast<double>(b)); }
SIMT_INLINE double max(double a, float b) { return max(a, static_cast<double>(b)); }
// The C library's are calls that no loop can be vectorised over.
SIMT_INLINE float fminf(float a, float b) { return min(a, b); }
SIMT_INLINE float fmaxf(float a, float b) { return max(a, b); }

inline float rsqrtf(float x) { return 1.0f / sqrtf(x); }
inline double rsqrt(double x) { return 1.0 / ::sqrt(x); }
inline float __saturatef(float x) { return min(max(x, 0.0f), 1.0f); }
inline float __fdividef(float a, float b) { return a / b; }
inline float __fmaf_rn(float a, float b, float c) { return fmaf(a, b, c); }
inline float __expf(float x) { return expf(x); }
inline float __logf(float x) { return logf(x); }
inline float __powf(float x, float y) { return powf(x, y); }
inline float __sinf(float x) { return sinf(x); }
inline float __cosf(float x) { return cosf(x); }

}  // namespace gemel::GEMEL_EXECUTOR
