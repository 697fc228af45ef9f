// SPDX-License-Identifier: MIT
//
// Checks that hold for a launch on any device, and the words in which a refusal is told.
#include "kernels/simt/launch_error.h"

#include <cstdint>

namespace gemel {
namespace {

std::string extents(const unsigned (&e)[3]) {
  std::string text = "(";
  text += std::to_string(e[0]) + ", " + std::to_string(e[1]) + ", " + std::to_string(e[2]);
  return text += ')';
}

void erase_all(std::string& text, std::string_view word) {
  for (std::size_t at; (at = text.find(word)) != std::string::npos;) text.erase(at, word.size());
}

}  // namespace

LaunchError::LaunchError(const std::string& message) : std::runtime_error(message) {}
LaunchError::~LaunchError() = default;
BarrierError::BarrierError(const std::string& message) : LaunchError(message) {}
BarrierError::~BarrierError() = default;

bool check_launch(std::string_view kernel, const LaunchShape& shape) {
  const auto refuse = [&](const std::string& why) {
    throw LaunchError("launch of " + kernel_name(kernel) + ": " + why);
  };
  const auto& [grid, block, shared_bytes] = shape;
  for (unsigned extent : grid) {
    if (extent == 0) return false;
  }
  const std::uint64_t threads = std::uint64_t{block[0]} * block[1] * block[2];
  if (threads == 0) refuse("block " + extents(block) + " has no threads");
  if (block[0] > kMaxThreadsPerBlock || block[1] > kMaxThreadsPerBlock || block[2] > kMaxBlockZ ||
      threads > kMaxThreadsPerBlock) {
    refuse("block " + extents(block) + " has too many threads; the limits are 1024 in all and 64 in z");
  }
  if (grid[0] > kMaxGridX || grid[1] > kMaxGridYZ || grid[2] > kMaxGridYZ) {
    refuse("grid " + extents(grid) + " is too large; the limits are 2147483647 in x and 65535 in y and z");
  }
  if (shared_bytes > kMaxSharedBytes) {
    refuse(std::to_string(shared_bytes) + " bytes of dynamic shared memory; the limit is " +
           std::to_string(kMaxSharedBytes));
  }
  return true;
}

std::string kernel_name(std::string_view pretty_function) {
  // The compilers end in "[with auto Kernel = NAME; ...]", "[Kernel = &NAME]" or "[with auto Kernel = (& NAME)]".
  std::string name(pretty_function);
  if (const auto equals = name.find("Kernel = "); equals != std::string::npos) {
    name.erase(0, equals + 9);
    if (const auto end = name.find_last_of(']'); end != std::string::npos) name.erase(end);
    if (const auto end = name.find("; "); end != std::string::npos) name.erase(end);
  }
  for (std::string_view noise : {"(anonymous namespace)::", "{anonymous}::", "<unnamed>::", "gemel::simt::",
                                 "gemel::check::", "gemel::cuda::"}) {
    erase_all(name, noise);
  }
  // nvcc writes an anonymous namespace as _GLOBAL__N__<hash>_<file>_<hash>::
  for (std::size_t at; (at = name.find("_GLOBAL__N_")) != std::string::npos;) {
    const std::size_t end = name.find("::", at);
    if (end == std::string::npos) break;
    name.erase(at, end + 2 - at);
  }
  while (!name.empty() && (name.front() == '&' || name.front() == ' ' || name.front() == '(')) {
    const bool bracketed = name.front() == '(' && name.back() == ')';
    name.erase(0, 1);
    if (bracketed) name.pop_back();
  }
  return name;
}

}  // namespace gemel
