// SPDX-License-Identifier: MIT
//
// nearest for the CPU: the k rows of b that are nearest to each row of a, without the matrix of distances.
//
// The distances are those of pairwise_distance, to the bit (squared_distance.h), with the sides exchanged: the queries
// (rows of a) are the columns of the register tile, packed once, and the rows of b, far more of them, are read where
// they lie and once for kQueries queries. So one query is bound by memory, 64 are by arithmetic.
//
// Replaces the executor's kernel: 64 queries in 10,000 rows of 128 columns, k = 10, take 2.4 ms instead of 65 (60 % of
// the multiply-add peak; Zen 3 EPYC, AVX2, g++ 12, CPU time).
//
// Work     an item is kQueries queries with one of at most kMostChunks runs of rows of b. Its list of the best k of
//          every query is sorted and small; the tile's distances are compared with the last of it, a vector of queries
//          at a time, and seldom enter. The lists of all runs are merged at the end.
// Order    a list is sorted by key: the distance's bits above the row's index, so that equal distances stand by
//          ascending index and NaN (made positive) behind infinity. No two keys are equal: the k smallest are the same
//          whatever the runs and the threads.
#include "kernels/cpu/checks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/squared_distance.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using Key = std::uint64_t;
constexpr Key kNone = ~Key{0};

constexpr int kQueries = 64;
constexpr int kRows = 96;  // of b at a time: their norms wait on the stack, they themselves in the cache
constexpr int kMostChunks = 16, kLeastChunkRows = 4096;
constexpr int kListsAtOnce = 16384;  // queries times chunks: bounds the scratch
constexpr int kPanelWidth = 2 * kLanes;

struct Plan {
  int k, chunks, chunk_rows;
  int queries;  // at once
  float *packed, *norms;
  Key* lists;  // (chunks, queries, k)

  Plan(int n, int m, int d, int k, Carver& carver) : k(k) {
    chunks = max(1, min(kMostChunks, m / kLeastChunkRows));
    chunk_rows = divide_up(m, chunks);
    queries = min(round_up(n, kQueries), round_up(kListsAtOnce / chunks, kQueries));
    packed = carver.take<float>(static_cast<std::size_t>(queries) * d);
    norms = carver.take<float>(static_cast<std::size_t>(queries));
    lists = carver.take<Key>(static_cast<std::size_t>(chunks) * queries * k);
  }
  Key* list(int chunk, int query) const { return lists + (std::ptrdiff_t{chunk} * queries + query) * k; }
};

Key key_of(float distance, int index) {
  std::uint32_t bits;
  __builtin_memcpy(&bits, &distance, sizeof bits);
  return Key{distance != distance ? 0x7fc00000u : bits} << 32 | static_cast<std::uint32_t>(index);
}

float distance_of(Key key) {
  const auto bits = static_cast<std::uint32_t>(key >> 32);
  float distance;
  __builtin_memcpy(&distance, &bits, sizeof distance);
  return distance;
}

// Puts the key in its place among the k smallest so far, in ascending order.
void insert(Key key, int k, Key* list) {
  if (key >= list[k - 1]) return;
  int at = k - 1;
  for (; at > 0 && list[at - 1] > key; --at) list[at] = list[at - 1];
  list[at] = key;
}

// The squared distance from which on no later row enters the list; NaN: every row may. A root of the least float below
// the last distance is still below it when squared; the margin covers the rounding of both.
float limit_of(Key last, bool squared) {
  if (last == kNone) return __builtin_nanf("");
  const float distance = distance_of(last);
  return squared ? distance : distance * distance * 1.000001f;
}

// The queries at hand: one panel of the tile each kPanelWidth of them, packed; lanes without a query are 0.
struct Queries {
  int count;
  const float *rows, *packed, *norms;
};

// A panel of `count` queries is as wide as they need.
template <class F>
GEMEL_INLINE void with_panel(int count, F&& f) {
  if (count <= kLanes) return f(TileSize<kLanes, 1>{});
  f(TileSize<kLanes, 2>{});
}

template <class Size>
void pack_queries(int count, int d, const float* rows, float* packed, float* norms) {
  if (count == Size::kWidth) {
    const Panel panel{kLanes, Size::kVectors, 0, (Size::kVectors - 1) * kLanes, kLanes};
    pack_transposed<Size>(panel, d, rows, d, packed);
  } else {
    for (int k = 0; k < d; ++k) {
      for (int q = 0; q < Size::kWidth; ++q) {
        packed[k * Size::kWidth + q] = q < count ? rows[std::ptrdiff_t{q} * d + k] : 0.0f;
      }
    }
  }
  squared_norms(count, d, rows, d, norms);
  for (int q = count; q < Size::kWidth; ++q) norms[q] = 0;
}

// One item: its queries, their lists (the first at `lists`), and limit_of() each list's end.
struct Search {
  Queries queries;
  int d, k;
  bool squared;
  const float* b;
  Key* lists;
  float limits[kQueries];
};

// Puts the distances of rows [row, row + rows) of b to the `count` queries from `query` on, whose products are in the
// tile, into the lists.
template <class Size>
[[gnu::noinline]] void collect(Search& s, int row, int rows, const float* row_norms, int query, int count,
                               float* tile) {
  constexpr int kWide = Size::kLanes;
  const bool unmeasured = from_products<Size>(rows, row_norms, s.queries.norms + query, tile);
  for (int i = row; i < row + rows; ++i, tile += Size::kWidth) {
    if (unmeasured) {
      measure_directly(s.d, s.b + std::ptrdiff_t{i} * s.d, s.queries.rows + std::ptrdiff_t{query} * s.d, s.d, count,
                       tile);
    }
    IntVec<kWide> enters{};
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      enters |= ~(load<kWide>(tile + j * kWide) >= load<kWide>(s.limits + query + j * kWide));
    }
    if (!any<kWide>(enters)) continue;
    for (int q = 0; q < count; ++q) {
      if (tile[q] >= s.limits[query + q]) continue;
      Key* list = s.lists + std::ptrdiff_t{query + q} * s.k;
      insert(key_of(s.squared ? tile[q] : square_root(tile[q]), i), s.k, list);
      s.limits[query + q] = limit_of(list[s.k - 1], s.squared);
    }
  }
}

// Rows of the tile: a pointer to each must stay in an integer register.
constexpr int search_rows(int vectors) { return min(tile_rows(vectors), 8); }

// Asks for row `row` of b, which is to be read soon.
GEMEL_INLINE void prefetch(const Search& s, int row) {
  constexpr int kLine = 16;
  const float* from = s.b + std::ptrdiff_t{row} * s.d;
  for (int k = 0; k < s.d; k += kLine) __builtin_prefetch(from + k);
}

// Rows [row, row + rows) of b with one panel of queries. While the first panel is at work, the rows that come next, up
// to `end`, are fetched: a single query leaves little else to hide the memory's latency behind.
template <class Size>
void search_panel(Search& s, int row, int rows, int end, const float* row_norms, int query, int count) {
  constexpr int kTile = search_rows(Size::kVectors);
  alignas(64) float tile[kTile * Size::kWidth];
  const float* packed = s.queries.packed + std::ptrdiff_t{query} * s.d;
  for (int i = 0; i < rows; i += kTile) {
    const float* pointers[kTile];
    for (int t = 0; t < kTile; ++t) {
      pointers[t] = s.b + std::ptrdiff_t{row + min(i + t, rows - 1)} * s.d;
      if (query == 0 && row + rows + i + t < end) prefetch(s, row + rows + i + t);
    }
    multiply_tile<Size>(pointers, s.d, packed, false, tile);
    collect<Size>(s, row + i, min(kTile, rows - i), row_norms + i, query, count, tile);
  }
}

void search(Search& s, int begin, int end) {
  for (int q = 0; q < kQueries; ++q) s.limits[q] = q < s.queries.count ? __builtin_nanf("") : 0.0f;
  for (std::ptrdiff_t i = 0; i < std::ptrdiff_t{s.queries.count} * s.k; ++i) s.lists[i] = kNone;
  // One tile at a time, where there is one panel: the memory is then never left idle.
  const int at_once = s.queries.count <= kLanes ? search_rows(1) : kRows;
  for (int row = begin; row < end; row += at_once) {
    const int rows = min(at_once, end - row);
    float row_norms[kRows];
    squared_norms(rows, s.d, s.b + std::ptrdiff_t{row} * s.d, s.d, row_norms);
    for (int query = 0; query < s.queries.count; query += kPanelWidth) {
      const int count = min(kPanelWidth, s.queries.count - query);
      with_panel(count, [&](auto size) { search_panel<decltype(size)>(s, row, rows, end, row_norms, query, count); });
    }
  }
}

}  // namespace

void nearest(Queue queue, int n, int m, int d, int k, const float* a, const float* b, bool squared, float* distance,
             std::int32_t* index) {
  if (n == 0) return;
  Carver carver(queue.scratch.data);
  const Plan plan(n, m, d, k, carver);
  require_scratch(queue, carver.used(), "nearest");
  for (int first = 0; first < n; first += plan.queries) {
    const int at_hand = min(plan.queries, n - first);
    const float* rows = a + std::ptrdiff_t{first} * d;
    parallel(divide_up(at_hand, kPanelWidth), [&](std::int64_t item, int) {
      const std::ptrdiff_t query = item * kPanelWidth;
      const int count = min(kPanelWidth, at_hand - static_cast<int>(query));
      with_panel(count, [&](auto size) {
        pack_queries<decltype(size)>(count, d, rows + query * d, plan.packed + query * d, plan.norms + query);
      });
    });
    const int groups = divide_up(at_hand, kQueries);
    parallel(std::int64_t{groups} * plan.chunks, [&](std::int64_t item, int) {
      const int group = static_cast<int>(item % groups), chunk = static_cast<int>(item / groups);
      const std::ptrdiff_t query = std::ptrdiff_t{group} * kQueries;
      Search s{{min(kQueries, at_hand - static_cast<int>(query)), rows + query * d, plan.packed + query * d,
                plan.norms + query},
               d,
               k,
               squared,
               b,
               plan.list(chunk, static_cast<int>(query)),
               {}};
      search(s, min(chunk * plan.chunk_rows, m), min((chunk + 1) * plan.chunk_rows, m));
    });
    parallel(divide_up(at_hand, kQueries), [&](std::int64_t item, int) {
      const int begin = static_cast<int>(item) * kQueries, end = min(begin + kQueries, at_hand);
      for (int query = begin; query < end; ++query) {
        Key* best = plan.list(0, query);
        for (int chunk = 1; chunk < plan.chunks; ++chunk) {
          const Key* other = plan.list(chunk, query);
          for (int i = 0; i < k && other[i] < best[k - 1]; ++i) insert(other[i], k, best);
        }
        const std::ptrdiff_t out = (std::ptrdiff_t{first} + query) * k;
        for (int i = 0; i < k; ++i) {
          distance[out + i] = distance_of(best[i]);
          index[out + i] = static_cast<std::int32_t>(best[i] & 0xffffffffu);
        }
      }
    });
  }
}

std::size_t nearest_scratch(int n, int m, int d, int k) {
  Carver carver(nullptr);
  const Plan plan(n, m, d, k, carver);
  return carver.used();
}

}  // namespace gemel::GEMEL_DEVICE
