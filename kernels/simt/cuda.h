// SPDX-License-Identifier: MIT
//
// What the portable spelling of kernels/simt/simt.h means under nvcc: CUDA itself, and one checked launch.
#pragma once

#include <cuda_runtime.h>

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/queue.h"
#include "kernels/simt/launch_error.h"

#define SIMT_CONTRACT(kernel, ...) static_assert(true)
#define SIMT_UNROLL _Pragma("unroll")
// Unrolling only so that an array indexed by the loop stays in registers: a GPU's matter; a CPU has its stack.
#define SIMT_UNROLL_REGISTERS _Pragma("unroll")
// Not unrolled, where several turns at once would not fit the registers.
#define SIMT_ONE_AT_A_TIME _Pragma("unroll 1")

// Static shared memory: SIMT_SHARED(float, tile, [16][64]) declares `float tile[16][64]`, 16-byte aligned.
#define SIMT_SHARED(Type, name, ...) __shared__ alignas(16) Type name __VA_ARGS__

namespace gemel::cuda {

struct LaunchConfig {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic shared memory
  Queue queue{};
};

// The block's dynamic shared memory as one struct, 128-byte aligned.
template <class T>
__device__ __forceinline__ T& shared_storage() {
  extern __shared__ __align__(128) unsigned char gemel_dynamic_shared[];
  static_assert(alignof(T) <= 128, "dynamic shared memory is aligned to 128 bytes");
  return *reinterpret_cast<T*>(gemel_dynamic_shared);
}

// One 8-byte access; `p` is 8-byte aligned.
__device__ __forceinline__ float2 load2(const float* p) { return *reinterpret_cast<const float2*>(p); }
// One 16-byte access; `p` is 16-byte aligned.
__device__ __forceinline__ float4 load4(const float* p) { return *reinterpret_cast<const float4*>(p); }
__device__ __forceinline__ void store2(float* p, float2 v) { *reinterpret_cast<float2*>(p) = v; }
__device__ __forceinline__ void store4(float* p, float4 v) { *reinterpret_cast<float4*>(p) = v; }

namespace detail {

template <auto Kernel>
constexpr std::string_view spelled() {
  return __PRETTY_FUNCTION__;
}

inline void check(cudaError_t error, std::string_view kernel, const char* when) {
  if (error == cudaSuccess) return;
  throw LaunchError(kernel_name(kernel) + " (" + when + "): " + cudaGetErrorString(error));
}

// GEMEL_SYNC=1 waits for every kernel, so that an error names the kernel that made it.
inline bool synchronous() {
  static const bool on = [] {
    const char* value = std::getenv("GEMEL_SYNC");
    return value != nullptr && std::string_view(value) != "0" && std::string_view(value) != "";
  }();
  return on;
}

}  // namespace detail

// Starts Kernel over `config` on its queue's stream.  Throws LaunchError naming the kernel.
template <auto Kernel, class... Args>
void launch(const LaunchConfig& config, Args&&... args) {
  constexpr std::string_view name = detail::spelled<Kernel>();
  const dim3 &g = config.grid, &b = config.block;
  if (!check_launch(name, {{g.x, g.y, g.z}, {b.x, b.y, b.z}, config.shared_bytes})) return;
  if (config.shared_bytes > kMaxStaticSharedBytes) {  // above 48 KB a kernel must be told once that it may
    detail::check(
        cudaFuncSetAttribute(reinterpret_cast<const void*>(Kernel), cudaFuncAttributeMaxDynamicSharedMemorySize,
                             static_cast<int>(config.shared_bytes)),
        name, "asking for shared memory");
  }
  cudaLaunchConfig_t native{};
  native.gridDim = config.grid;
  native.blockDim = config.block;
  native.dynamicSmemBytes = config.shared_bytes;
  native.stream = static_cast<cudaStream_t>(config.queue.stream);
  detail::check(cudaLaunchKernelEx(&native, Kernel, std::forward<Args>(args)...), name, "launch");
  if (config.queue.launches != nullptr) ++*config.queue.launches;
  if (detail::synchronous()) detail::check(cudaStreamSynchronize(native.stream), name, "run");
}

// For kernels without barriers and exchange between threads.  On a GPU the same as launch.
template <auto Kernel, class... Args>
void launch_flat(const LaunchConfig& config, Args&&... args) {
  launch<Kernel>(config, std::forward<Args>(args)...);
}

}  // namespace gemel::cuda
