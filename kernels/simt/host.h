// SPDX-License-Identifier: MIT
//
// What the portable spelling of kernels/simt/simt.h means under a C++ compiler: CUDA's keywords, built-in types and
// variables, shared memory, and the functions of the SIMT executor.  Everything lives in gemel::simt (or
// gemel::check, build.h), where kernel code finds it unqualified.
#pragma once

// The standard library comes before the keywords below, which are macros.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <tuple>
#include <type_traits>
#include <utility>

#include <math.h>

#include "kernels/queue.h"

// Hidden: a kernel another library could replace would not be inlined into the loops that run its threads.
#define __global__ __attribute__((visibility("hidden")))
#define __device__
#define __host__
#define __constant__ const
#define __grid_constant__
#define __forceinline__ inline __attribute__((always_inline))
#define __launch_bounds__(...)
#define __align__(n) alignas(n)

#if defined(__clang__)
#define SIMT_UNROLL _Pragma("unroll")
#else
#define SIMT_UNROLL _Pragma("GCC unroll 32")
#endif
#define SIMT_UNROLL_REGISTERS
#define SIMT_ONE_AT_A_TIME

#include "kernels/simt/executor.h"
#include "kernels/simt/host_types.h"

#include "kernels/simt/host_intrinsics.h"
#include "kernels/simt/host_launch.h"

// What a kernel must keep of a GPU's memory, said beside it and measured without one: kernels/simt/check/contract.h.
#if defined(GEMEL_SIMT_CHECK)
#include "kernels/simt/check/contract.h"
#define SIMT_CONTRACT(kernel, ...)                                                        \
  [[maybe_unused]] static const ::gemel::instrument::RegisterContract kernel##_contract { \
#kernel, { __VA_ARGS__ }                                                              \
  }
#else
#define SIMT_CONTRACT(kernel, ...) static_assert(true)
#endif

// Static shared memory: SIMT_SHARED(float, tile, [16][64]) declares `float (&tile)[16][64]` in the block's memory,
// 16-byte aligned.  As in CUDA, one declaration is one array, however often the function that holds it is called.
#define SIMT_SHARED(Type, name, ...)                                                                                  \
  using name##_simt_shared = Type __VA_ARGS__;                                                                        \
  [[gnu::tls_model(                                                                                                   \
      "initial-exec")]] static thread_local constinit ::gemel::GEMEL_EXECUTOR::detail::SharedSite<name##_simt_shared> \
      name##_simt_site{};                                                                                             \
  auto& name = name##_simt_site.get()
