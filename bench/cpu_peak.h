// SPDX-License-Identifier: MIT
//
// What this processor can do at best, measured in the same run as what is compared with it: multiply-adds in registers
// and copies of memory, on the threads of the pool.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <stdexcept>
#include <string_view>
#include <vector>

#include "kernels/cpu/cpu.h"
#include "kernels/cpu/peak.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::bench {

// Best of `rounds` runs of work(), in seconds.
template <class Work>
double best_seconds(int rounds, const Work& work) {
  double best = 1e30;
  for (int round = 0; round < rounds; ++round) {
    const auto start = std::chrono::steady_clock::now();
    work();
    best = std::min(best, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
  return best;
}

// Floating-point operations a second of all threads of the pool together, with the instruction set `isa`.
inline double peak_flops(std::string_view isa = cpu::isa_name()) {
  // Many rounds of about a millisecond: in a young process a system may take tens of milliseconds to spread the threads
  // over the cores, and a peak of too few cores would flatter every share.
  constexpr int kSteps = 100'000, kRounds = 300;
  ThreadPool& pool = ThreadPool::instance();
  std::vector<std::int64_t> operations(static_cast<std::size_t>(pool.threads()));
  const double seconds = best_seconds(kRounds, [&] {
    pool.run(pool.threads(), [&](int chunk, int) {
      operations[static_cast<std::size_t>(chunk)] = cpu::run_multiply_adds(isa, kSteps);
    });
  });
  std::int64_t total = 0;
  for (const std::int64_t count : operations) total += count;
  return static_cast<double>(total) / seconds;
}

// Bytes a second read and written by copies of 64 MiB a thread, which no cache holds.
inline double copy_bytes() {
  constexpr std::size_t kBytes = std::size_t{64} << 20;
  ThreadPool& pool = ThreadPool::instance();
  const auto chunks = static_cast<std::size_t>(pool.threads());
  std::vector<char> from(kBytes * chunks, 1), to(kBytes * chunks);
  const double seconds = best_seconds(5, [&] {
    pool.run(pool.threads(), [&](int chunk, int) {
      const std::size_t first = kBytes * static_cast<std::size_t>(chunk);
      std::memcpy(to.data() + first, from.data() + first, kBytes);
    });
  });
  return 2.0 * static_cast<double>(kBytes * chunks) / seconds;
}

// Bytes a second read, from 64 MiB a thread, which no cache holds.
inline double read_bytes() {
  constexpr std::size_t kCount = (std::size_t{64} << 20) / sizeof(std::uint64_t);
  ThreadPool& pool = ThreadPool::instance();
  const auto chunks = static_cast<std::size_t>(pool.threads());
  const std::vector<std::uint64_t> from(kCount * chunks, 1);
  std::vector<std::uint64_t> sums(chunks);
  const double seconds = best_seconds(5, [&] {
    pool.run(pool.threads(), [&](int chunk, int) {
      const std::uint64_t* p = from.data() + kCount * static_cast<std::size_t>(chunk);
      std::uint64_t sum = 0;
      for (std::size_t i = 0; i < kCount; ++i) sum += p[i];
      sums[static_cast<std::size_t>(chunk)] = sum;
    });
  });
  for (const std::uint64_t sum : sums) {
    if (sum != kCount) throw std::logic_error("read_bytes: the sum is wrong");
  }
  return static_cast<double>(kCount * sizeof(std::uint64_t) * chunks) / seconds;
}

}  // namespace gemel::bench
