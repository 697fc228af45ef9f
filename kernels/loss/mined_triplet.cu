// SPDX-License-Identifier: MIT
//
// The triplets that a mining chooses, found as the tiles of distances are made; their losses and dL/d(d2). The distances
// themselves are never written.
//
//   semi_hard    every positive p of an anchor with the nearest negative that is farther than p, or, if there is none,
//                with the farthest negative (FaceNet, Schroff et al. 2015, section 3.2)
//   batch_hard   the farthest positive with the nearest negative (Hermans et al. 2017, eq. 5)
//   pull         dl/d(d2) at (anchor, positive)     push   less dl/d(d2) at (anchor, negative)     l: triplet.cu
// An anchor without positives or without negatives has no triplet.
//
// Shapes     e (N,D), labels, loss, count, active (N), triplets (most,N).
// Mapping    one block = 64 anchors with one slice of the rows, 64 of them at a time: the tile of pairwise_distance, 128
//            threads with 4 x 8 pairs each. One more kernel, a thread an anchor, puts the slices' candidates together.
//            batch_hard: a thread keeps the candidates of its 4 rows in registers through the whole slice; then the 8
//            threads of a row compare theirs by shuffles.
//            semi_hard: before, a warp an anchor lists the positives and measures them directly, by the same sum as the
//            tile's. Of each tile, two threads an anchor walk its 64 distances for 4 positives at a time; the best
//            negative so far of each is in scratch between two tiles.
// Shared     the tiles, 17 KB; semi_hard 64 x 65 distances besides, 17 KB: 65, so that walking threads hit 32 banks.
// Traffic    3 FLOPs a pair and column, as pairwise_distance: bound by arithmetic; semi_hard besides takes 3 steps of
//            integers a negative and positive of an anchor. Scratch: 16 bytes a row and slice, and for semi_hard 8 a row, slice and
//            positive, at most kMostPartials of these a row, or one slice.
// Numerics   distances are pairwise_distance's, bit for bit; choices depend on them alone and ties go to the lowest row,
//            so that neither slices nor tiles show. They are compared by their bits, as integers.
// Edges      N 0 launches nothing. NaN distances are mined before any other. An anchor with more than `most` triplets
//            has loss, pull and push NaN.
#include <algorithm>
#include <cmath>

#include "kernels/distance/distance_tile.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/loss/triplet_term.cuh"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace distance_tile;

constexpr int kHeld = 4;            // positives that a thread walks a row for at a time
constexpr int kMostPartials = 128;  // positives x slices of an anchor, unless that is one slice

// ---- candidates
// A row and its place by its squared distance from the anchor: the lower rank comes first, of equal ones the lower row.
// NaN is rank 0 both ways. Squared distances are +0 at least, so that their bits rise as they do.
constexpr unsigned kNoRank = 0xffffffffu;

struct Candidate {
  int row = -1;
  unsigned rank = kNoRank;
};

struct Nearest {
  static __device__ __forceinline__ unsigned rank(float d2) { return d2 != d2 ? 0 : __float_as_uint(d2) + 1; }
  static __device__ __forceinline__ float d2(unsigned rank) { return rank == 0 ? NAN : __uint_as_float(rank - 1); }
};
struct Farthest {
  static __device__ __forceinline__ unsigned rank(float d2) { return d2 != d2 ? 0 : kNoRank - 1 - __float_as_uint(d2); }
  static __device__ __forceinline__ float d2(unsigned rank) {
    return rank == 0 ? NAN : __uint_as_float(kNoRank - 1 - rank);
  }
};

// For rows that come in ascending order.
__device__ __forceinline__ void take_next(int row, unsigned rank, Candidate& best) {
  if (rank < best.rank) best = {row, rank};
}
__device__ __forceinline__ void take(const Candidate& c, Candidate& best) {
  if (c.rank < best.rank || (c.rank == best.rank && c.row < best.row)) best = c;
}

// The best of the kAcross threads that share rows of pairs, neighbours of one warp, in each of them.
__device__ __forceinline__ Candidate best_across(Candidate best) {
  SIMT_UNROLL
  for (int step = kAcross / 2; step > 0; step /= 2) {
    const int row = __shfl_xor_sync(kAllLanes, best.row, step);
    take({row, __shfl_xor_sync(kAllLanes, best.rank, step)}, best);
  }
  return best;
}

// Candidates in scratch.
struct Candidates {
  std::int32_t* row;
  unsigned* rank;

  __device__ __forceinline__ Candidate load(std::size_t at) const { return {row[at], rank[at]}; }
  __device__ __forceinline__ void store(std::size_t at, const Candidate& c) const {
    row[at] = c.row;
    rank[at] = c.rank;
  }
};

// The best of the slices' candidates, which stand from `at` on, `stride` apart.
__device__ __forceinline__ Candidate best_of_slices(const Candidates& candidates, int slices, std::size_t stride,
                                                    std::size_t at) {
  Candidate best;
  for (int s = 0; s < slices; ++s) take(candidates.load(s * stride + at), best);
  return best;
}

// ---- results
// An anchor's sums over its triplets.
struct Sums {
  float loss = 0;
  int count = 0, active = 0;
};

__device__ __forceinline__ void no_triplet(const MinedTriplets& triplets, std::size_t at) {
  triplets.positive[at] = triplets.negative[at] = -1;
  triplets.pull[at] = triplets.push[at] = 0;
}

// Writes the triplet of these two and adds it to the sums. `spoil` 0, or NaN.
__device__ __forceinline__ void settle(const TripletParams& params, int positive, float d2_positive, int negative,
                                       float d2_negative, float spoil, const MinedTriplets& triplets, std::size_t at,
                                       Sums& sums) {
  const float d_positive = metric(params, d2_positive), d_negative = metric(params, d2_negative);
  const float u = d_positive - d_negative, loss = triplet_loss(params, u);
  const float slope = loss_slope(params, u) + spoil;
  triplets.positive[at] = positive;
  triplets.negative[at] = negative;
  triplets.pull[at] = slope * metric_slope(params, d_positive);
  triplets.push[at] = slope * metric_slope(params, d_negative);
  sums.loss += loss + spoil;
  sums.count += 1;
  sums.active += loss != 0;
}

__device__ __forceinline__ void store(const Sums& sums, int anchor, float* loss, float* count, float* active) {
  loss[anchor] = sums.loss;
  count[anchor] = static_cast<float>(sums.count);
  active[anchor] = static_cast<float>(sums.active);
}

// ---- batch_hard
template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    triplet_batch_hard_kernel(int n, int d, int slices, int slice_rows, const float* __restrict__ e,
                              const std::int32_t* __restrict__ labels, Candidates positives, Candidates negatives) {
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  const int slice = blockIdx.x % slices, first_i = blockIdx.x / slices * kTile;
  const int begin = slice * slice_rows, end = min(begin + slice_rows, n);
  std::int32_t label[kRows];
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) label[r] = labels[min(first_i + row() + r, n - 1)];

  Candidate positive[kRows], negative[kRows];
  for (int first_j = begin; first_j < end; first_j += kTile) {
    float sum[kRows][kColumns];
    squared_distances<kAligned>(n, end, d, e, e, first_i, first_j, tile_a, tile_b, sum);
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int j = first_j + column(c);
      if (j >= end) continue;
      const std::int32_t theirs = labels[j];
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        if (theirs != label[r]) {
          take_next(j, Nearest::rank(sum[r][c]), negative[r]);
        } else if (j != first_i + row() + r) {
          take_next(j, Farthest::rank(sum[r][c]), positive[r]);
        }
      }
    }
  }

  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const Candidate farthest = best_across(positive[r]), nearest = best_across(negative[r]);
    const int i = first_i + row() + r;
    if (threadIdx.x % kAcross == 0 && i < n) {
      positives.store(std::size_t(slice) * n + i, farthest);
      negatives.store(std::size_t(slice) * n + i, nearest);
    }
  }
}
SIMT_CONTRACT(triplet_batch_hard_kernel, .sectors = 1.1, .loads = 4.5, .stores = 4.2, .registers = 96);

__global__ void triplet_batch_hard_settle_kernel(int n, int most, int slices, TripletParams params,
                                                 Candidates positives, Candidates negatives, MinedTriplets triplets,
                                                 float* __restrict__ loss, float* __restrict__ count,
                                                 float* __restrict__ active) {
  const int anchor = blockIdx.x * blockDim.x + threadIdx.x;
  if (anchor >= n) return;
  const Candidate positive = best_of_slices(positives, slices, n, anchor);
  const Candidate negative = best_of_slices(negatives, slices, n, anchor);
  Sums sums;
  if (positive.row >= 0 && negative.row >= 0) {
    settle(params, positive.row, Farthest::d2(positive.rank), negative.row, Nearest::d2(negative.rank), 0.0f, triplets,
           anchor, sums);
  }
  for (int q = sums.count; q < most; ++q) no_triplet(triplets, std::size_t(q) * n + anchor);
  store(sums, anchor, loss, count, active);
}
SIMT_CONTRACT(triplet_batch_hard_settle_kernel);

// ---- semi_hard
// The positives of anchors, in ascending order: how many, and the first `most` with their squared distances.
__global__ void __launch_bounds__(32)
    triplet_positives_kernel(int n, int d, int most, const float* __restrict__ e,
                             const std::int32_t* __restrict__ labels, std::int32_t* __restrict__ positive,
                             float* __restrict__ d2, std::int32_t* __restrict__ n_positives) {
  const int anchor = blockIdx.x, lane = threadIdx.x;
  const std::int32_t label = labels[anchor];
  int found = 0;
  for (int first = 0; first < n; first += 32) {
    const int j = first + lane;
    const bool member = j < n && j != anchor && labels[j] == label;
    const unsigned members = __ballot_sync(kAllLanes, member);
    const int q = found + __popc(members & ((1u << lane) - 1));
    if (member && q < most) positive[std::size_t(q) * n + anchor] = j;
    found += __popc(members);
  }
  if (lane == 0) n_positives[anchor] = found;
  __syncwarp();
  const float* own = e + std::size_t(anchor) * d;
  for (int q = lane; q < min(found, most); q += 32) {
    const float* theirs = e + std::size_t(positive[std::size_t(q) * n + anchor]) * d;
    float sum = 0;
    for (int k = 0; k < d; ++k) {
      const float difference = own[k] - theirs[k];
      sum += difference * difference;
    }
    d2[std::size_t(q) * n + anchor] = sum;
  }
}
SIMT_CONTRACT(triplet_positives_kernel, .sectors = 4.0, .loads = 65, .stores = 8.4);

template <bool kAligned>
__global__ void __launch_bounds__(kThreads)
    triplet_semi_hard_kernel(int n, int d, int most, int slices, int slice_rows, const float* __restrict__ e,
                             const std::int32_t* __restrict__ labels, const std::int32_t* __restrict__ n_positives,
                             const float* __restrict__ d2_positive, Candidates farthest, Candidates beyond) {
  SIMT_SHARED(float, tile_a, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_b, [kDepth][kPitch]);
  SIMT_SHARED(float, distances, [kTile][kTile + 1]);
  const int slice = blockIdx.x % slices, first_i = blockIdx.x / slices * kTile;
  const int begin = slice * slice_rows, end = min(begin + slice_rows, n);
  const int walked = threadIdx.x % kTile, part = threadIdx.x / kTile, anchor = first_i + walked;
  const bool has_anchor = anchor < n;
  const std::int32_t label = has_anchor ? labels[anchor] : 0;
  const int listed = has_anchor ? min(n_positives[anchor], most) : 0;
  const std::size_t first_beyond = std::size_t(slice) * most * n + anchor;

  Candidate last_resort;
  for (int first_j = begin; first_j < end; first_j += kTile) {
    float sum[kRows][kColumns];
    squared_distances<kAligned>(n, end, d, e, e, first_i, first_j, tile_a, tile_b, sum);
    SIMT_UNROLL
    for (int r = 0; r < kRows; ++r) {
      SIMT_UNROLL
      for (int c = 0; c < kColumns; ++c) distances[row() + r][column(c)] = sum[r][c];
    }
    __syncthreads();
    // The barriers within the next tile part this reading from the next writing.
    const int columns = min(kTile, end - first_j);
    for (int j = 0; has_anchor && part == 0 && j < columns; ++j) {
      if (labels[first_j + j] != label) take_next(first_j + j, Farthest::rank(distances[walked][j]), last_resort);
    }
    for (int q = part * kHeld; q < listed; q += kThreads / kTile * kHeld) {
      unsigned limit[kHeld];
      Candidate best[kHeld];
      SIMT_UNROLL
      for (int h = 0; h < kHeld; ++h) {
        limit[h] = kNoRank;
        if (q + h >= listed) continue;
        limit[h] = Nearest::rank(d2_positive[std::size_t(q + h) * n + anchor]);
        if (first_j > begin) best[h] = beyond.load(first_beyond + std::size_t(q + h) * n);
      }
      for (int j = 0; j < columns; ++j) {
        if (labels[first_j + j] == label) continue;
        const unsigned rank = Nearest::rank(distances[walked][j]);
        SIMT_UNROLL
        for (int h = 0; h < kHeld; ++h) {
          if (rank > limit[h]) take_next(first_j + j, rank, best[h]);
        }
      }
      SIMT_UNROLL
      for (int h = 0; h < kHeld; ++h) {
        if (q + h < listed) beyond.store(first_beyond + std::size_t(q + h) * n, best[h]);
      }
    }
  }
  if (has_anchor && part == 0) farthest.store(std::size_t(slice) * n + anchor, last_resort);
}
SIMT_CONTRACT(triplet_semi_hard_kernel, .conflicts = 1.1, .loads = 4.8, .registers = 104);

// triplets.positive is what triplet_positives_kernel wrote.
__global__ void triplet_semi_hard_settle_kernel(int n, int most, int slices, TripletParams params,
                                                const std::int32_t* __restrict__ n_positives,
                                                const float* __restrict__ d2_positive, Candidates farthest,
                                                Candidates beyond, MinedTriplets triplets, float* __restrict__ loss,
                                                float* __restrict__ count, float* __restrict__ active) {
  const int anchor = blockIdx.x * blockDim.x + threadIdx.x;
  if (anchor >= n) return;
  const Candidate last_resort = best_of_slices(farthest, slices, n, anchor);
  const float d2_last_resort = Farthest::d2(last_resort.rank);
  const int found = last_resort.row >= 0 ? n_positives[anchor] : 0;
  const float spoil = found > most ? NAN : 0.0f;
  Sums sums;
  for (int q = 0; q < most; ++q) {
    const std::size_t at = std::size_t(q) * n + anchor;
    if (q >= found) {
      no_triplet(triplets, at);
      continue;
    }
    // NaN is mined before all others: if there is one, it is the last resort.
    const Candidate nearest = best_of_slices(beyond, slices, std::size_t(most) * n, at);
    const bool resort = nearest.row < 0 || d2_last_resort != d2_last_resort;
    settle(params, triplets.positive[at], d2_positive[at], resort ? last_resort.row : nearest.row,
           resort ? d2_last_resort : Nearest::d2(nearest.rank), spoil, triplets, at, sums);
  }
  if (found > most) sums.count = sums.active = found;  // with what found no room
  store(sums, anchor, loss, count, active);
}
SIMT_CONTRACT(triplet_semi_hard_settle_kernel);

// ---- on the host
// How the pairs are cut into blocks, and the scratch, 4-byte words.
struct Plan {
  int row_tiles, slices, slice_rows;
  std::size_t rows, slots, bytes;  // candidates a row; candidates a positive

  Plan(int n, Mining mining, int most) : row_tiles(ceil_divide(n, kTile)) {
    const int held = mining == Mining::semi_hard ? most : 1;
    const int wanted = std::min({kBlocksToFill / row_tiles, row_tiles, kMostPartials / held});
    slice_rows = ceil_divide(row_tiles, std::max(wanted, 1)) * kTile;
    slices = ceil_divide(n, slice_rows);
    rows = std::size_t(slices) * n;
    slots = mining == Mining::semi_hard ? rows * most : rows;
    const std::size_t positives = mining == Mining::semi_hard ? std::size_t(n) * (most + 1) : 0;
    bytes = (2 * (rows + slots) + positives) * sizeof(float);
  }
};

// Candidates of `count` from `words` on, which moves behind them.
Candidates carve(float*& words, std::size_t count) {
  const Candidates candidates{reinterpret_cast<std::int32_t*>(words), reinterpret_cast<unsigned*>(words + count)};
  words += 2 * count;
  return candidates;
}

}  // namespace

void mined_triplet(Queue queue, int n, int d, const TripletParams& params, int most, const float* e,
                   const std::int32_t* labels, const MinedTriplets& triplets, float* loss, float* count,
                   float* active) {
  if (params.mining == Mining::all)
    throw LaunchError("mined_triplet: all triplets are not mined, `triplet` takes them");
  if (n == 0) return;
  const Plan plan(n, params.mining, most);
  float* words = gemm::scratch_floats(queue, plan.bytes);
  const Candidates of_rows = carve(words, plan.rows), of_slots = carve(words, plan.slots);
  const LaunchConfig tiles{
      .grid = static_cast<unsigned>(plan.row_tiles * plan.slices), .block = kThreads, .queue = queue};
  const LaunchConfig anchors{
      .grid = static_cast<unsigned>(ceil_divide(n, kThreads)), .block = kThreads, .queue = queue};

  if (params.mining == Mining::batch_hard) {
    if (d % 4 == 0) {
      launch<triplet_batch_hard_kernel<true>>(tiles, n, d, plan.slices, plan.slice_rows, e, labels, of_rows, of_slots);
    } else {
      launch<triplet_batch_hard_kernel<false>>(tiles, n, d, plan.slices, plan.slice_rows, e, labels, of_rows, of_slots);
    }
    return launch_flat<triplet_batch_hard_settle_kernel>(anchors, n, most, plan.slices, params, of_rows, of_slots,
                                                         triplets, loss, count, active);
  }
  std::int32_t* n_positives = reinterpret_cast<std::int32_t*>(words);
  float* d2_positive = words + n;
  launch<triplet_positives_kernel>({.grid = static_cast<unsigned>(n), .block = 32, .queue = queue}, n, d, most, e,
                                   labels, triplets.positive, d2_positive, n_positives);
  if (d % 4 == 0) {
    launch<triplet_semi_hard_kernel<true>>(tiles, n, d, most, plan.slices, plan.slice_rows, e, labels, n_positives,
                                           d2_positive, of_rows, of_slots);
  } else {
    launch<triplet_semi_hard_kernel<false>>(tiles, n, d, most, plan.slices, plan.slice_rows, e, labels, n_positives,
                                            d2_positive, of_rows, of_slots);
  }
  launch_flat<triplet_semi_hard_settle_kernel>(anchors, n, most, plan.slices, params, n_positives, d2_positive, of_rows,
                                               of_slots, triplets, loss, count, active);
}

std::size_t mined_triplet_scratch(int n, int, const TripletParams& params, int most) {
  return n == 0 ? 0 : Plan(n, params.mining, most).bytes;
}

}  // namespace gemel::GEMEL_DEVICE
