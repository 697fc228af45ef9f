// SPDX-License-Identifier: MIT
//
// Peaks of a CPU: multiply-adds from registers in the widest vectors that the processor has, and a copy by all threads.
#include "bench/peak.h"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstring>
#include <vector>

#include "bench/measure.h"
#include "engine/buffer.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::bench {
namespace {

constexpr std::size_t kCopyBytes = std::size_t{128} << 20;
constexpr int kRounds = 1 << 16;

// Twelve chains: multiply-adds take four cycles and two start in each, so eight would do, if nothing ever waited. A macro,
// because a compiler settles how wide a vector may be in the function that names it, before anything is inlined.
#define GEMEL_PEAK_LOOP(NAME, LANES, TARGET)                                       \
  TARGET float NAME(float a, float b) {                                            \
    typedef float Vector __attribute__((vector_size(LANES * sizeof(float))));      \
    constexpr int kChains = 12;                                                    \
    Vector chain[kChains];                                                         \
    for (int i = 0; i < kChains; ++i) chain[i] = Vector{} + static_cast<float>(i); \
    for (int round = 0; round < kRounds; ++round) {                                \
      for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * a + b;               \
    }                                                                              \
    Vector sum{};                                                                  \
    for (int i = 0; i < kChains; ++i) sum += chain[i];                             \
    return sum[0];                                                                 \
  }                                                                                \
  constexpr double NAME##_flops = 2.0 * 12 * LANES * kRounds;

GEMEL_PEAK_LOOP(multiply_add_4, 4, )
#if defined(__x86_64__)
GEMEL_PEAK_LOOP(multiply_add_8, 8, __attribute__((target("avx2,fma"))))
GEMEL_PEAK_LOOP(multiply_add_16, 16, __attribute__((target("avx512f,fma"))))
#endif

struct Loop {
  float (*run)(float, float);
  double flops;
};

Loop widest_loop() {
#if defined(__x86_64__)
  if (__builtin_cpu_supports("avx512f")) return {multiply_add_16, multiply_add_16_flops};
  if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return {multiply_add_8, multiply_add_8_flops};
#endif
  return {multiply_add_4, multiply_add_4_flops};
}

// The best of several runs: what the machine can do, not what it did while something else ran.
template <class F>
double shortest_seconds(int runs, F&& f) {
  double best = 1e30;
  for (int i = 0; i < runs; ++i) {
    auto start = std::chrono::steady_clock::now();
    f();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

double host_flops() {
  ThreadPool& pool = ThreadPool::instance();
  Loop loop = widest_loop();
  int chunks = 16 * pool.threads();
  std::atomic<float> sink{0};  // keeps the loops from being dropped
  double seconds = shortest_seconds(8, [&] {
    pool.run(chunks, [&](int chunk, int) { sink = loop.run(0.999f, 1e-3f * static_cast<float>(chunk)); });
  });
  return loop.flops * chunks / seconds;
}

double host_bytes() {
  constexpr int kPieces = 64;
  constexpr std::size_t kPiece = kCopyBytes / kPieces;
  std::vector<char> from(kCopyBytes, 1), to(kCopyBytes, 2);
  double seconds = shortest_seconds(4, [&] {
    ThreadPool::instance().run(kPieces, [&](int piece, int) {
      std::size_t at = kPiece * static_cast<std::size_t>(piece);
      std::memcpy(to.data() + at, from.data() + at, kPiece);
    });
  });
  return 2.0 * kCopyBytes / seconds;
}

double cuda_bytes(Device& device, Stream& stream) {
  constexpr std::size_t kBytes = std::size_t{1} << 30;
  Buffer from(device, kBytes), to(device, kBytes);
  device.fill_zero(stream, from.data(), kBytes);
  double seconds = seconds_per_call(
      device, stream, [&] { device.copy(stream, to.data(), from.data(), kBytes); }, 0.1);
  return 2.0 * kBytes / seconds;
}

}  // namespace

Peak measure_peak(Device& device, Stream& stream) {
  if (device.on_host()) return {host_flops(), host_bytes()};
  return {cuda_fma_flops(device, stream), cuda_bytes(device, stream)};
}

double roofline_share(const Peak& peak, double flops, double bytes, double seconds) {
  double least = std::max(flops / peak.flops, bytes / peak.bytes);
  return least / seconds;
}

}  // namespace gemel::bench
