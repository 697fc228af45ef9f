// SPDX-License-Identifier: MIT
//
// The peaks of each kind of device: a CPU's own (cpu_peak.h), a GPU's through its device.
#include "bench/peak.h"

#include <algorithm>
#include <cstddef>
#include <vector>

#include "bench/cpu_peak.h"
#include "bench/measure.h"
#include "engine/buffer.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::bench {
namespace {

// Bytes a second read and written by y = a y + x over arrays that no cache holds. Faster than a copy where a store to a
// line that was not read before reads it first.
double update_bytes() {
  constexpr std::size_t kCount = std::size_t{1} << 24;  // floats a thread: 64 MiB
  ThreadPool& pool = ThreadPool::instance();
  const auto chunks = static_cast<std::size_t>(pool.threads());
  std::vector<float> x(kCount * chunks, 1.0f), y(kCount * chunks, 2.0f);
  const double seconds = best_seconds(5, [&] {
    pool.run(pool.threads(), [&](int chunk, int) {
      const float* from = x.data() + kCount * static_cast<std::size_t>(chunk);
      float* to = y.data() + kCount * static_cast<std::size_t>(chunk);
      for (std::size_t i = 0; i < kCount; ++i) to[i] = 0.5f * to[i] + from[i];
    });
  });
  return 3.0 * sizeof(float) * static_cast<double>(x.size()) / seconds;
}

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
  if (device.on_host()) return {peak_flops(), std::max(copy_bytes(), update_bytes())};
  return {cuda_fma_flops(device, stream), cuda_copy_bytes(device, stream)};
}

double roofline_share(const Peak& peak, double flops, double bytes, double seconds) {
  double least = std::max(flops / peak.flops, bytes / peak.bytes);
  return least / seconds;
}

}  // namespace gemel::bench
