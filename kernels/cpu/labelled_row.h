// SPDX-License-Identifier: MIT
//
// One anchor's row of a matrix of all pairs (distances, similarities): lanes run over its columns, which labels sort into
// positives and negatives. What the losses on such matrices share.
#pragma once

#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr float kInfinity = __builtin_inff();

struct Row {
  int n, anchor;
  std::int32_t label;
  const float* values;
  const std::int32_t* labels;
};

GEMEL_INLINE Row row_of(int n, int anchor, const float* matrix, const std::int32_t* labels) {
  return {n, anchor, labels[anchor], matrix + std::ptrdiff_t{anchor} * n, labels};
}

// kLanes columns of it. The masks are all ones (-1) or 0 a lane; lanes past the row's end are neither.
struct Columns {
  Vec<kLanes> values;
  IntVec<kLanes> at, positive, negative;
};

GEMEL_INLINE IntVec<kLanes> lane_numbers() {
  IntVec<kLanes> numbers{};
  GEMEL_UNROLL for (int i = 0; i < kLanes; ++i) numbers[i] = i;
  return numbers;
}

template <bool Part>
GEMEL_INLINE Columns columns_at(const Row& row, int first) {
  Columns c;
  IntVec<kLanes> labels{};
  c.at = lane_numbers() + first;
  if constexpr (Part) {
    c.values = load_part(row.values + first, row.n - first);
    for (int i = 0; i < row.n - first; ++i) labels[i] = row.labels[first + i];
  } else {
    c.values = load(row.values + first);
    __builtin_memcpy(&labels, row.labels + first, sizeof labels);
  }
  const IntVec<kLanes> same = labels == row.label;
  c.positive = same & (c.at != row.anchor);
  c.negative = ~same;
  if constexpr (Part) {
    const IntVec<kLanes> inside = c.at < row.n;
    c.positive &= inside;
    c.negative &= inside;
  }
  return c;
}

// Calls f(columns, first column, lanes) for the whole row.
template <class F>
GEMEL_INLINE void for_each_columns(const Row& row, const F& f) {
  int first = 0;
  for (; first + kLanes <= row.n; first += kLanes) f(columns_at<false>(row, first), first, kLanes);
  if (first < row.n) f(columns_at<true>(row, first), first, row.n - first);
}

GEMEL_INLINE bool any(IntVec<kLanes> mask) {
  std::int32_t bits = 0;
  GEMEL_UNROLL for (int i = 0; i < kLanes; ++i) bits |= mask[i];
  return bits != 0;
}

GEMEL_INLINE int sum_lanes(IntVec<kLanes> v) {
  int sum = 0;
  GEMEL_UNROLL for (int i = 0; i < kLanes; ++i) sum += v[i];
  return sum;
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
