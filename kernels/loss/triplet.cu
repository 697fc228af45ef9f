// SPDX-License-Identifier: MIT
//
// The loss of all triplets of a batch, from its squared distances, and dL/d(d2).
//
//   D(i,j) = d2(i,j) or sqrt(d2(i,j));  u = D(a,p) - D(a,n)
//   l(a,p,n) = max(0, margin + u)   or, with a soft margin, ln(1 + exp(u))
//   l' = dl/du = 1 where margin + u > 0, else 0   or   1 / (1 + exp(-u))
//   g(a,p) += l' dD/d(d2) at (a,p)     g(a,n) -= l' dD/d(d2) at (a,n)     dD/d(d2) = 1 or 1/(2D), 0 at D = 0
// over, for every anchor a, all positives p (same label, p != a) with all negatives n (another label).
// An anchor without positives or without negatives has loss, count and active 0 and a row of zeros.
//
// Shapes     distance2, g (N,N), labels (N); loss, count, active (N). Row a of g is written whole, by anchor a alone,
//            and unscaled: loss_reduce leaves the factor, pairwise_backward applies it.
// Mapping    one block = one anchor; 128 columns of its row at a time, positives and negatives packed apart. A thread
//            owns columns t, t + 128, ... and walks the opposite columns at hand.
// Shared     128 packed distances, 0.5 KB.
// Traffic    with P positives an anchor, 2 P N steps of ~10 operations over values in shared memory. Bound by latency
//            until N reaches thousands.
// Numerics   sums run in a fixed order. ln(1 + exp(u)) is computed so that it neither overflows nor cancels
//            (logistic.cuh).
// Edges      NaN distances reach the loss.
#include "kernels/entries.h"
#include "kernels/loss/triplet_term.cuh"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 128;

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

}  // namespace

void triplet(Queue queue, int n, const TripletParams& params, const float* distance2, const std::int32_t* labels,
             float* g, float* loss, float* count, float* active) {
  if (params.mining != Mining::all) throw LaunchError("triplet: takes all triplets, mined_triplet those of a mining");
  launch<triplet_all_kernel>({.grid = static_cast<unsigned>(n), .block = kThreads, .queue = queue}, n, params,
                             distance2, labels, g, loss, count, active);
}

}  // namespace gemel::GEMEL_DEVICE
