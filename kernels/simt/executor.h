// SPDX-License-Identifier: MIT
//
// The SIMT executor as kernels and launches see it.  Each GPU thread of a block is a fiber, begun when the threads
// before it wait or have ended; the blocks of a launch are shared out over the ThreadPool, each running on one OS thread.
//
// A thread that has to wait calls one of the arrive functions, which returns on the same stack with the context
// that is to run next, and then switches to it, inlined in the kernel (kernels/simt/context.h).
#pragma once

#include <bit>
#include <cstddef>
#include <cstdint>
#include <string_view>
#include <type_traits>

#include "kernels/simt/build.h"
#include "kernels/simt/context.h"
#include "kernels/simt/host_types.h"
#include "kernels/simt/launch_error.h"

#if defined(__SANITIZE_ADDRESS__)
#define GEMEL_SIMT_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define GEMEL_SIMT_ASAN 1
#endif
#endif

#if defined(GEMEL_SIMT_CHECK)
// Compiled for the thread sanitizer, and run without it (kernels/simt/check/).
#elif defined(__SANITIZE_THREAD__)
#define GEMEL_SIMT_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define GEMEL_SIMT_TSAN 1
#endif
#endif

#if defined(GEMEL_SIMT_ASAN) || defined(GEMEL_SIMT_TSAN)
#define GEMEL_SIMT_SANITIZED 1
#endif

#define SIMT_INLINE inline __attribute__((always_inline))

namespace gemel::GEMEL_EXECUTOR {

// The order in which the threads of a block get their turns.  A correct kernel gives the same results in each.
struct ThreadOrder {
  enum class Kind : std::uint8_t { forward, reverse, shuffle };
  Kind kind = Kind::forward;
  std::uint64_t seed = 0;  // of shuffle: each block's order follows from it and the block's index alone
};

// For later launches.  Until called, GEMEL_SIMT_ORDER=forward|reverse|shuffle:SEED holds, read at the first launch.
void set_thread_order(ThreadOrder order);
ThreadOrder thread_order();

}  // namespace gemel::GEMEL_EXECUTOR

namespace gemel::GEMEL_EXECUTOR::detail {

// Where a kernel waits.
struct Site {
  const char* file;
  int line;
};

// Calls visit(lane) for every bit of `lanes`.
template <class Visit>
SIMT_INLINE void for_each_lane(unsigned lanes, Visit visit) {
  for (; lanes != 0; lanes &= lanes - 1) visit(std::countr_zero(lanes));
}

// What a warp does together: the last lane to arrive runs it for all, over each lane's argument.
struct Collective {
  void (*run)(void* const* arguments, unsigned lanes);
  const char* name;
};

// A thread's next step: leave `from` and go on at `to`, or just go on where `to` is null.
struct Hop {
  Context* from;
  Context* to;
};

enum class BarrierKind : int { plain, count, all, any };

Hop arrive_at_barrier(BarrierKind kind, bool predicate, Site site);
Hop arrive_at_collective(const Collective& what, unsigned mask, void* argument, Site site);

// Of the last barrier: the number of threads whose predicate held, and of threads in the block.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit int barrier_held;
[[gnu::tls_model("initial-exec")]] extern thread_local constinit int barrier_threads;

void finish_switch();  // tells the address sanitizer which stack it is on

SIMT_INLINE void hop(Hop h) {
  if (h.to == nullptr) return;
  switch_context(h.from, h.to);
#if defined(GEMEL_SIMT_ASAN)
  finish_switch();
#endif
}

// The running thread's lane in its warp.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit int lane;

// The running block's shared memory, dynamic part first; and a number that no two blocks of an OS thread share.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit unsigned char* shared_memory;
[[gnu::tls_model("initial-exec")]] extern thread_local constinit std::uint64_t block_serial;

// `bytes` of the block's shared memory for the declaration `site`, poisoned when the block first asks.
void* static_shared(const void* site, std::size_t bytes, std::size_t alignment);

template <class T>
struct SharedSite {
  std::uint64_t serial = 0;
  T* address = nullptr;

  SIMT_INLINE T& get() {
    static_assert(sizeof(T) <= kMaxStaticSharedBytes, "static shared memory is at most 48 KB; use shared_storage");
    static_assert(std::is_trivially_default_constructible_v<std::remove_all_extents_t<T>>);
    if (serial != block_serial) {
      address = static_cast<T*>(static_shared(this, sizeof(T), alignof(T) > 16 ? alignof(T) : 16));
      serial = block_serial;
    }
    return *static_cast<T*>(__builtin_assume_aligned(address, 16));
  }
};

// A launch as the executor sees it: run_thread(closure) is one GPU thread.
struct Launch {
  std::string_view kernel;  // as the compiler spells it
  dim3 grid, block;
  std::size_t shared_bytes;
  void (*run_thread)(const void* closure);
  const void* closure;
};

// Runs every block.  Throws what the kernel threw, or LaunchError.
void run_grid(const Launch& launch);

// Runs the threads of blocks [begin, end) one after the other.
using RunBlocks = void (*)(const void* closure, std::uint64_t begin, std::uint64_t end);

// Shares [0, blocks) out over the pool in ranges, for a launch without fibers.  Throws LaunchError where there is
// shared memory, which needs them.
void run_flat(std::string_view kernel, std::size_t shared_bytes, std::uint64_t blocks, unsigned block_threads,
              RunBlocks run_blocks, const void* closure);

// An address the compiler knows nothing of but that it is in none of the program's variables.  (It is null.)
[[gnu::malloc]] char* unknown_memory();

}  // namespace gemel::GEMEL_EXECUTOR::detail
