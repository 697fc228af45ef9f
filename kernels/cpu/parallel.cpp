// SPDX-License-Identifier: MIT
#include "kernels/cpu/parallel.h"

#include <atomic>

#include "kernels/simt/thread_pool.h"

namespace gemel::cpu {

void run_items(std::int64_t items, void (*task)(const void* context, std::int64_t item, int slot),
               const void* context) {
  if (items <= 1) {
    if (items == 1) task(context, 0, 0);
    return;
  }
  // Each chunk of the pool is a slot that takes items until there are none: with t threads, t slots do all the work.
  std::atomic<std::int64_t> next{0};
  ThreadPool::instance().run(slots_for(items), [&](int slot, int) {
    for (std::int64_t item; (item = next.fetch_add(1, std::memory_order_relaxed)) < items;) task(context, item, slot);
  });
}

}  // namespace gemel::cpu
