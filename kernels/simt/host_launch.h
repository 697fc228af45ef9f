// SPDX-License-Identifier: MIT
//
// Launching a kernel on the host.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <tuple>
#include <type_traits>
#include <utility>

#include "kernels/queue.h"
#include "kernels/simt/check/parameters.h"
#include "kernels/simt/executor.h"

namespace gemel::GEMEL_EXECUTOR {

struct LaunchConfig {
  dim3 grid, block;
  std::size_t shared_bytes = 0;  // dynamic shared memory
  Queue queue{};
};

// The block's dynamic shared memory as one struct, 128-byte aligned.
template <class T>
SIMT_INLINE T& shared_storage() {
  static_assert(alignof(T) <= 128, "dynamic shared memory is aligned to 128 bytes");
  return *static_cast<T*>(__builtin_assume_aligned(detail::shared_memory, 128));
}

namespace detail {

template <auto Kernel>
constexpr std::string_view spelled() {
  return __PRETTY_FUNCTION__;
}

template <class... Parameters>
std::tuple<Parameters...> parameters_of(void (*)(Parameters...));

// A kernel and the values of its parameters.
template <auto Kernel>
struct Closure {
  using Parameters = decltype(parameters_of(Kernel));
  Parameters arguments;

  static void run_thread(const void* self) { std::apply(Kernel, static_cast<const Closure*>(self)->arguments); }
};

// `p` with another history: the compiler takes it for an address in the memory that `elsewhere` points to, so not
// in threadIdx and the like.
template <class T>
SIMT_INLINE T rebase([[maybe_unused]] char* elsewhere, T p) {
#if !defined(GEMEL_SIMT_SANITIZED)
  if constexpr (std::is_pointer_v<T> && !std::is_void_v<std::remove_pointer_t<T>>) {
    return reinterpret_cast<T>(elsewhere + reinterpret_cast<std::uintptr_t>(p));
  }
#endif
  return p;
}

// A launch without fibers: the threads of blocks [begin, end) one after the other, in a loop the compiler sees into.
//
// To vectorise it over threadIdx.x the compiler has to know two things, and is told:
//   - what a kernel writes is not threadIdx or blockIdx, or they would have to be stored and loaded in each turn (rebase);
//   - the usual `int i = blockIdx.x * blockDim.x + threadIdx.x` is the loop's own variable: then a guard `if (i < n)`
//     splits the loop in two at n.  (Masked, as vectorisers would else have it, the stores take 6 times as long.)
template <auto Kernel>
struct FlatLaunch {
  using Parameters = typename Closure<Kernel>::Parameters;
  Parameters arguments;
  dim3 grid, block;

  // Whether blockIdx.x * blockDim.x + threadIdx.x is always an int.
  static bool possible(const dim3& grid, const dim3& block) { return std::uint64_t{grid.x} * block.x <= 0x7fffffff; }

  [[gnu::flatten]] static void run_blocks(const void* self, std::uint64_t begin, std::uint64_t end) {
    static_cast<const FlatLaunch*>(self)->run(begin, end, std::make_index_sequence<std::tuple_size_v<Parameters>>{});
  }

 private:
  template <std::size_t... I>
  SIMT_INLINE void run(std::uint64_t begin, std::uint64_t end, std::index_sequence<I...>) const {
    [[maybe_unused]] char* elsewhere = unknown_memory();
    asm volatile("" : : "r"(elsewhere) : "memory");  // others know it too: what is written there is not lost
    loop(grid.x, grid.y, grid.z, block.x, block.y, block.z, begin, end, rebase(elsewhere, std::get<I>(arguments))...);
  }

  template <class... P>
  SIMT_INLINE static void loop(const unsigned grid_x, const unsigned grid_y, const unsigned grid_z,
                               const unsigned block_x, const unsigned block_y, const unsigned block_z,
                               std::uint64_t begin, std::uint64_t end, P... arguments) {
    blockDim = {block_x, block_y, block_z};
    gridDim = {grid_x, grid_y, grid_z};
    for (std::uint64_t b = begin; b < end; ++b) {
      const std::uint64_t row = b / grid_x;
      const auto bx = static_cast<unsigned>(b % grid_x);
      blockIdx = {bx, static_cast<unsigned>(row % grid_y), static_cast<unsigned>(row / grid_y)};
      const unsigned first = bx * block_x;
      const int last = static_cast<int>(first + block_x);
      for (unsigned z = 0; z < block_z; ++z) {
        for (unsigned y = 0; y < block_y; ++y) {
          threadIdx = {0, y, z};
          for (int i = static_cast<int>(first); i < last; ++i) {
            threadIdx.x = static_cast<unsigned>(i) - first;
            Kernel(arguments...);
          }
        }
      }
    }
  }
};

}  // namespace detail

// Runs Kernel over `config` and returns when all its threads have ended.  Throws LaunchError naming the kernel where
// the launch is impossible, BarrierError where its threads do not all meet, and whatever the kernel throws.
template <auto Kernel, class... Args>
void launch(const LaunchConfig& config, Args&&... args) {
  constexpr std::string_view name = detail::spelled<Kernel>();
  const dim3 &g = config.grid, &b = config.block;
  if (!check_launch(name, {{g.x, g.y, g.z}, {b.x, b.y, b.z}, config.shared_bytes})) return;
  const detail::Closure<Kernel> closure{{std::forward<Args>(args)...}};
  if constexpr (kChecked) instrument::parameters(&closure, sizeof closure);
  detail::run_grid({name, g, b, config.shared_bytes, &detail::Closure<Kernel>::run_thread, &closure});
  if (config.queue.launches != nullptr) ++*config.queue.launches;
}

// The same for a kernel without barriers, warp functions and shared memory: a plain loop, which the compiler can
// vectorise as it knows the kernel.
template <auto Kernel, class... Args>
void launch_flat(const LaunchConfig& config, Args&&... args) {
  constexpr std::string_view name = detail::spelled<Kernel>();
  const dim3 &g = config.grid, &b = config.block;
  if (!check_launch(name, {{g.x, g.y, g.z}, {b.x, b.y, b.z}, config.shared_bytes})) return;
  if constexpr (kChecked) {  // the threads one by one: a barrier-free kernel is a loop over them as it is
    return launch<Kernel>(config, std::forward<Args>(args)...);
  } else {
    using Flat = detail::FlatLaunch<Kernel>;
    if (!Flat::possible(g, b)) return launch<Kernel>(config, std::forward<Args>(args)...);
    const Flat flat{{std::forward<Args>(args)...}, g, b};
    detail::run_flat(name, config.shared_bytes, std::uint64_t{g.x} * g.y * g.z, b.x * b.y * b.z, &Flat::run_blocks,
                     &flat);
    if (config.queue.launches != nullptr) ++*config.queue.launches;
  }
}

}  // namespace gemel::GEMEL_EXECUTOR
