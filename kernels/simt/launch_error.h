// SPDX-License-Identifier: MIT
//
// What a launch can refuse or report, on every device.
#pragma once

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>

namespace gemel {

// A launch that cannot run, or a kernel that failed while it ran.  what() names the kernel.
class LaunchError : public std::runtime_error {
 public:
  explicit LaunchError(const std::string& message);
  ~LaunchError() override;
};

// The threads of a block did not all meet: a barrier or a warp function was skipped, or divergent, by some.
class BarrierError : public LaunchError {
 public:
  explicit BarrierError(const std::string& message);
  ~BarrierError() override;
};

// The extents of a launch, in threads and blocks.
struct LaunchShape {
  unsigned grid[3];
  unsigned block[3];
  std::size_t shared_bytes;
};

// Limits of every GPU this library is built for (compute capability 8.0 and later).
inline constexpr unsigned kMaxThreadsPerBlock = 1024;
inline constexpr unsigned kMaxGridX = 2147483647;
inline constexpr unsigned kMaxGridYZ = 65535;
inline constexpr unsigned kMaxBlockZ = 64;
inline constexpr std::size_t kMaxSharedBytes = 227 * 1024;
inline constexpr std::size_t kMaxStaticSharedBytes = 48 * 1024;

// True when there is something to launch; false when a grid extent is 0.
// Throws LaunchError when no device could run the launch.
bool check_launch(std::string_view kernel, const LaunchShape& shape);

// A kernel's name as a person writes it, from the compiler's spelling of a template over the kernel:
// "void f() [with auto Kernel = gemel::simt::saxpy_kernel]" gives "saxpy_kernel".
std::string kernel_name(std::string_view pretty_function);

}  // namespace gemel
