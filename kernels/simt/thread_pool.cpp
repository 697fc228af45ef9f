// SPDX-License-Identifier: MIT
//
// A claim takes one from `unclaimed_`.  Only a thread that got one reads the job: as the run cannot end before that
// chunk is finished, a worker that wakes late finds nothing to claim and touches nothing that has gone.
#include "kernels/simt/thread_pool.h"

#include <algorithm>
#include <cstdlib>
#include <stdexcept>
#include <string>
#include <utility>

namespace gemel {
namespace {

constexpr int kMaxThreads = 1024;
constexpr int kSpins = 1500;  // some 20 us: shorter than a sleep and a wake, longer than the pause between two runs

thread_local constinit int current_worker = -1;  // the worker this thread is, while inside a chunk

void pause() {
#if defined(__x86_64__)
  __builtin_ia32_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Returns when `value` is no longer `old`: looks for a while, then sleeps.
template <class T>
void wait_while(const std::atomic<T>& value, T old, int spins) {
  for (int i = 0; i < spins; ++i) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

int hardware_threads() { return std::clamp(static_cast<int>(std::thread::hardware_concurrency()), 1, kMaxThreads); }

int default_threads() {
  const char* text = std::getenv("GEMEL_THREADS");
  if (text == nullptr || *text == '\0') return hardware_threads();
  char* end = nullptr;
  const long threads = std::strtol(text, &end, 10);
  if (*end != '\0' || threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("GEMEL_THREADS is '" + std::string(text) + "'; a number from 1 to 1024 is wanted");
  }
  return static_cast<int>(threads);
}

}  // namespace

ThreadPool& ThreadPool::instance() {
  static ThreadPool pool(default_threads());
  return pool;
}

ThreadPool::ThreadPool(int threads) { start(threads); }
ThreadPool::~ThreadPool() { stop(); }

void ThreadPool::set_threads(int threads) {
  if (threads < 1 || threads > kMaxThreads) {
    throw std::invalid_argument("a thread pool of " + std::to_string(threads) + " threads; 1 to 1024 are possible");
  }
  if (current_worker >= 0) throw std::logic_error("ThreadPool::set_threads inside a run");
  const std::lock_guard lock(running_);
  if (threads == this->threads()) return;
  stop();
  start(threads);
}

void ThreadPool::start(int threads) {
  stopping_.value.store(false, std::memory_order_relaxed);
  workers_.reserve(static_cast<std::size_t>(threads - 1));
  try {
    for (int worker = 1; worker < threads; ++worker) {
      workers_.emplace_back([this, worker] { worker_main(worker); });
    }
  } catch (...) {  // the system gives no more threads
    stop();
    throw;
  }
}

void ThreadPool::stop() {
  stopping_.value.store(true, std::memory_order_relaxed);
  call_.value.fetch_add(1, std::memory_order_release);
  call_.value.notify_all();
  for (std::thread& worker : workers_) worker.join();
  workers_.clear();
}

void ThreadPool::worker_main(int worker) {
  const int spins = std::thread::hardware_concurrency() > 1 ? kSpins : 0;
  for (std::uint32_t seen = 0;;) {
    wait_while(call_.value, seen, spins);
    seen = call_.value.load(std::memory_order_acquire);
    if (stopping_.value.load(std::memory_order_relaxed)) return;
    work(worker);
  }
}

// Claims and runs chunks until none is left.
void ThreadPool::work(int worker) {
  int finished = 0;
  for (int left = unclaimed_.value.load(std::memory_order_relaxed); left > 0;) {
    if (!unclaimed_.value.compare_exchange_weak(left, left - 1, std::memory_order_acq_rel, std::memory_order_relaxed)) {
      continue;
    }
    if (!failed_.value.load(std::memory_order_relaxed)) {
      current_worker = worker;
      try {
        job_.call(job_.function, chunks_ - left, worker);
      } catch (...) {
        if (!failed_.value.exchange(true, std::memory_order_relaxed)) error_ = std::current_exception();
      }
      current_worker = -1;
    }
    ++finished;
    left = unclaimed_.value.load(std::memory_order_relaxed);
  }
  if (finished > 0 && unfinished_.value.fetch_sub(finished, std::memory_order_acq_rel) == finished && worker != 0) {
    unfinished_.value.notify_one();
  }
}

void ThreadPool::run_job(int chunks, Job job) {
  if (chunks <= 0) return;
  if (current_worker >= 0) {  // nested
    for (int chunk = 0; chunk < chunks; ++chunk) job.call(job.function, chunk, current_worker);
    return;
  }
  const std::lock_guard lock(running_);
  job_ = job;
  chunks_ = chunks;
  failed_.value.store(false, std::memory_order_relaxed);
  unfinished_.value.store(chunks, std::memory_order_relaxed);
  unclaimed_.value.store(chunks, std::memory_order_release);
  if (chunks > 1 && !workers_.empty()) {
    call_.value.fetch_add(1, std::memory_order_release);
    call_.value.notify_all();
  }
  work(0);
  for (int left; (left = unfinished_.value.load(std::memory_order_acquire)) != 0;) {
    wait_while(unfinished_.value, left, kSpins);
  }
  if (error_) std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace gemel
