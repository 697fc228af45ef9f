// SPDX-License-Identifier: MIT
//
// Triplet losses over a batch, from its squared distances: which triplets count, their losses, and dL/d(d2).
//
//   D(i,j) = d2(i,j) or sqrt(d2(i,j));  u = D(a,p) - D(a,n)
//   l(a,p,n) = max(0, margin + u)   or, with a soft margin, ln(1 + exp(u))
//   l' = dl/du = 1 where margin + u > 0, else 0   or   1 / (1 + exp(-u))
//   g(a,p) += l' dD/d(d2) at (a,p)     g(a,n) -= l' dD/d(d2) at (a,n)     dD/d(d2) = 1 or 1/(2D), 0 at D = 0
// over, for every anchor a, positives p (same label, p != a) and negatives n (another label):
//   all          every (p, n)                                              count = triplets with a non-zero loss
//   semi_hard    every p with the nearest n that is farther than p, or, if there is none, the farthest n
//                (FaceNet, Schroff et al. 2015, section 3.2)               count = number of p
//   batch_hard   the farthest p with the nearest n (Hermans et al. 2017, eq. 5)   count = 1
// An anchor without positives or without negatives has loss, count and active 0 and a row of zeros.
//
// Shapes     distance2, g (N,N), labels (N); loss, count, active (N). Row a of g is written whole, by anchor a alone,
// and
//            unscaled: loss_reduce leaves the factor, pairwise_backward applies it.
// Mapping    one block = one anchor; 128 columns of its row at a time, positives and negatives packed apart.
//            all: a thread owns columns t, t + 128, ... and walks the opposite columns at hand. semi_hard: one thread =
//            one positive, which walks the row's negatives; then every thread collects what fell on its own columns.
//            batch_hard: one warp; each lane finds its candidates, lane 0 the best of 32.
// Shared     all: 128 packed distances, 0.5 KB. semi_hard: 128 positives with their choice, 2 KB.
// Traffic    with P positives an anchor: all takes 2 P N steps of ~10 operations over values in shared memory,
//            semi_hard reads a row P times from the first-level cache, batch_hard once. Bound by latency until N
//            reaches thousands.
// Numerics   a triplet's choice depends on d2 alone and ties go to the lowest index; sums run in a fixed order. ln(1 +
//            exp(u)) is computed so that it neither overflows nor cancels (logistic.cuh).
// Edges      NaN distances are mined before any other, so that they reach the loss instead of hiding behind a finite
//            candidate.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/loss/logistic.cuh"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 128;

// ---- one triplet
__device__ __forceinline__ float metric(const TripletParams& params, float d2) {
  return params.squared ? d2 : sqrtf(d2);
}

__device__ __forceinline__ float metric_slope(const TripletParams& params, float distance) {
  if (params.squared) return 1.0f;
  return distance == 0 ? 0.0f : 0.5f / distance;
}

__device__ __forceinline__ float triplet_loss(const TripletParams& params, float u) {
  if (params.soft_margin) return softplus(u);
  return params.margin + u <= 0 ? 0.0f : params.margin + u;
}

__device__ __forceinline__ float loss_slope(const TripletParams& params, float u) {
  if (params.soft_margin) return logistic(u);
  return params.margin + u <= 0 ? 0.0f : 1.0f;
}

// ---- packing
enum Class : int { kNeither, kPositive, kNegative };

__device__ __forceinline__ Class classify(const std::int32_t* __restrict__ labels, int n, int anchor, int j) {
  if (j >= n || j == anchor) return kNeither;
  return labels[j] == labels[anchor] ? kPositive : kNegative;
}

constexpr int kWarps = kThreads / 32;

struct Packed {
  int before, total;  // threads with `member`: before this one, and in all
};

// Counts the block's members in thread order. All threads take part; `warp_totals` (kWarps words of shared memory) may
// be written again after the next barrier. One barrier.
__device__ __forceinline__ Packed pack(bool member, int* warp_totals) {
  const int lane = threadIdx.x % 32, warp = threadIdx.x / 32;
  const unsigned members = __ballot_sync(kAllLanes, member);
  if (lane == 0) warp_totals[warp] = __popc(members);
  __syncthreads();
  Packed result{__popc(members & ((1u << lane) - 1)), 0};
  for (int w = 0; w < kWarps; ++w) {
    if (w < warp) result.before += warp_totals[w];
    result.total += warp_totals[w];
  }
  return result;
}

// ---- all
__global__ void __launch_bounds__(kThreads)
    triplet_all_kernel(int n, TripletParams params, const float* __restrict__ distance2,
                       const std::int32_t* __restrict__ labels, float* __restrict__ g, float* __restrict__ loss,
                       float* __restrict__ count, float* __restrict__ active) {
  // The distances at hand: positives from the front, negatives behind them.
  SIMT_SHARED(float, distances, [kThreads]);
  SIMT_SHARED(int, warp_totals, [kWarps]);
  const int anchor = blockIdx.x, t = threadIdx.x;
  const float* row = distance2 + std::size_t(anchor) * n;
  float* row_g = g + std::size_t(anchor) * n;  // gathers the sums of l' first
  for (int j = t; j < n; j += kThreads) row_g[j] = 0;

  float losses = 0;
  int n_active = 0;
  for (int first = 0; first < n; first += kThreads) {
    const int j = first + t;
    const Class theirs = classify(labels, n, anchor, j);
    const Packed positives = pack(theirs == kPositive, warp_totals);
    const int at_hand = min(n - first, kThreads);
    const bool has_anchor = anchor >= first && anchor < first + kThreads;
    const int n_negatives = at_hand - positives.total - (has_anchor ? 1 : 0);
    if (theirs == kPositive) distances[positives.before] = metric(params, row[j]);
    if (theirs == kNegative) {
      const int before = t - positives.before - (has_anchor && anchor < j ? 1 : 0);
      distances[positives.total + before] = metric(params, row[j]);
    }
    __syncthreads();

    for (int own = t; own < n; own += kThreads) {
      const Class mine = classify(labels, n, anchor, own);
      if (mine == kNeither) continue;
      const float d = metric(params, row[own]);
      float slopes = 0;
      if (mine == kPositive) {
        for (int k = positives.total; k < positives.total + n_negatives; ++k) {
          const float u = d - distances[k], term = triplet_loss(params, u);
          slopes += loss_slope(params, u);
          losses += term;
          n_active += term != 0;
        }
      } else {
        for (int k = 0; k < positives.total; ++k) slopes += loss_slope(params, distances[k] - d);
      }
      row_g[own] += slopes;
    }
    __syncthreads();
  }

  for (int own = t; own < n; own += kThreads) {
    const Class mine = classify(labels, n, anchor, own);
    if (mine == kNeither) continue;
    const float slope = metric_slope(params, metric(params, row[own]));
    row_g[own] *= mine == kPositive ? slope : -slope;
  }
  losses = block_sum<kThreads>(losses);
  n_active = block_sum<kThreads>(n_active);
  if (t == 0) {
    loss[anchor] = losses;
    count[anchor] = static_cast<float>(n_active);
    active[anchor] = static_cast<float>(n_active);
  }
}
SIMT_CONTRACT(triplet_all_kernel, .loads = 4.4, .stores = 3.2);

// ---- mining
// A column and its squared distance; column -1: none.
struct Candidate {
  int column = -1;
  float d2 = 0;
};

__device__ __forceinline__ bool is_nan(float x) { return x != x; }

// Whether (column, d2) comes before `best`. NaN before all; ties by the lower column.
__device__ __forceinline__ bool nearer(const Candidate& c, const Candidate& best) {
  if (c.column < 0 || best.column < 0) return c.column >= 0;
  if (is_nan(c.d2) != is_nan(best.d2)) return is_nan(c.d2);
  return c.d2 < best.d2 || (!(c.d2 > best.d2) && c.column < best.column);
}
__device__ __forceinline__ bool farther(const Candidate& c, const Candidate& best) {
  if (c.column < 0 || best.column < 0) return c.column >= 0;
  if (is_nan(c.d2) != is_nan(best.d2)) return is_nan(c.d2);
  return c.d2 > best.d2 || (!(c.d2 < best.d2) && c.column < best.column);
}

// The nearest negative beyond d2_positive, else the farthest negative, else none. Columns ascend, so that a strict
// comparison leaves ties to the lowest; the first NaN is the answer, as nothing is mined before it.
__device__ __forceinline__ Candidate semi_hard_negative(int n, const float* __restrict__ row,
                                                        const std::int32_t* __restrict__ labels, std::int32_t label,
                                                        float d2_positive) {
  Candidate beyond, farthest;
  for (int k = 0; k < n; ++k) {
    if (labels[k] == label) continue;
    const float d2 = row[k];
    if (is_nan(d2)) return {k, d2};
    if (!(d2 <= d2_positive) && (beyond.column < 0 || d2 < beyond.d2)) beyond = {k, d2};
    if (farthest.column < 0 || d2 > farthest.d2) farthest = {k, d2};
  }
  return beyond.column >= 0 ? beyond : farthest;
}

__global__ void __launch_bounds__(kThreads)
    triplet_semi_hard_kernel(int n, TripletParams params, const float* __restrict__ distance2,
                             const std::int32_t* __restrict__ labels, float* __restrict__ g, float* __restrict__ loss,
                             float* __restrict__ count, float* __restrict__ active) {
  SIMT_SHARED(int, positives, [kThreads]);  // columns of the positives among the 128 at hand, packed
  SIMT_SHARED(int, chosen, [kThreads]);     // the negative of each, or -1
  SIMT_SHARED(float, pulls, [kThreads]);    // what each adds to g at its negative
  SIMT_SHARED(float, terms, [kThreads]);    // the loss of each
  SIMT_SHARED(int, warp_totals, [kWarps]);
  const int anchor = blockIdx.x, t = threadIdx.x;
  const std::int32_t label = labels[anchor];
  const float* row = distance2 + std::size_t(anchor) * n;
  float* row_g = g + std::size_t(anchor) * n;
  for (int j = t; j < n; j += kThreads) row_g[j] = 0;

  float losses = 0;
  int n_triplets = 0, n_active = 0;  // of thread 0
  for (int first = 0; first < n; first += kThreads) {
    const bool positive = classify(labels, n, anchor, first + t) == kPositive;
    // Its barrier also ends the zeroing of row_g, and the reading of the lists below.
    const auto [before, n_positives] = pack(positive, warp_totals);
    if (positive) positives[before] = first + t;
    __syncthreads();

    if (t < n_positives) {
      const int p = positives[t];
      const float d = metric(params, row[p]);
      const Candidate negative = semi_hard_negative(n, row, labels, label, row[p]);
      chosen[t] = negative.column;
      if (negative.column >= 0) {
        const float d_negative = metric(params, negative.d2);
        const float slope = loss_slope(params, d - d_negative);
        terms[t] = triplet_loss(params, d - d_negative);
        pulls[t] = -slope * metric_slope(params, d_negative);
        row_g[p] = slope * metric_slope(params, d);
      }
    }
    __syncthreads();

    for (int j = t; j < n && n_positives > 0; j += kThreads) {
      float pull = 0;
      for (int q = 0; q < n_positives; ++q) pull += chosen[q] == j ? pulls[q] : 0.0f;
      if (pull != 0) row_g[j] += pull;
    }
    for (int q = 0; t == 0 && q < n_positives; ++q) {
      if (chosen[q] < 0) continue;
      losses += terms[q];
      n_triplets += 1;
      n_active += terms[q] != 0;
    }
  }
  if (t == 0) {
    loss[anchor] = losses;
    count[anchor] = static_cast<float>(n_triplets);
    active[anchor] = static_cast<float>(n_active);
  }
}
SIMT_CONTRACT(triplet_semi_hard_kernel, .sectors = 1.05, .loads = 13, .stores = 1.6);

__global__ void triplet_batch_hard_kernel(int n, TripletParams params, const float* __restrict__ distance2,
                                          const std::int32_t* __restrict__ labels, float* __restrict__ g,
                                          float* __restrict__ loss, float* __restrict__ count,
                                          float* __restrict__ active) {
  SIMT_SHARED(int, positive_columns, [32]);
  SIMT_SHARED(int, negative_columns, [32]);
  const int anchor = blockIdx.x, lane = threadIdx.x;
  const float* row = distance2 + std::size_t(anchor) * n;
  float* row_g = g + std::size_t(anchor) * n;

  Candidate positive, negative;
  for (int j = lane; j < n; j += 32) {
    row_g[j] = 0;
    const Class kind = classify(labels, n, anchor, j);
    const Candidate c{j, row[j]};
    if (kind == kPositive && farther(c, positive)) positive = c;
    if (kind == kNegative && nearer(c, negative)) negative = c;
  }
  positive_columns[lane] = positive.column;
  negative_columns[lane] = negative.column;
  __syncthreads();

  if (lane == 0) {
    for (int l = 1; l < 32; ++l) {
      const int p = positive_columns[l], k = negative_columns[l];
      if (p >= 0 && farther({p, row[p]}, positive)) positive = {p, row[p]};
      if (k >= 0 && nearer({k, row[k]}, negative)) negative = {k, row[k]};
    }
    const bool found = positive.column >= 0 && negative.column >= 0;
    float term = 0;
    if (found) {
      const float d_positive = metric(params, positive.d2), d_negative = metric(params, negative.d2);
      const float slope = loss_slope(params, d_positive - d_negative);
      term = triplet_loss(params, d_positive - d_negative);
      row_g[positive.column] = slope * metric_slope(params, d_positive);
      row_g[negative.column] = -slope * metric_slope(params, d_negative);
    }
    loss[anchor] = term;
    count[anchor] = found ? 1.0f : 0.0f;
    active[anchor] = term != 0 ? 1.0f : 0.0f;
  }
}
SIMT_CONTRACT(triplet_batch_hard_kernel, .sectors = 1.05, .loads = 4.8, .stores = 1.3);

}  // namespace

void triplet(Queue queue, int n, const TripletParams& params, const float* distance2, const std::int32_t* labels,
             float* g, float* loss, float* count, float* active) {
  LaunchConfig config{.grid = static_cast<unsigned>(n), .block = kThreads, .queue = queue};
  switch (params.mining) {
    case Mining::all:
      return launch<triplet_all_kernel>(config, n, params, distance2, labels, g, loss, count, active);
    case Mining::semi_hard:
      return launch<triplet_semi_hard_kernel>(config, n, params, distance2, labels, g, loss, count, active);
    case Mining::batch_hard:
      config.block = 32;
      return launch<triplet_batch_hard_kernel>(config, n, params, distance2, labels, g, loss, count, active);
  }
}

}  // namespace gemel::GEMEL_DEVICE
