// SPDX-License-Identifier: MIT
//
// The memory of the device `check`, for run_case: buffers of their exact size, and the instrument told what was uploaded.
#pragma once

#include <cstring>

#include "kernels/simt/check/instrument.h"
#include "kernels/simt/check/kernels.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {

inline Memory watched_memory() {
  Memory memory = host_memory();
  memory.allocate = [](std::size_t bytes) { return bytes == 0 ? nullptr : instrument::allocate(bytes); };
  memory.free = [](void* buffer) { instrument::release(buffer); };
  memory.upload = [](void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    std::memcpy(to, from, bytes);
    instrument::written(to, bytes);
  };
  memory.watched = true;
  return memory;
}

}  // namespace gemel::reference
