// SPDX-License-Identifier: MIT
//
// Work items over the thread pool. Items are numbered by the shape alone, never by the number of threads, so results
// are the same bits on any number. A slot is a piece of scratch that one thread holds while it works: at most
// kMaxSlots, whatever the number of threads is by then. An ordinary function, so that sources compiled for AVX
// instantiate nothing of the pool (see isa.h).
#pragma once

#include <cstdint>

namespace gemel::cpu {

constexpr int kMaxSlots = 64;

// Calls task(context, item, slot) for every item in [0, items), slot in [0, slots_for(items)); returns when all are
// done. No two tasks that run at the same time have the same slot.
void run_items(std::int64_t items, void (*task)(const void* context, std::int64_t item, int slot), const void* context);

namespace {

// Slots that a call with this many items may use.
constexpr int slots_for(std::int64_t items) { return items < kMaxSlots ? static_cast<int>(items) : kMaxSlots; }

// The same for anything callable as f(item, slot).
template <class F>
[[gnu::always_inline]] inline void parallel(std::int64_t items, const F& f) {
  run_items(
      items, [](const void* context, std::int64_t item, int slot) { (*static_cast<const F*>(context))(item, slot); },
      &f);
}

}  // namespace
}  // namespace gemel::cpu
