// SPDX-License-Identifier: MIT
//
// Runs an OpCase on a device through two memory callbacks, so that this file knows no engine: tests and tools hand in
// the engine's device, kernel tests plain host memory.
#pragma once

#include <functional>

#include "tests/reference/op_case.h"

namespace gemel::reference {

struct Memory {
  std::function<void*(std::size_t bytes)> allocate;  // at least 256-byte aligned
  std::function<void(void*)> free;
  std::function<void(void* to, const void* from, std::size_t bytes)> upload;
  std::function<void(void* to, const void* from, std::size_t bytes)> download;  // waits for the queue first
  // The device itself tells of an access outside an allocation, and of a read of what was never written: buffers are
  // then of their exact size, and the scratch is left as it comes.
  bool watched = false;
};

// Host memory, for simt and cpu.
Memory host_memory();

struct Outcome {
  Mismatch mismatch;
  std::string overwritten;  // name of a tensor whose guard bytes changed; empty: none
  Values got;               // every tensor as the call left it
  bool ok() const { return mismatch.tensor.empty() && overwritten.empty(); }
};

// Allocates, fills, calls, compares. Guard bytes (64 either side of each buffer, and after the scratch; none in watched
// memory) must survive.
Outcome run_case(const OpCase& c, const Kernels& kernels, Queue queue, const Memory& memory, std::uint64_t seed = 1);

// Central differences of the objective against the reference's gradient, in double. Empty: agrees; else what differs.
std::string check_gradient(const OpCase& c, std::uint64_t seed = 1);

}  // namespace gemel::reference
