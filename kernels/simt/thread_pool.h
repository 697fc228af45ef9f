// SPDX-License-Identifier: MIT
//
// The threads that share out a CPU's work: blocks of the SIMT executor and chunks of the native kernels.
#pragma once

#include <atomic>
#include <cstdint>
#include <exception>
#include <memory>
#include <mutex>
#include <thread>
#include <type_traits>
#include <vector>

namespace gemel {

// run(chunks, f) calls f(chunk, worker) once for every chunk in [0, chunks) and returns when all are done.
//
// The caller is worker 0 and takes part; a worker's number is in use by one thread at a time.  Chunks are claimed
// in ascending order, dynamically, so which worker runs which chunk is chance: results must not depend on it.
// A run started from inside a chunk runs its chunks there, one after the other, under the same worker's number.
// The first exception of a chunk is rethrown by run; chunks not yet begun are then left out.
class ThreadPool {
 public:
  // The process's pool.  Its size is GEMEL_THREADS where set, else the number of hardware threads.
  static ThreadPool& instance();

  explicit ThreadPool(int threads);
  ~ThreadPool();
  ThreadPool(const ThreadPool&) = delete;
  ThreadPool& operator=(const ThreadPool&) = delete;

  int threads() const { return static_cast<int>(workers_.size()) + 1; }

  // Between runs only: throws std::logic_error inside one, std::invalid_argument unless 1 <= threads <= 1024.
  void set_threads(int threads);

  template <class F>
  void run(int chunks, F&& f) {
    using Function = std::remove_reference_t<F>;
    Function* address = std::addressof(f);
    run_job(chunks, {[](void* function, int chunk, int worker) { (*static_cast<Function*>(function))(chunk, worker); },
                     const_cast<std::remove_const_t<Function>*>(address)});
  }

 private:
  struct Job {
    void (*call)(void* function, int chunk, int worker) = nullptr;
    void* function = nullptr;
  };

  // Written by many threads at once: each on lines of its own, two of them, as processors fetch lines in pairs.
  template <class T>
  struct alignas(128) Padded {
    std::atomic<T> value{};
  };

  void run_job(int chunks, Job job);
  void work(int worker);
  void worker_main(int worker);
  void start(int threads);
  void stop();

  std::vector<std::thread> workers_;  // worker i + 1
  std::mutex running_;                // held during a run
  Job job_;                           // valid while chunks remain or are at work
  int chunks_ = 0;
  std::exception_ptr error_;    // of the chunk that set failed_
  Padded<int> unclaimed_;       // chunks nobody has begun
  Padded<int> unfinished_;      // chunks not yet done
  Padded<std::uint32_t> call_;  // changes when there is work, or when it is time to stop
  Padded<bool> failed_;
  Padded<bool> stopping_;
};

}  // namespace gemel
