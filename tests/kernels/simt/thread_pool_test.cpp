// SPDX-License-Identifier: MIT
#include "kernels/simt/thread_pool.h"

#include <gtest/gtest.h>

#include <atomic>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace gemel {
namespace {

TEST(ThreadPool, RunsEveryChunkOnceUnderAValidWorker) {
  for (int threads : {1, 2, 7}) {
    ThreadPool pool(threads);
    EXPECT_EQ(pool.threads(), threads);
    for (int chunks : {0, 1, 2, 31, 1000}) {
      std::vector<int> runs(chunks), in_use(threads);
      std::atomic<bool> wrong = false;
      pool.run(chunks, [&](int chunk, int worker) {
        if (worker < 0 || worker >= threads) wrong = true;
        if (in_use[worker]++ != 0) wrong = true;  // not atomic: nobody else has this worker's number
        runs[chunk] += 1;
        in_use[worker] -= 1;
      });
      EXPECT_FALSE(wrong);
      EXPECT_EQ(runs, std::vector<int>(chunks, 1));
    }
  }
}

TEST(ThreadPool, OneThreadRunsChunksInAscendingOrder) {
  ThreadPool pool(1);
  std::vector<int> seen, expected(31);
  std::iota(expected.begin(), expected.end(), 0);
  pool.run(31, [&](int chunk, int) { seen.push_back(chunk); });
  EXPECT_EQ(seen, expected);
}

TEST(ThreadPool, GivesTheSameResultsOnAnyNumberOfThreads) {
  const auto sums = [](int threads) {
    ThreadPool pool(threads);
    std::vector<double> sums(97);
    pool.run(97, [&](int chunk, int) {
      for (int i = 1; i < 1000; ++i) sums[chunk] += 1.0 / (chunk + i);
    });
    return sums;
  };
  const std::vector<double> one = sums(1);
  EXPECT_EQ(sums(2), one);
  EXPECT_EQ(sums(7), one);
}

TEST(ThreadPool, ManyShortRuns) {
  ThreadPool pool(3);
  long total = 0;
  for (int run = 0; run < 5000; ++run) {
    std::atomic<int> sum = 0;
    pool.run(run % 5 + 1, [&](int chunk, int) { sum += chunk + 1; });
    total += sum;
  }
  EXPECT_EQ(total, 1000 * (1 + 3 + 6 + 10 + 15));
}

TEST(ThreadPool, RethrowsOneExceptionAndGoesOn) {
  for (int threads : {1, 4}) {
    ThreadPool pool(threads);
    for (int culprit : {0, 13, 63}) {
      int caught = 0;
      try {
        pool.run(64, [&](int chunk, int) {
          if (chunk >= culprit) throw std::runtime_error("chunk " + std::to_string(culprit));
        });
      } catch (const std::runtime_error& error) {
        ++caught;
        EXPECT_EQ(error.what(), "chunk " + std::to_string(culprit));
      }
      EXPECT_EQ(caught, 1);
      std::atomic<int> ran = 0;
      pool.run(64, [&](int, int) { ++ran; });
      EXPECT_EQ(ran, 64);
    }
  }
}

TEST(ThreadPool, ARunInsideARunStaysOnItsWorker) {
  ThreadPool pool(3);
  std::vector<std::vector<int>> seen(5);
  std::atomic<bool> wrong = false;
  pool.run(5, [&](int chunk, int worker) {
    const auto thread = std::this_thread::get_id();
    pool.run(7, [&](int inner, int inner_worker) {
      if (inner_worker != worker || std::this_thread::get_id() != thread) wrong = true;
      seen[chunk].push_back(inner);
    });
  });
  EXPECT_FALSE(wrong);
  std::vector<int> expected(7);
  std::iota(expected.begin(), expected.end(), 0);
  for (const auto& inner : seen) EXPECT_EQ(inner, expected);
}

TEST(ThreadPool, AnExceptionOfAnInnerRunReachesTheOuter) {
  ThreadPool pool(2);
  const auto inner = [&](int, int) { pool.run(3, [](int, int) { throw std::logic_error("inner"); }); };
  EXPECT_THROW(pool.run(4, inner), std::logic_error);
  EXPECT_THROW(pool.run(1, inner), std::logic_error);
}

TEST(ThreadPool, TwoThreadsMayRunAtOnce) {
  ThreadPool pool(2);
  std::atomic<int> total = 0;
  std::vector<std::thread> callers;
  for (int i = 0; i < 3; ++i) {
    callers.emplace_back([&] {
      for (int run = 0; run < 200; ++run) pool.run(5, [&](int, int) { ++total; });
    });
  }
  for (std::thread& caller : callers) caller.join();
  EXPECT_EQ(total, 3 * 200 * 5);
}

TEST(ThreadPool, SetThreads) {
  ThreadPool pool(1);
  for (int threads : {4, 1, 3, 3}) {
    pool.set_threads(threads);
    EXPECT_EQ(pool.threads(), threads);
    std::atomic<int> ran = 0;
    pool.run(100, [&](int, int) { ++ran; });
    EXPECT_EQ(ran, 100);
  }
  EXPECT_THROW(pool.set_threads(0), std::invalid_argument);
  EXPECT_THROW(pool.set_threads(1025), std::invalid_argument);
  EXPECT_THROW(pool.run(1, [&](int, int) { pool.set_threads(2); }), std::logic_error);
  EXPECT_EQ(pool.threads(), 3);
}

}  // namespace
}  // namespace gemel
