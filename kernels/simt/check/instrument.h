// SPDX-License-Identifier: MIT
//
// The instrument: what the `check` device says of the kernels it runs. The kernels are compiled once more with calls
// before every load and store (hooks.cpp); the executor tells who runs and who has met whom (events.h). From both follow
// reports of what is wrong, and counters of what the same accesses would cost on a GPU. docs/instrument.md tells what is
// found, what is not, and how the counters are defined.
//
// One launch at a time is watched; reports and counters are gathered until they are taken.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "kernels/simt/check/events.h"

namespace gemel::instrument {

enum class Kind : std::uint8_t {
  race,           // two accesses, one of them a write, that nothing orders
  uninitialised,  // a read of memory nobody wrote
  out_of_bounds,  // outside a buffer, or outside the block's shared memory
  misaligned,     // an address that is no multiple of the access's size
  host_memory,    // a pointer that is not the device's
  barrier,        // a barrier that not all threads of the block reach
  warp_mask       // a warp function whose mask names lanes that do not come
};
const char* name_of(Kind kind);

struct Source {
  std::string file;  // from the root of the tree; empty: unknown
  int line = 0;
  friend bool operator==(const Source&, const Source&) = default;
};

// A thread at a line.
struct Place {
  Source source;
  Extent block{};
  int thread = 0;
};

struct Report {
  Kind kind{};
  std::string kernel;
  std::string what;  // what the thread does: "reads shared memory that nobody wrote"
  Place at;
  std::optional<Place> against;  // of a race: the earlier access; of two barriers: the other
  std::uint64_t times = 1;       // the same two lines did it; `at` and `against` are the first

  // One line: "kernels/a.cu:12: race: reads shared memory ... (thread 3 of block (0, 0, 0) of a_kernel; 31 times)".
  std::string text() const;
};

// ---- counters: what the accesses would be on a GPU, as Nsight Compute names and defines it (docs/instrument.md).
enum class Act : std::uint8_t { read, write, atomic };
enum class Space : std::uint8_t { global, shared };

// Of the loads or stores of one size at one line.
struct AccessCounters {
  Source source;
  Space space{};
  Act act{};
  unsigned bytes = 0;                                  // a lane's
  std::uint64_t requests = 0;                          // instructions of a warp
  std::uint64_t lanes = 0;                             // active in them; 32 a request is no divergence
  std::uint64_t sectors = 0;                           // global: of 32 bytes, moved
  std::uint64_t ideal_sectors = 0;                     // global: that the distinct bytes of each request would fill
  std::uint64_t bytes_used = 0;                        // global: of those moved, distinct ones asked for
  std::uint64_t wavefronts = 0, ideal_wavefronts = 0;  // shared: with and without bank conflicts
  // One request to look at: the dearest of those of most lanes.
  std::uint32_t example_mask = 0;
  double example_cost = 0;
  std::array<std::uint64_t, 32> example{};
};

struct Traffic {
  std::uint64_t sectors = 0;           // moved
  std::uint64_t distinct_sectors = 0;  // of each launch, each counted once: what a perfect cache would move
};

struct KernelCounters {
  std::string kernel;
  std::uint64_t launches = 0;
  Traffic loads, stores;                 // global; atomics are stores
  std::vector<AccessCounters> accesses;  // in the order of the source
};

// What has been counted since last taken, in the order in which kernels were first launched.
std::vector<KernelCounters> take_counters();

// A file of the tree as it was compiled; empty: not to be read.
std::string source_text(const std::string& file);

struct Options {
  bool faults = true;     // reports
  bool counters = false;  // counters
};
void configure(Options options);
Options options();

// What has been reported since last taken, in the order in which it was met.
std::vector<Report> take_reports();

// ---- device memory. Every buffer has its exact size and lies between pages that belong to nobody else.
// 256-byte aligned. Throws std::bad_alloc.
void* allocate(std::size_t bytes);
void release(void* buffer) noexcept;
// The host wrote there: a copy, or zeros.
void written(void* address, std::size_t bytes);

}  // namespace gemel::instrument
