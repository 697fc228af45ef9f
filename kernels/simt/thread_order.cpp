// SPDX-License-Identifier: MIT
//
// In which order the threads of a block get their turns.
#include <algorithm>
#include <cstdint>
#include <cstdlib>
#include <numeric>
#include <random>
#include <string>
#include <string_view>

#include "kernels/simt/executor.h"
#include "kernels/simt/worker.h"

namespace gemel::GEMEL_EXECUTOR {
namespace {

ThreadOrder order_from_environment() {
  const char* text = std::getenv("GEMEL_SIMT_ORDER");
  const std::string_view value = text == nullptr ? "" : text;
  constexpr std::string_view kShuffle = "shuffle:";
  if (value.empty() || value == "forward") return {};
  if (value == "reverse") return {ThreadOrder::Kind::reverse};
  if (value.substr(0, kShuffle.size()) == kShuffle && value.size() > kShuffle.size()) {
    char* end = nullptr;
    const std::uint64_t seed = std::strtoull(text + kShuffle.size(), &end, 10);
    if (*end == '\0') return {ThreadOrder::Kind::shuffle, seed};
  }
  throw LaunchError("GEMEL_SIMT_ORDER is '" + std::string(value) + "'; forward, reverse or shuffle:NUMBER is wanted");
}

ThreadOrder& current_order() {
  static ThreadOrder order = order_from_environment();
  return order;
}

}  // namespace

void set_thread_order(ThreadOrder order) { current_order() = order; }
ThreadOrder thread_order() { return current_order(); }

namespace detail {
namespace {

std::uint64_t mix(std::uint64_t x) {  // splitmix64's finaliser
  x = (x ^ x >> 30) * 0xbf58476d1ce4e5b9;
  x = (x ^ x >> 27) * 0x94d049bb133111eb;
  return x ^ x >> 31;
}

}  // namespace

void set_order(Worker& w, ThreadOrder order, std::uint64_t block) {
  w.in_order = order.kind == ThreadOrder::Kind::forward;
  if (w.in_order) return;
  std::iota(w.order, w.order + w.threads, 0);
  if (order.kind == ThreadOrder::Kind::reverse) {
    std::reverse(w.order, w.order + w.threads);
  } else {
    std::mt19937_64 random(mix(order.seed + 0x9e3779b97f4a7c15 * (block + 1)));
    for (int i = w.threads - 1; i > 0; --i) {
      std::swap(w.order[i], w.order[random() % static_cast<std::uint64_t>(i + 1)]);
    }
  }
  for (int turn = 0; turn < w.threads; ++turn) w.turn_of[w.order[turn]] = turn;
}

}  // namespace detail
}  // namespace gemel::GEMEL_EXECUTOR
