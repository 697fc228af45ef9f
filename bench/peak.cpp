// SPDX-License-Identifier: MIT
//
// The peaks of each kind of device: a CPU's own (cpu_peak.h), a GPU's through its device.
#include "bench/peak.h"

#include <algorithm>

#include "bench/cpu_peak.h"
#include "bench/measure.h"
#include "engine/buffer.h"

namespace gemel::bench {
namespace {

// Two buffers far larger than a GPU's L2 cache.
double cuda_copy_bytes(Device& device, Stream& stream) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  Buffer from(device, kBytes), to(device, kBytes);
  device.fill_zero(stream, from.data(), kBytes);
  double seconds = seconds_per_call(
      device, stream, [&] { device.copy(stream, to.data(), from.data(), kBytes); }, 0.1);
  return 2.0 * kBytes / seconds;
}

}  // namespace

Peak measure_peak(Device& device, Stream& stream) {
  if (device.on_host()) return {peak_flops(), copy_bytes()};
  return {cuda_fma_flops(device, stream), cuda_copy_bytes(device, stream)};
}

double roofline_share(const Peak& peak, double flops, double bytes, double seconds) {
  double least = std::max(flops / peak.flops, bytes / peak.bytes);
  return least / seconds;
}

}  // namespace gemel::bench
