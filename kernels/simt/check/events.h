// SPDX-License-Identifier: MIT
//
// What the executor's checked build (kernels/simt/build.h) tells the instrument. All of it comes from the OS thread that
// runs the launch; the instrument listens to that one alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <string_view>

namespace gemel::instrument {

struct Extent {
  unsigned x, y, z;
};

struct LaunchFacts {
  std::string_view kernel;  // as the compiler spells it
  Extent grid, block;
  int threads;  // a block's
  const char *stacks_begin, *stacks_end;
};

void begin_launch(const LaunchFacts& launch);

// Shared memory lies inside [arena, arena + bytes); a piece is what the block may touch of it. Both before begin_block.
void begin_shared(const void* arena, std::size_t bytes);
void shared_piece(const void* address, std::size_t bytes);
void begin_block(std::uint64_t number, Extent index);
void end_block();

// The running thread of the block, numbered x first.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit int current_thread;

void barrier_released();  // all threads of the block have met
void begin_lanes_meet();  // until lanes_met, what is touched is the executor's doing
// The lanes have met in the warp function `what`; `whole_warp`: no other lane of the warp is alive or to come.
void lanes_met(int warp, unsigned lanes, bool whole_warp, const char* what);
struct Waiting {
  const char* file;
  int line, thread;
};
// The block cannot go on; `against`: where another thread waits, if that is elsewhere.
void stuck(bool in_warp_function, Waiting at, std::optional<Waiting> against, std::string_view why);

}  // namespace gemel::instrument
