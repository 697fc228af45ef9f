// SPDX-License-Identifier: MIT
//
// Passes over an (M,C) matrix by channel: every element with its channel's numbers, and two sums a channel.
//
// Work      an item is a chunk of rows, as many as 16 KB hold but 32 to 1024, so that chunks depend on the shape alone
//           and a column of a chunk's vectors finds the other half of its cache lines where the last one left it.
// Numerics  sums: f32 within a chunk, rows in 4 chains, then double over the chunks in ascending order.
#pragma once

#include "kernels/cpu/checks.h"
#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/scratch.h"

namespace gemel::GEMEL_DEVICE {
namespace {

struct RowChunks {
  std::size_t m, rows;  // rows of a chunk
  RowChunks(std::size_t m_rows, int c) : m(m_rows), rows(static_cast<std::size_t>(min(max(4096 / c, 32), 1024))) {}
  std::int64_t count() const { return static_cast<std::int64_t>((m + rows - 1) / rows); }
  std::size_t begin(std::int64_t chunk) const { return static_cast<std::size_t>(chunk) * rows; }
  std::size_t end(std::int64_t chunk) const {
    const std::size_t last = begin(chunk) + rows;
    return last < m ? last : m;
  }
};

// Calls f(i, channel, lanes) for each vector of each row, i = row * C + channel.
template <class F>
GEMEL_INLINE void for_each_channel_vector(std::size_t m, int c, const F& f) {
  const RowChunks chunks(m, c);
  parallel(chunks.count(), [&](std::int64_t chunk, int) {
    const std::size_t end = chunks.end(chunk);
    for (std::size_t row = chunks.begin(chunk); row < end; ++row) {
      for_each_vector(static_cast<std::size_t>(c),
                      [&](std::size_t k, int lanes) { f(row * static_cast<std::size_t>(c) + k, k, lanes); });
    }
  });
}

struct SumPair {
  Vec<kLanes> a{}, b{};
};

// The sum over rows [begin, end) of what add(i, lanes, sums) adds for elements i = row * C + k.
template <class F>
GEMEL_INLINE SumPair sum_rows(std::size_t begin, std::size_t end, int c, std::size_t k, int lanes, const F& add) {
  const auto pitch = static_cast<std::size_t>(c);
  SumPair sums[4];
  std::size_t row = begin;
  for (; row + 4 <= end; row += 4) {
    GEMEL_UNROLL for (std::size_t j = 0; j < 4; ++j) add((row + j) * pitch + k, lanes, sums[j]);
  }
  for (; row < end; ++row) add(row * pitch + k, lanes, sums[0]);
  return {(sums[0].a + sums[1].a) + (sums[2].a + sums[3].a), (sums[0].b + sums[1].b) + (sums[2].b + sums[3].b)};
}

constexpr std::size_t partial_floats(std::int64_t chunks, int c) {
  return static_cast<std::size_t>(2 * chunks) * static_cast<std::size_t>(c);
}

// Leaves a chunk's pair of channel k at partial[2 chunk C + k] and partial[(2 chunk + 1) C + k]; one(begin, end, k,
// lanes) computes it.
template <class F>
GEMEL_INLINE void for_each_chunk_pair(const RowChunks& chunks, int c, float* partial, const F& one) {
  parallel(chunks.count(), [&](std::int64_t chunk, int) {
    float* const to = partial + partial_floats(chunk, c);
    for_each_vector(static_cast<std::size_t>(c), [&](std::size_t k, int lanes) {
      const SumPair pair = one(chunks.begin(chunk), chunks.end(chunk), k, lanes);
      store_lanes(to + k, pair.a, lanes);
      store_lanes(to + c + k, pair.b, lanes);
    });
  });
}

// end(k, a, b) for every channel, a and b the sums over all rows of what add(i, k, lanes, sums) adds.
template <class F, class End>
GEMEL_INLINE void sum_channels(std::size_t m, int c, float* partial, const F& add, const End& end) {
  const RowChunks chunks(m, c);
  for_each_chunk_pair(chunks, c, partial, [&](std::size_t first, std::size_t last, std::size_t k, int lanes) {
    return sum_rows(first, last, c, k, lanes, [&](std::size_t i, int l, SumPair& sums) { add(i, k, l, sums); });
  });
  for (int k = 0; k < c; ++k) {
    double a = 0, b = 0;
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const float* from = partial + partial_floats(chunk, c) + k;
      a += from[0];
      b += from[c];
    }
    end(k, a, b);
  }
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
