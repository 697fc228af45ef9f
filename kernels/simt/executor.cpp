// SPDX-License-Identifier: MIT
//
// The scheduler.  A thread runs until it waits or ends; then the next one that can run gets its turn: the lanes of
// the warp after it, then the warps after that.  A thread that ends without having waited hands its stack to the
// next thread that has not begun, so a kernel without barriers is a plain loop on one stack.
//
// The functions that choose run on the stack of the thread that waits; the switch itself is inlined in the kernel.
// Exceptions end in the fiber that threw them (fiber_main) and go on from run_block, on the launching stack.
//
// Over 400 lines: what the arrive functions and fiber_main share is inlined in them, and internal to this file.
#include "kernels/simt/executor.h"

#include <algorithm>
#include <bit>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <utility>

#include "kernels/simt/check/events.h"
#include "kernels/simt/thread_pool.h"
#include "kernels/simt/worker.h"

#if defined(GEMEL_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#include <sanitizer/common_interface_defs.h>
#endif
#if defined(GEMEL_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

#if defined(GEMEL_SIMT_TSAN)
#define GEMEL_SIMT_NO_TSAN __attribute__((no_sanitize("thread")))
#else
#define GEMEL_SIMT_NO_TSAN
#endif

namespace gemel::GEMEL_EXECUTOR {
namespace detail {

[[gnu::tls_model("initial-exec")]] thread_local constinit int barrier_held = 0;
[[gnu::tls_model("initial-exec")]] thread_local constinit int barrier_threads = 0;
[[gnu::tls_model("initial-exec")]] thread_local constinit int lane = 0;
[[gnu::tls_model("initial-exec")]] thread_local constinit unsigned char* shared_memory = nullptr;
// Outside a block: no declaration's number.
[[gnu::tls_model("initial-exec")]] thread_local constinit std::uint64_t block_serial = ~std::uint64_t{0};

namespace {

// Instead of the number of a thread.
constexpr int kFinished = -1;  // to: the block has ended or failed
constexpr int kOutside = -2;   // from: the launching stack
constexpr int kGivenUp = -3;   // from: a stack whose last thread has ended

// Set while a block runs on this OS thread; while launch_flat runs on it.
[[gnu::tls_model("initial-exec")]] thread_local constinit Worker* running = nullptr;
thread_local constinit std::string_view flat_kernel = {};

[[noreturn]] void outside_block(const char* what, Site site) {
  const std::string where =
      site.file == nullptr ? "" : " at " + std::string(site.file) + ":" + std::to_string(site.line);
  throw LaunchError((flat_kernel.empty() ? "host code" : kernel_name(flat_kernel)) + ": " + what + where +
                    " needs a block of threads: use launch, not launch_flat");
}

inline unsigned bit_of(int thread) { return 1u << (thread & 31); }

inline void set_current(Worker& w, int thread) {
  w.current = thread;
  threadIdx = w.coordinates[thread];
  lane = thread & 31;
  if constexpr (kChecked) instrument::current_thread = thread;
}

#if defined(GEMEL_SIMT_ASAN)
void announce_switch(Worker& w, int from, int to) {
  void** fake = from == kOutside ? &w.outside_fake_stack : from == kGivenUp ? nullptr : &w.fake_stack[from];
  if (to == kFinished) {
    __sanitizer_start_switch_fiber(fake, w.outside_bottom, w.outside_size);
  } else {
    __sanitizer_start_switch_fiber(fake, w.stacks.bottom(w.fiber_of[to]), w.stacks.usable_bytes());
  }
}
#else
void announce_switch(Worker&, int, int) {}
#endif

void fiber_main();

// Makes `thread` the running one and returns where it goes on; gives it a stack if it has not begun.
inline Context* enter(Worker& w, int from, int thread) {
  if (thread == kFinished) {
    announce_switch(w, from, thread);
    return &w.outside;
  }
  set_current(w, thread);
  if (w.warps[thread >> 5].fresh & bit_of(thread)) [[unlikely]] {
    const int fiber = w.free_count > 0 ? w.free_fibers[--w.free_count] : w.fibers++;
    w.fiber_of[thread] = fiber;
    make_context(w.contexts[thread], w.stacks.bottom(fiber), w.stacks.top(fiber), &fiber_main);
  }
  announce_switch(w, from, thread);
  return &w.contexts[thread];
}

Hop fail(Worker& w, std::exception_ptr error) {
  w.error = std::move(error);
  return {&w.contexts[w.current], enter(w, w.current, kFinished)};
}

void release_barrier(Worker& w) {
  if constexpr (kChecked) instrument::barrier_released();
  barrier_held = w.held;
  w.held = 0;
  w.at_barrier = 0;
  for (int i = 0; i < w.warp_count; ++i) {
    w.warps[i].ready = w.warps[i].at_barrier;
    w.warps[i].at_barrier = 0;
  }
}

// The first thread that can run, from `thread` on; kFinished where there is none.
inline int ready_from(const Worker& w, int thread) {
  if (w.in_order) [[likely]] {
    const int warp = thread >> 5, lane = thread & 31;
    if (const unsigned ready = w.warps[warp].ready) {
      return warp << 5 | ((std::countr_zero(std::rotr(ready, lane)) + lane) & 31);
    }
    for (int i = 1, next = warp; i < w.warp_count; ++i) {
      if (++next == w.warp_count) next = 0;
      if (w.warps[next].ready) return next << 5 | std::countr_zero(w.warps[next].ready);
    }
  } else {
    for (int i = 0, turn = w.turn_of[thread]; i < w.threads; ++i) {
      const int candidate = w.order[turn];
      if (w.warps[candidate >> 5].ready & bit_of(candidate)) return candidate;
      if (++turn == w.threads) turn = 0;
    }
  }
  return kFinished;
}

inline int first_turn(const Worker& w) { return w.in_order ? 0 : w.order[0]; }

// Who runs when `thread` no longer can.
inline int next_after(Worker& w, int thread) {
  for (;;) {
    const int next = ready_from(w, thread);
    if (next != kFinished || w.live == 0) return next;
    if (w.at_barrier != w.threads) [[unlikely]] {
      w.error = diagnose(w);
      return kFinished;
    }
    release_barrier(w);
    thread = first_turn(w);
  }
}

// The usual case at a barrier: the lane after this one has begun and can run. arrive_at_barrier does it in few registers
// and leaves all else to a function of its own: what it pushes lies on the stack of every thread, and those of a few
// hundred threads do not fit the first-level cache as it is.

inline bool neighbour_goes_on(const Worker& w) {
  const Warp& warp = w.warps[w.current >> 5];
  return w.in_order && (warp.ready & ~warp.fresh & bit_of(w.current) << 1) != 0;
}

constexpr int kStacksAhead = 6;  // time enough for a line from the second or third level

inline Hop to_neighbour(Worker& w, int me) {
  prefetch_stack(w.contexts[(me + kStacksAhead) & (kMaxThreadsPerBlock - 1)]);
  set_current(w, me + 1);
  announce_switch(w, me, me + 1);
  return {&w.contexts[me], &w.contexts[me + 1]};
}

}  // namespace

bool same_site(Site a, Site b) { return a.line == b.line && (a.file == b.file || std::string_view(a.file) == b.file); }

namespace {

inline void wait_at_barrier(Worker& w, Warp& warp, int me, bool predicate) {
  ++w.at_barrier;
  w.held += predicate;
  warp.at_barrier |= bit_of(me);
  warp.ready &= ~bit_of(me);
}

[[gnu::noinline]] Hop arrive_and_choose(BarrierKind, bool predicate, Site site) {
  if (running == nullptr) [[unlikely]]
    outside_block("a barrier", site);
  Worker& w = *running;
  const int me = w.current;
  if (w.at_barrier == 0) {
    w.barrier = site;
  } else if (!same_site(site, w.barrier)) [[unlikely]] {
    return fail(w, diagnose_divergent_barrier(w, site));
  }
  wait_at_barrier(w, w.warps[me >> 5], me, predicate);
  const int next = next_after(w, me);
  return {&w.contexts[me], enter(w, me, next)};
}

}  // namespace

Hop arrive_at_barrier(BarrierKind kind, bool predicate, Site site) {
  if (running != nullptr) [[likely]] {
    Worker& w = *running;
    if (w.at_barrier != 0 && site.file == w.barrier.file && site.line == w.barrier.line && neighbour_goes_on(w))
        [[likely]] {
      const int me = w.current;
      wait_at_barrier(w, w.warps[me >> 5], me, predicate);
      return to_neighbour(w, me);
    }
  }
  return arrive_and_choose(kind, predicate, site);
}

Hop arrive_at_collective(const Collective& what, unsigned mask, void* argument, Site site) {
  if (running == nullptr) [[unlikely]]
    outside_block(what.name, site);
  Worker& w = *running;
  const int me = w.current, lane = me & 31;
  Warp& warp = w.warps[me >> 5];
  const unsigned lanes = mask & warp.exists;  // a mask may name lanes beyond the end of the block, as on a GPU
  if (!(lanes & bit_of(me)) || (lanes & warp.ended)) [[unlikely]] {
    return fail(w, diagnose_mask(w, what, mask, site));
  }
  warp.argument[lane] = argument;
  warp.collective[lane] = &what;
  warp.mask[lane] = lanes;
  warp.site[lane] = site;
  warp.in_collective |= bit_of(me);
  if ((warp.in_collective & lanes) == lanes) {
    // All are here.  Lanes that came for something else may still meet their own group first.
    bool agree = true;
    for_each_lane(lanes, [&](int i) { agree &= warp.mask[i] == lanes && warp.collective[i] == &what; });
    if (agree) [[likely]] {
      if constexpr (kChecked) instrument::begin_lanes_meet();
      what.run(warp.argument, lanes);
      if constexpr (kChecked) instrument::lanes_met(me >> 5, lanes, lanes == (warp.exists & ~warp.ended), what.name);
      warp.in_collective &= ~lanes;
      warp.ready |= lanes;
      return {nullptr, nullptr};  // the last one goes on; the others follow in their turn
    }
  }
  warp.ready &= ~bit_of(me);
  const int next = next_after(w, me);
  return {&w.contexts[me], enter(w, me, next)};
}

void* static_shared(const void* site, std::size_t bytes, std::size_t alignment) {
  if (running == nullptr) outside_block("shared memory", {nullptr, 0});
  return running->shared.get(site, bytes, alignment, running->launch->kernel);
}

void finish_switch() {
#if defined(GEMEL_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(running->fake_stack[running->current], nullptr, nullptr);
#endif
}

namespace {

// A fiber: runs its thread, then others that have not begun, until one that waits is next.  The thread sanitizer must not
// count it among the callers: it never returns.
GEMEL_SIMT_NO_TSAN void fiber_main() {
  Worker& w = *running;
#if defined(GEMEL_SIMT_ASAN)
  const void* bottom = nullptr;
  std::size_t size = 0;
  __sanitizer_finish_switch_fiber(nullptr, &bottom, &size);
  if (w.outside_bottom == nullptr) {
    w.outside_bottom = bottom;
    w.outside_size = size;
  }
#endif
  const int fiber = w.fiber_of[w.current];
  int next;
  for (;;) {
    const int me = w.current;
    Warp& warp = w.warps[me >> 5];
    warp.fresh &= ~bit_of(me);
    try {
      w.launch->run_thread(w.launch->closure);
    } catch (...) {
      w.error = std::current_exception();
    }
    warp.ended |= bit_of(me);
    warp.ready &= ~bit_of(me);
    --w.live;
    const bool neighbour_is_next = w.in_order && (me & 31) != 31 && (warp.fresh & bit_of(me + 1));  // the usual case
    next = w.error ? kFinished : neighbour_is_next ? me + 1 : next_after(w, me);
    if (next == kFinished || !(w.warps[next >> 5].fresh & bit_of(next))) break;
    w.fiber_of[next] = fiber;
    set_current(w, next);
  }
  w.free_fibers[w.free_count++] = fiber;
  switch_context(&w.nowhere, enter(w, kGivenUp, next));
  __builtin_unreachable();
}

// ---- blocks ----

void begin_launch(Worker& w, const Launch& launch) {
  w.launch = &launch;
  blockDim = launch.block;
  gridDim = launch.grid;
  int thread = 0;
  for (unsigned z = 0; z < launch.block.z; ++z) {
    for (unsigned y = 0; y < launch.block.y; ++y) {
      for (unsigned x = 0; x < launch.block.x; ++x) w.coordinates[thread++] = {x, y, z};
    }
  }
  w.threads = thread;
  w.warp_count = (thread + 31) / 32;
  barrier_threads = thread;
}

void begin_block(Worker& w, std::uint64_t block) {
  const dim3& grid = w.launch->grid;
  const std::uint64_t row = block / grid.x;
  blockIdx = {static_cast<unsigned>(block % grid.x), static_cast<unsigned>(row % grid.y),
              static_cast<unsigned>(row / grid.y)};
  for (int i = 0; i < w.warp_count; ++i) {
    Warp& warp = w.warps[i];
    const int lanes = std::min(32, w.threads - i * 32);
    warp.exists = warp.ready = warp.fresh = ~0u >> (32 - lanes);
    warp.at_barrier = warp.in_collective = warp.ended = 0;
  }
  w.live = w.threads;
  w.at_barrier = 0;
  w.held = 0;
  w.fibers = 0;
  w.free_count = 0;
  static thread_local constinit std::uint64_t blocks_run = 0;
  block_serial = ++blocks_run;
  shared_memory = w.shared.begin_block(w.launch->shared_bytes);
}

void run_block(Worker& w, std::uint64_t block, ThreadOrder order) {
  begin_block(w, block);
  if constexpr (kChecked) instrument::begin_block(block, {blockIdx.x, blockIdx.y, blockIdx.z});
  set_order(w, order, block);
  running = &w;
#if defined(GEMEL_SIMT_TSAN)
  w.outside_fiber = __tsan_get_current_fiber();
  __tsan_switch_to_fiber(w.device_fiber, 0);
#endif
#if defined(GEMEL_SIMT_ASAN)
  w.outside_bottom = nullptr;
#endif
  Context* first = enter(w, kOutside, first_turn(w));
  switch_context(&w.outside, first);
#if defined(GEMEL_SIMT_ASAN)
  __sanitizer_finish_switch_fiber(w.outside_fake_stack, nullptr, nullptr);
#endif
#if defined(GEMEL_SIMT_TSAN)
  __tsan_switch_to_fiber(w.outside_fiber, 0);
#endif
  if constexpr (kChecked) instrument::end_block();
  running = nullptr;
  shared_memory = nullptr;
  block_serial = ~std::uint64_t{0};
  if (!w.error) return;
    // The other fibers of the block are abandoned as they stand: kernels own nothing.
#if defined(GEMEL_SIMT_ASAN)
  for (int fiber = 0; fiber < w.fibers; ++fiber) {
    __asan_unpoison_memory_region(w.stacks.bottom(fiber), w.stacks.usable_bytes());
  }
#endif
#if defined(GEMEL_SIMT_TSAN)
  __tsan_destroy_fiber(w.device_fiber);
  w.device_fiber = __tsan_create_fiber(0);
#endif
  std::rethrow_exception(std::exchange(w.error, nullptr));
}

Worker& own_worker() {
  static thread_local const auto worker = std::make_unique<Worker>();
  return *worker;
}

// Ranges for the pool, none shorter than `shortest` blocks: enough for its threads to even out, few enough to cost
// nothing.
int chunk_count(std::uint64_t blocks, std::uint64_t shortest) {
  if constexpr (kChecked) return 1;  // the instrument sees one block after the other
  const auto threads = static_cast<std::uint64_t>(ThreadPool::instance().threads());
  return static_cast<int>(std::clamp<std::uint64_t>(blocks / shortest, 1, threads == 1 ? 1 : threads * 16));
}

// GPU threads of a flat launch that are not worth waking another worker for: a microsecond's where they do little.
constexpr std::uint64_t kFlatGrain = 2048;

}  // namespace

void run_grid(const Launch& launch) {
  if (running != nullptr) {
    throw LaunchError("launch of " + kernel_name(launch.kernel) + " inside kernel " +
                      kernel_name(running->launch->kernel));
  }
  const ThreadOrder order = thread_order();
  const std::uint64_t blocks = std::uint64_t{launch.grid.x} * launch.grid.y * launch.grid.z;
  const int chunks = chunk_count(blocks, 1);
  ThreadPool::instance().run(chunks, [&](int chunk, int) {
    Worker& w = own_worker();
    begin_launch(w, launch);
    if constexpr (kChecked) {
      const dim3 &g = launch.grid, &b = launch.block;
      instrument::begin_launch({launch.kernel,
                                {g.x, g.y, g.z},
                                {b.x, b.y, b.z},
                                w.threads,
                                w.stacks.bottom(0),
                                w.stacks.bottom(kMaxThreadsPerBlock)});
    }
    const std::uint64_t begin = blocks * chunk / chunks, end = blocks * (chunk + 1) / chunks;
    for (std::uint64_t block = begin; block < end; ++block) run_block(w, block, order);
  });
}

[[gnu::noinline]] char* unknown_memory() {
  char* nowhere = nullptr;
  asm volatile("" : "+r"(nowhere));
  return nowhere;
}

void run_flat(std::string_view kernel, std::size_t shared_bytes, std::uint64_t blocks, unsigned block_threads,
              RunBlocks run_blocks, const void* closure) {
  if (shared_bytes != 0) {
    throw LaunchError("launch of " + kernel_name(kernel) + ": shared memory needs launch, not launch_flat");
  }
  const int chunks = chunk_count(blocks, (kFlatGrain + block_threads - 1) / block_threads);
  ThreadPool::instance().run(chunks, [&](int chunk, int) {
    struct Named {
      explicit Named(std::string_view name) { flat_kernel = name; }
      ~Named() { flat_kernel = {}; }
    } named(kernel);
    run_blocks(closure, blocks * chunk / chunks, blocks * (chunk + 1) / chunks);
  });
}

}  // namespace detail

}  // namespace gemel::GEMEL_EXECUTOR
