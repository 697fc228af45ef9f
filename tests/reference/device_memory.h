// SPDX-License-Identifier: MIT
//
// An engine device as the memory that run_case works with.
#pragma once

#include "engine/device.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {

inline Memory device_memory(Device& device, Stream& stream) {
  return {.allocate = [&device](std::size_t bytes) { return device.allocate(bytes); },
          .free = [&device](void* memory) { device.free(memory); },
          .upload = [&](void* to, const void* from, std::size_t bytes) { device.upload(stream, to, from, bytes); },
          .download = [&](void* to, const void* from, std::size_t bytes) { device.download(stream, to, from, bytes); }};
}

}  // namespace gemel::reference
