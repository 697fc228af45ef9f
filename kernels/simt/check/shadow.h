// SPDX-License-Identifier: MIT
//
// Who touched a word last, and whether that is ordered before the running thread: the race detector. Private to the
// instrument.
//
// Two accesses of one byte, at least one of them a write and not both atomic, race unless one is ordered before the
// other: by the same thread, by the end of a launch, inside a block by a barrier between them, inside a warp by a
// __syncwarp of both lanes. Shuffles and ballots order nothing, nor do atomics (CUDA C++ Programming Guide, "Synchronization
// functions", "Warp shuffle functions").
//
// A word keeps its last write and two reads, of different blocks or warps where there were such: enough to see each race
// of a write with the reads before it, as whoever writes next differs from one of the two.
#pragma once

#include <cstdint>

namespace gemel::instrument {

// When: the block (numbered through all launches, from 1), its barriers so far, the lane's warp meetings since the last.
struct Stamp {
  std::uint32_t pc;
  std::uint32_t block;  // 0: never
  std::uint32_t barriers;
  std::uint32_t clock;
  std::uint16_t thread;
  std::uint8_t bytes;  // of the word: bit i is byte i
  bool atomic;
};

// Of a word of 4 bytes.
struct Cell {
  Stamp write;
  Stamp read[2];
  std::uint32_t written;  // bytes the block `write.block` wrote; for shared memory
};

class Clocks {
 public:
  void begin_launch() { first_block_ = block_ + 1; }
  void begin_block();
  void barrier();
  void meet(int warp, unsigned lanes);  // these lanes' accesses before are ordered before all of theirs after

  std::uint32_t block() const { return block_; }
  Stamp now(int thread, std::uint32_t pc, std::uint8_t bytes, bool atomic) const {
    const Warp& warp = warps_[thread >> 5];
    const std::uint32_t clock = warp.met ? warp.own[thread & 31] : 1;
    return {pc, block_, barriers_, clock, static_cast<std::uint16_t>(thread), bytes, atomic};
  }
  // Whether `earlier` happened before what is stamped `now`.
  bool ordered(const Stamp& earlier, const Stamp& now) const {
    if (earlier.block != now.block) return earlier.block < first_block_;
    if (earlier.thread == now.thread || earlier.barriers != now.barriers) return true;
    const Warp& warp = warps_[now.thread >> 5];
    return earlier.thread >> 5 == now.thread >> 5 && warp.met &&
           warp.known[now.thread & 31][earlier.thread & 31] >= earlier.clock;
  }

 private:
  struct Warp {
    bool met = false;  // since the last barrier
    std::uint32_t own[32];
    std::uint32_t known[32][32];  // [lane][other]: the clock of `other` up to which it is ordered before `lane`
  };
  void forget_meetings();

  Warp warps_[32];
  std::uint32_t first_block_ = 1;  // of this launch
  std::uint32_t block_ = 0;
  std::uint32_t barriers_ = 0;
};

// Shared memory is each block's own: what earlier ones did at the same address is no longer of account.
void forget_other_blocks(Cell& cell, std::uint32_t block);

// Enters an access into the cell. Returns the earlier access it races with, or null.
struct Conflict {
  bool found = false, with_write = false;
  Stamp earlier{};
};
Conflict enter(Cell& cell, const Stamp& now, bool write, const Clocks& clocks);

}  // namespace gemel::instrument
