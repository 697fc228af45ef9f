// SPDX-License-Identifier: MIT
//
// Why a block cannot go on, in words: what is wrong, then which threads wait where.
#include <bit>
#include <cstdio>
#include <string>
#include <vector>

#include "kernels/simt/check/events.h"
#include "kernels/simt/worker.h"

namespace gemel::GEMEL_EXECUTOR::detail {
namespace {

enum class Fault { barrier, mask };

constexpr std::size_t kMaxGroups = 16;

std::string text_of(Site site) { return std::string(site.file) + ":" + std::to_string(site.line); }

// "0-31, 40".
std::string ranges(const std::vector<int>& threads) {
  std::string text;
  for (std::size_t i = 0; i < threads.size();) {
    std::size_t last = i;
    while (last + 1 < threads.size() && threads[last + 1] == threads[last] + 1) ++last;
    text += (i == 0 ? "" : ", ") + std::to_string(threads[i]);
    if (last > i) text += "-" + std::to_string(threads[last]);
    i = last + 1;
  }
  return text;
}

// What one thread does.  `arriving`: the running thread is at `site`, which is not in the worker's books yet.
std::string state_of(const Worker& w, int thread, const char* arriving, Site site) {
  const Warp& warp = w.warps[thread >> 5];
  const int lane = thread & 31;
  const unsigned bit = 1u << lane;
  if (arriving != nullptr && thread == w.current) return std::string("in ") + arriving + " at " + text_of(site);
  if (warp.ended & bit) return "ended";
  if (warp.at_barrier & bit) return "waiting at the barrier at " + text_of(w.barrier);
  if (warp.in_collective & bit) {
    char mask[16];
    std::snprintf(mask, sizeof mask, "0x%08x", warp.mask[lane]);
    return std::string("waiting in ") + warp.collective[lane]->name + " of lanes " + mask + " at " +
           text_of(warp.site[lane]);
  }
  return warp.fresh & bit ? "not begun" : "ready";
}

void tell_instrument(const Worker& w, Fault fault, const std::string& what, bool arriving, Site site) {
  const auto waits = [&](int thread) {
    const Warp& warp = w.warps[thread >> 5];
    return ((fault == Fault::barrier ? warp.at_barrier : warp.in_collective) >> (thread & 31) & 1) != 0;
  };
  int first = 0;
  while (first < w.threads && !waits(first)) ++first;
  std::optional<instrument::Waiting> against;
  if (arriving && fault == Fault::barrier) against = {w.barrier.file, w.barrier.line, first};
  instrument::stuck(fault == Fault::mask, {site.file, site.line, arriving ? w.current : first}, against, what);
}

// `arriving`: what the running thread calls at `site`; else `site` is where some thread waits.
std::exception_ptr report(const Worker& w, Fault fault, const std::string& what, const char* arriving, Site site) {
  struct Group {
    std::string state;
    std::vector<int> threads;
  };
  std::vector<Group> groups;
  for (int thread = 0; thread < w.threads; ++thread) {
    const std::string state = state_of(w, thread, arriving, site);
    auto group = groups.begin();
    while (group != groups.end() && group->state != state) ++group;
    if (group == groups.end()) group = groups.insert(group, {state, {}});
    group->threads.push_back(thread);
  }
  if constexpr (kChecked) tell_instrument(w, fault, what, arriving != nullptr, site);
  std::string text = kernel_name(w.launch->kernel) + ", block (" + std::to_string(blockIdx.x) + ", " +
                     std::to_string(blockIdx.y) + ", " + std::to_string(blockIdx.z) + "): " + what;
  for (std::size_t i = 0; i < groups.size(); ++i) {
    if (i == kMaxGroups) {
      text += "\n  and " + std::to_string(groups.size() - i) + " more groups of threads";
      break;
    }
    const auto& [state, threads] = groups[i];
    text += (threads.size() == 1 ? "\n  thread " : "\n  threads ") + ranges(threads) + ": " + state;
  }
  return std::make_exception_ptr(BarrierError(text));
}

// Where the first thread waits that waits in a warp function, or at the barrier.
Site waiting_at(const Worker& w, bool in_collective) {
  for (int i = 0; i < w.warp_count && in_collective; ++i) {
    if (w.warps[i].in_collective != 0) return w.warps[i].site[std::countr_zero(w.warps[i].in_collective)];
  }
  return w.barrier;
}

}  // namespace

std::exception_ptr diagnose_divergent_barrier(const Worker& w, Site site) {
  return report(w, Fault::barrier, "threads are at different barriers; all threads of a block must meet at the same",
                "a barrier", site);
}

std::exception_ptr diagnose_mask(const Worker& w, const Collective& what, unsigned mask, Site site) {
  const Warp& warp = w.warps[w.current >> 5];
  const bool outside = !(mask & (1u << (w.current & 31)));
  char text[16];
  std::snprintf(text, sizeof text, "0x%08x", mask);
  const std::string call = std::string(what.name) + " of lanes " + text;
  if (outside) return report(w, Fault::mask, call + " is called by a lane the mask leaves out", what.name, site);
  std::vector<int> ended;
  for (int lane = 0; lane < 32; ++lane) {
    if (mask & warp.ended & (1u << lane)) ended.push_back(lane);
  }
  return report(w, Fault::mask, call + " names lanes that have ended: " + ranges(ended), what.name, site);
}

std::exception_ptr diagnose(const Worker& w) {
  bool barrier = false, collective = false;
  for (int i = 0; i < w.warp_count; ++i) {
    const Warp& warp = w.warps[i];
    barrier |= warp.at_barrier != 0;
    collective |= warp.in_collective != 0;
    for (int lane = 0; lane < 32; ++lane) {
      if (!(warp.in_collective >> lane & 1)) continue;
      if (warp.mask[lane] & warp.ended) {
        return report(w, Fault::mask, std::string(warp.collective[lane]->name) + " names lanes that have ended",
                      nullptr, warp.site[lane]);
      }
      for (int other = 0; other < lane; ++other) {
        const bool named = (warp.mask[lane] >> other & 1) && (warp.mask[other] >> lane & 1);
        if (!named || !(warp.in_collective >> other & 1)) continue;
        if (warp.mask[other] != warp.mask[lane] || warp.collective[other] != warp.collective[lane]) {
          return report(w, Fault::mask,
                        "lanes of a warp wait for each other with different masks or in different functions", nullptr,
                        warp.site[lane]);
        }
      }
    }
  }
  if (collective && barrier) {
    return report(w, Fault::barrier,
                  "some threads wait at a barrier, others in a warp function for lanes that do not come", nullptr,
                  waiting_at(w, true));
  }
  if (collective) {
    return report(w, Fault::mask, "deadlock: lanes wait for each other", nullptr, waiting_at(w, true));
  }
  return report(w, Fault::barrier, "a barrier that some threads skip", nullptr, w.barrier);
}

}  // namespace gemel::GEMEL_EXECUTOR::detail
