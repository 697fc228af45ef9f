// SPDX-License-Identifier: MIT
//
// Loops over flat arrays: blocks over the threads, whole vectors in a block, one part of a vector at the very end. The
// end goes through the same vector code as the rest, so an element's bits do not depend on where it stands.
#pragma once

#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr std::size_t kElementsPerItem = 1 << 14;  // 64 KB an operand: some microseconds

// Calls f(first, count) for blocks of [0, count).
template <class F>
GEMEL_INLINE void for_each_block(std::size_t count, const F& f) {
  parallel(static_cast<std::int64_t>((count + kElementsPerItem - 1) / kElementsPerItem), [&](std::int64_t item, int) {
    const std::size_t first = static_cast<std::size_t>(item) * kElementsPerItem;
    f(first, count - first < kElementsPerItem ? count - first : kElementsPerItem);
  });
}

// Calls f(index, lanes) for each vector of [0, count); lanes < kLanes in the last one, perhaps.
template <class F>
GEMEL_INLINE void for_each_vector(std::size_t count, const F& f) {
  std::size_t i = 0;
  for (; i + kLanes <= count; i += kLanes) f(i, kLanes);
  if (i < count) f(i, static_cast<int>(count - i));
}

GEMEL_INLINE Vec<kLanes> load_lanes(const float* p, int lanes) {
  return lanes == kLanes ? load(p) : load_part(p, lanes);
}
GEMEL_INLINE void store_lanes(float* p, Vec<kLanes> v, int lanes) {
  if (lanes == kLanes) return store(p, v);
  store_part(p, v, lanes);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
