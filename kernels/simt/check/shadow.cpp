// SPDX-License-Identifier: MIT
#include "kernels/simt/check/shadow.h"

#include <algorithm>
#include <bit>
#include <iterator>
#include <utility>

namespace gemel::instrument {

void Clocks::forget_meetings() {
  for (Warp& warp : warps_) warp.met = false;
}

void Clocks::begin_block() {
  ++block_;
  barriers_ = 0;
  forget_meetings();
}

void Clocks::barrier() {
  ++barriers_;
  forget_meetings();
}

void Clocks::meet(int warp, unsigned lanes) {
  Warp& w = warps_[warp];
  if (!w.met) {
    w.met = true;
    std::fill(std::begin(w.own), std::end(w.own), 1u);
    for (auto& row : w.known) std::fill(std::begin(row), std::end(row), 0u);
  }
  std::uint32_t together[32] = {};
  for (unsigned left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    for (int other = 0; other < 32; ++other) together[other] = std::max(together[other], w.known[lane][other]);
    together[lane] = std::max(together[lane], w.own[lane]);
  }
  for (unsigned left = lanes; left != 0; left &= left - 1) {
    const int lane = std::countr_zero(left);
    std::copy(std::begin(together), std::end(together), std::begin(w.known[lane]));
    ++w.own[lane];
  }
}

namespace {

bool same_thread(const Stamp& a, const Stamp& b) { return a.block == b.block && a.thread == b.thread; }
bool same_warp(const Stamp& a, const Stamp& b) { return a.block == b.block && a.thread >> 5 == b.thread >> 5; }

// Keeps in the two slots reads of two warps, of two blocks rather, if there are such.
void keep_read(Cell& cell, Stamp now, const Clocks& clocks) {
  Stamp &a = cell.read[0], &b = cell.read[1];
  for (Stamp* slot : {&a, &b}) {
    if (slot->block != 0 && same_thread(*slot, now)) {
      // A thread's earlier reads of other bytes of the word are still to be seen, unless they are ordered before all.
      if (slot->barriers == now.barriers) now.bytes |= slot->bytes;
      *slot = now;
      return;
    }
  }
  for (Stamp* slot : {&a, &b}) {
    if (slot->block == 0 || clocks.ordered(*slot, now)) {
      *slot = now;
      return;
    }
  }
  if (a.block != now.block || b.block != now.block) {
    (a.block == now.block ? a : b) = now;
  } else {
    (same_warp(a, now) ? a : b) = now;
  }
}

}  // namespace

void forget_other_blocks(Cell& cell, std::uint32_t block) {
  for (Stamp* stamp : {&cell.write, &cell.read[0], &cell.read[1]}) {
    if (stamp->block != block) *stamp = {};
  }
}

Conflict enter(Cell& cell, const Stamp& now, bool write, const Clocks& clocks) {
  Conflict conflict;
  const auto against = [&](const Stamp& earlier, bool with_write) {
    if (conflict.found || earlier.block == 0 || (earlier.bytes & now.bytes) == 0) return;
    if ((earlier.atomic && now.atomic) || clocks.ordered(earlier, now)) return;
    conflict = {true, with_write, earlier};
  };
  against(cell.write, true);
  if (!write) {
    keep_read(cell, now, clocks);
    return conflict;
  }
  for (const Stamp& read : cell.read) against(read, false);
  const bool same_block = cell.write.block == now.block;
  cell.written = (same_block ? cell.written : 0) | now.bytes;
  Stamp stamp = now;
  // Bytes that the same thread wrote since the last barrier are its still.
  if (same_block && same_thread(cell.write, now) && cell.write.barriers == now.barriers)
    stamp.bytes |= cell.write.bytes;
  cell.write = stamp;
  return conflict;
}

}  // namespace gemel::instrument
