// SPDX-License-Identifier: MIT
//
// The k nearest rows of b to each row of a, without the matrix of distances.
//
// Shapes     a (N,D), b (M,D); distance, index (N,K), nearest first.
// Mapping    one block = 64 rows of a (queries) with one run of rows of b, 64 of them at a time: the tile of
//            pairwise_distance, 128 threads. Then thread q walks the 64 distances of query q and puts those that are
//            below the last of its list into the list. A second kernel, one thread a query, merges the runs' lists.
// Lists      K keys a query and run, ascending, in scratch: the distance's bits above the row's index. So equal
//            distances stand by ascending index, and NaN (made positive) behind infinity; no two keys are equal, and the
//            K smallest are the same however b is cut into runs.
// Shared     the tiles, 17 KB, and 64 x 65 distances, 17 KB: 65, so that the walking threads hit different banks.
// Traffic    b is read once for 64 queries: 24 multiply-add pairs a float read, bound by arithmetic; the walk adds one
//            comparison a pair. Insertions are rare after the first few hundred rows.
// Numerics   the distances are pairwise_distance's, bit for bit.
// Edges      N 0 launches nothing. NaN distances come last.
#include <algorithm>
#include <cmath>

#include "kernels/distance/distance_tile.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace distance_tile;

using Key = unsigned long long;

constexpr Key kNone = ~Key{0};
constexpr int kQueriesAtOnce = 16384;  // bounds the scratch
constexpr int kLeastRun = 4 * kTile;

__device__ __forceinline__ Key key_of(float distance, int index) {
  const unsigned bits = distance != distance ? 0x7fc00000u : __float_as_uint(distance);
  return Key{bits} << 32 | static_cast<unsigned>(index);
}

// Puts the key in its place among the k smallest so far, in ascending order.
__device__ __forceinline__ void insert(Key key, int k, Key* list) {
  if (key >= list[k - 1]) return;
  int at = k - 1;
  for (; at > 0 && list[at - 1] > key; --at) list[at] = list[at - 1];
  list[at] = key;
}

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    nearest_kernel(int n, int m, int d, int k, int runs, int run_rows, const float* __restrict__ a,
                   const float* __restrict__ b, bool squared, Key* __restrict__ lists) {
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  SIMT_SHARED(float, distances, [kTile][kTile + 1]);
  const int t = threadIdx.x, run = blockIdx.x % runs;
  const int first_i = blockIdx.x / runs * kTile;
  const int begin = run * run_rows, end = min(begin + run_rows, m);
  const bool has_query = t < kTile && first_i + t < n;
  Key* list = lists + (std::size_t(run) * n + (has_query ? first_i + t : 0)) * k;
  for (int i = 0; has_query && i < k; ++i) list[i] = kNone;

  for (int first_j = begin; first_j < end; first_j += kTile) {
    float sum[kRows][kColumns];
    squared_distances<kAligned>(n, end, d, a, b, first_i, first_j, tile_a, tile_b, sum);
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SIMT_UNROLL
      for (int c = 0; c < kColumns; ++c) {
        distances[row() + r][column(c)] = squared ? sum[r][c] : sqrtf(sum[r][c]);
      }
    }
    __syncthreads();
    // The barriers within the next tile part this reading from the next writing.
    for (int j = 0; has_query && j < min(kTile, end - first_j); ++j) {
      insert(key_of(distances[t][j], first_j + j), k, list);
    }
  }
}
SIMT_CONTRACT(nearest_kernel, .sectors = 2, .conflicts = 1.25, .loads = 170, .stores = 560, .registers = 88);

__global__ void merge_nearest_kernel(int n, int k, int runs, Key* __restrict__ lists, float* __restrict__ distance,
                                     std::int32_t* __restrict__ index) {
  const int query = blockIdx.x * blockDim.x + threadIdx.x;
  if (query >= n) return;
  Key* best = lists + std::size_t(query) * k;
  for (int run = 1; run < runs; ++run) {
    const Key* other = lists + (std::size_t(run) * n + query) * k;
    for (int i = 0; i < k && other[i] < best[k - 1]; ++i) insert(other[i], k, best);
  }
  for (int i = 0; i < k; ++i) {
    distance[std::size_t(query) * k + i] = __uint_as_float(static_cast<unsigned>(best[i] >> 32));
    index[std::size_t(query) * k + i] = static_cast<std::int32_t>(best[i] & 0xffffffffu);
  }
}
SIMT_CONTRACT(merge_nearest_kernel, .sectors = 2, .loads = 160, .stores = 310);

// How b is cut for n queries: into as many runs as fill the device.
struct Runs {
  int count, rows;
  Runs(int n, int m) {
    const int query_tiles = ceil_divide(n, kTile);
    rows = ceil_divide(m, std::clamp(kBlocksToFill / query_tiles, 1, std::max(m / kLeastRun, 1)));
    count = ceil_divide(m, rows);
  }
};

}  // namespace

void nearest(Queue queue, int n, int m, int d, int k, const float* a, const float* b, bool squared, float* distance,
             std::int32_t* index) {
  Key* lists = static_cast<Key*>(queue.scratch.data);
  gemm::scratch_floats(queue, nearest_scratch(n, m, d, k));
  for (int first = 0; first < n; first += kQueriesAtOnce) {
    const int at_hand = std::min(kQueriesAtOnce, n - first);
    const Runs runs(at_hand, m);
    const LaunchConfig config{
        .grid = static_cast<unsigned>(ceil_divide(at_hand, kTile) * runs.count), .block = kThreads, .queue = queue};
    const float* queries = a + std::size_t(first) * d;
    if (d % 4 == 0) {
      launch<nearest_kernel<true>>(config, at_hand, m, d, k, runs.count, runs.rows, queries, b, squared, lists);
    } else {
      launch<nearest_kernel<false>>(config, at_hand, m, d, k, runs.count, runs.rows, queries, b, squared, lists);
    }
    launch_flat<merge_nearest_kernel>(
        {.grid = static_cast<unsigned>(ceil_divide(at_hand, kThreads)), .block = kThreads, .queue = queue}, at_hand, k,
        runs.count, lists, distance + std::size_t(first) * k, index + std::size_t(first) * k);
  }
}

std::size_t nearest_scratch(int n, int m, int, int k) {
  if (n == 0) return 0;
  // Fewer queries may be cut into more runs; the last ones of many are fewer.
  std::size_t keys = 0;
  for (const int queries : {std::min(n, kQueriesAtOnce), n > kQueriesAtOnce ? n % kQueriesAtOnce : 0}) {
    if (queries > 0) keys = std::max(keys, std::size_t(Runs(queries, m).count) * queries * k);
  }
  return keys * sizeof(Key);
}

}  // namespace gemel::GEMEL_DEVICE
