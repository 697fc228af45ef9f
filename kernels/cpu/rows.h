// SPDX-License-Identifier: MIT
//
// Sums over the columns of a row: lanes run over the columns and are added in a fixed order, so that the bits depend on
// the width alone.
#pragma once

#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kRowsPerItem = 16;

// Calls f(row) for every row of [0, n), over the threads.
template <class F>
GEMEL_INLINE void for_each_row(int n, const F& f) {
  parallel(divide_up(n, kRowsPerItem), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * kRowsPerItem, end = min(begin + kRowsPerItem, n);
    for (int row = begin; row < end; ++row) f(row);
  });
}

// Sum of term(a_i, b_i) over `d` columns; term(0, 0) must be 0.
template <class F>
GEMEL_INLINE float sum_of(int d, const float* a, const float* b, const F& term) {
  const auto columns = static_cast<std::size_t>(d);
  constexpr std::size_t kStep = 4 * kLanes;
  Vec<kLanes> sums[4] = {};  // four chains, as one would wait for its additions
  std::size_t i = 0;
  for (; i + kStep <= columns; i += kStep) {
    GEMEL_UNROLL for (int v = 0; v < 4; ++v) sums[v] += term(load(a + i + v * kLanes), load(b + i + v * kLanes));
  }
  for (; i + kLanes <= columns; i += kLanes) sums[0] += term(load(a + i), load(b + i));
  if (i < columns) {
    const int rest = static_cast<int>(columns - i);
    sums[1] += term(load_part(a + i, rest), load_part(b + i, rest));
  }
  return sum_lanes((sums[0] + sums[1]) + (sums[2] + sums[3]));
}

GEMEL_INLINE float dot(int d, const float* a, const float* b) {
  return sum_of(d, a, b, [](Vec<kLanes> x, Vec<kLanes> y) { return x * y; });
}

// By direct differences: equal rows are at exactly 0, and close rows keep their digits.
GEMEL_INLINE float squared_distance(int d, const float* a, const float* b) {
  return sum_of(d, a, b, [](Vec<kLanes> x, Vec<kLanes> y) { return (x - y) * (x - y); });
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
