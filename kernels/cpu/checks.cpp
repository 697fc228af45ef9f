// SPDX-License-Identifier: MIT
#include "kernels/cpu/checks.h"

#include <cstdint>
#include <string>

#include "kernels/simt/launch_error.h"

namespace gemel::cpu {

void require_scratch(const Queue& queue, std::size_t bytes, const char* entry) {
  if (queue.scratch.bytes < bytes) {
    throw LaunchError(std::string(entry) + ": needs " + std::to_string(bytes) + " bytes of scratch, the queue has " +
                      std::to_string(queue.scratch.bytes) + " (the *_scratch entry tells the size)");
  }
  if (reinterpret_cast<std::uintptr_t>(queue.scratch.data) % 256 != 0) {
    throw LaunchError(std::string(entry) + ": scratch must be aligned to 256 bytes");
  }
}

void throw_launch_error(const char* entry, const char* reason) {
  throw LaunchError(std::string(entry) + ": " + reason);
}

}  // namespace gemel::cpu
