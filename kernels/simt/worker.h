// SPDX-License-Identifier: MIT
//
// One OS thread's share of the executor: the state of the block it runs.  Private to the executor's sources.
#pragma once

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <vector>

#include "kernels/simt/executor.h"

namespace gemel::GEMEL_EXECUTOR::detail {

// Bit i of a mask is lane i.  A lane that exists is ready, at a barrier, in a collective, or has ended.
struct Warp {
  unsigned exists;
  unsigned ready;  // may run, or is running
  unsigned fresh;  // ready and has not begun: it has no stack yet
  unsigned at_barrier;
  unsigned in_collective;
  unsigned ended;

  // Of the lanes in a collective.
  void* argument[32];
  const Collective* collective[32];
  unsigned mask[32];
  Site site[32];
};

// The stacks of a worker's fibers, each over a page that nobody may touch.
class Stacks {
 public:
  Stacks();
  ~Stacks();
  Stacks(const Stacks&) = delete;
  Stacks& operator=(const Stacks&) = delete;

  char* bottom(int fiber) const;
  char* top(int fiber) const;
  std::size_t usable_bytes() const;

 private:
  char* memory_;
};

// Shared memory of the running block: the dynamic part, then each static declaration as the block first meets it.
class SharedMemory {
 public:
  SharedMemory();

  // Poisons and hands out `dynamic_bytes`, and forgets the previous block.
  unsigned char* begin_block(std::size_t dynamic_bytes);
  // Throws LaunchError where a GPU would not have that much.
  void* get(const void* declaration, std::size_t bytes, std::size_t alignment, std::string_view kernel);

 private:
  struct Free {
    void operator()(unsigned char* p) const;
  };
  struct Piece {
    const void* declaration;
    void* address;
  };
  void* take(std::size_t bytes, std::size_t alignment);

  std::unique_ptr<unsigned char, Free> memory_;
  std::vector<Piece> pieces_;
  std::size_t used_ = 0;  // of memory_, with gaps
  std::size_t dynamic_bytes_ = 0;
  std::size_t static_bytes_ = 0;
};

struct Worker {
  Worker();
  ~Worker();

  // The block.  Threads are numbered x first, then y, then z.
  Warp warps[kMaxThreadsPerBlock / 32];
  int threads = 0;
  int warp_count = 0;
  int current = 0;     // the running thread
  int live = 0;        // threads that have not ended
  int at_barrier = 0;  // threads
  int held = 0;        // of them, those whose predicate holds
  Site barrier{};      // where the first of them arrived

  Context contexts[kMaxThreadsPerBlock]{};  // of threads that wait
  uint3 coordinates[kMaxThreadsPerBlock];
  int fiber_of[kMaxThreadsPerBlock];
  Context outside;  // run_block
  Context nowhere;  // what a fiber that ends leaves behind

  int fibers = 0;  // stacks in use or in free_fibers
  int free_count = 0;
  int free_fibers[kMaxThreadsPerBlock];
  Stacks stacks;

  bool in_order = true;              // forward; else by `order` and its inverse
  int order[kMaxThreadsPerBlock];    // turn -> thread
  int turn_of[kMaxThreadsPerBlock];  // thread -> turn

  const Launch* launch = nullptr;
  SharedMemory shared;
  std::exception_ptr error;  // ends the block

#if defined(GEMEL_SIMT_ASAN)
  void* fake_stack[kMaxThreadsPerBlock]{};
  void* outside_fake_stack = nullptr;
  const void* outside_bottom = nullptr;
  std::size_t outside_size = 0;
#endif
#if defined(GEMEL_SIMT_TSAN)
  void* device_fiber;  // the thread sanitizer's view: all GPU threads of a worker are one of its threads
  void* outside_fiber = nullptr;
#endif
};

// Fills in in_order, order and turn_of for block `block`.
void set_order(Worker& worker, ThreadOrder order, std::uint64_t block);

// Why no thread of the block can go on.
std::exception_ptr diagnose(const Worker& worker);
// The running thread met another barrier than those that wait already.
std::exception_ptr diagnose_divergent_barrier(const Worker& worker, Site site);
// The running thread called a warp function whose mask leaves it out, or names lanes that have ended.
std::exception_ptr diagnose_mask(const Worker& worker, const Collective& what, unsigned mask, Site site);

bool same_site(Site a, Site b);

}  // namespace gemel::GEMEL_EXECUTOR::detail
