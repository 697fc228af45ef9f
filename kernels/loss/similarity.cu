// SPDX-License-Identifier: MIT
//
// Losses over all pairs of a batch from their similarities: per-row losses and dL/ds.
//
//   x = s / t; P(i): the other rows of i's label, A(i): all other rows, N(i) = A(i) - P(i)
//   nt_xent           u_p = ln sum_N e^{x_n} - x_p          l_i = sum_P ln(1 + e^{u_p})
//     (Sohn 2016, eq. 6; Chen et al. 2020, eq. 1)           g_ip = -h(u_p) / t,  g_in = sum_P h(u_p) e^{x_n} / sum_N e^x / t
//   supcon            l_i = ln sum_A e^x - mean_P x         g_ia = (e^{x_a} / sum_A e^x - [a in P] / |P|) / t
//     (Khosla et al. 2020, eq. 2)
//   multi_similarity  l_i = ln(1 + sum_P' e^{-alpha (s - lambda)}) / alpha + ln(1 + sum_N' e^{beta (s - lambda)}) / beta
//     (Wang et al. 2019)                                    g_ip = -e^{..} / (1 + sum_P' e^{..}),  g_in likewise, positive
//   where h(u) = 1 / (1 + e^{-u}), and P', N' are the pairs mined: s_p - epsilon < max_N s, s_n + epsilon > min_P s.
//
// Shapes     similarity, g (N,N), labels (N); loss, count, active (N). Row i of g is written whole, by row i alone.
// Mapping    one block of 128 threads = one row; thread t takes columns t, t + 128, ...
// Shared     a word per warp and reduction.
// Traffic    the row is read three times, the second and third from the first-level cache, and written once: 8 bytes and
//            about 10 operations a column. Bound by memory and, for the usual N of a few hundred, by latency.
// Numerics   every exponential is of a difference from the largest exponent of its sum, so that none overflows and the
//            sum is at least 1; loss and slopes of nt_xent keep their digits where they are tiny. Sums in a fixed order.
// Edges      a row without positives: loss, count, active and its row of g are 0; multi_similarity: one without negatives
//            too. nt_xent without negatives: loss 0. The diagonal is not read, and g is 0 there. NaN is no row's largest
//            or least similarity, but is in every sum that it belongs to, and always mined.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/loss/logistic.cuh"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 128;
constexpr float kInfinity = __builtin_huge_valf();

struct Row {
  int n, anchor;
  const float* s;
  const std::int32_t* labels;
  float* g;

  __device__ __forceinline__ bool positive(int j) const { return labels[j] == labels[anchor] && j != anchor; }
  __device__ __forceinline__ bool negative(int j) const { return labels[j] != labels[anchor]; }
};

struct RowLoss {
  float loss, count, active;  // of the row, in every thread
};

// What all three start with: the number of positives and of negatives, and their largest similarities.
struct Extremes {
  int positives = 0, negatives = 0;
  float least_positive = kInfinity, most_positive = -kInfinity, most_negative = -kInfinity;
};

__device__ __forceinline__ Extremes extremes_of(const Row& row) {
  Extremes own;
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    const float s = row.s[j];
    if (row.positive(j)) {
      ++own.positives;
      if (s < own.least_positive) own.least_positive = s;
      if (s > own.most_positive) own.most_positive = s;
    } else if (row.negative(j)) {
      ++own.negatives;
      if (s > own.most_negative) own.most_negative = s;
    }
  }
  return {block_sum<kThreads>(own.positives), block_sum<kThreads>(own.negatives),
          -block_max<kThreads>(-own.least_positive), block_max<kThreads>(own.most_positive),
          block_max<kThreads>(own.most_negative)};
}

__device__ __forceinline__ RowLoss nt_xent(const Row& row, const SimilarityParams& params, const Extremes& of) {
  const float inverse = 1.0f / params.temperature;
  float sum = 0;
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (row.negative(j)) sum += expf((row.s[j] - of.most_negative) * inverse);
  }
  sum = block_sum<kThreads>(sum);

  const float log_sum = logf(sum);  // -infinity without negatives, as u then is
  float losses = 0, slopes = 0;
  int n_active = 0;
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (!row.positive(j)) continue;
    const float u = (of.most_negative - row.s[j]) * inverse + log_sum, slope = logistic(u);
    losses += softplus(u);
    slopes += slope;
    n_active += !(of.most_negative < row.s[j]);
    row.g[j] = -slope * inverse;
  }
  losses = block_sum<kThreads>(losses);
  slopes = block_sum<kThreads>(slopes);
  n_active = block_sum<kThreads>(n_active);

  const float factor = slopes * inverse / sum;
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (row.negative(j)) row.g[j] = factor * expf((row.s[j] - of.most_negative) * inverse);
  }
  return {losses, static_cast<float>(of.positives), static_cast<float>(n_active)};
}

__device__ __forceinline__ RowLoss supcon(const Row& row, const SimilarityParams& params, const Extremes& of) {
  const float inverse = 1.0f / params.temperature;
  const float most = of.most_positive > of.most_negative ? of.most_positive : of.most_negative;
  const float share = 1.0f / static_cast<float>(of.positives);
  float sum = 0, below = 0;  // below: how far the positives are from the most similar row
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (j == row.anchor) continue;
    const float x = (row.s[j] - most) * inverse;
    sum += expf(x);
    if (row.positive(j)) below -= x;
  }
  sum = block_sum<kThreads>(sum);
  below = block_sum<kThreads>(below);
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (j == row.anchor) continue;
    const float part = expf((row.s[j] - most) * inverse) / sum;
    row.g[j] = inverse * (row.positive(j) ? part - share : part);
  }
  return {logf(sum) + below * share, 1.0f, of.most_negative < of.most_positive ? 0.0f : 1.0f};
}

// ln(1 + sum e^u) from `shifted` = sum e^{u - shift}, 0 where nothing is summed.
__device__ __forceinline__ float log_one_plus_sum(float shift, float shifted) {
  if (shift == 0 || shifted == 0) return log1pf(shifted);
  return shift + logf(expf(-shift) + shifted);
}

__device__ __forceinline__ RowLoss multi_similarity(const Row& row, const SimilarityParams& p, const Extremes& of) {
  const float pull = -p.alpha * (of.least_positive - p.lambda), push = p.beta * (of.most_negative - p.lambda);
  const float shift_p = pull > 0 ? pull : 0.0f, shift_n = push > 0 ? push : 0.0f;
  float sum_p = 0, sum_n = 0;
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (j == row.anchor) continue;
    const float s = row.s[j];
    float power = 0;
    if (row.positive(j)) {
      if (!(s - p.epsilon >= of.most_negative)) power = expf(-p.alpha * (s - p.lambda) - shift_p);
      sum_p += power;
      row.g[j] = -power;
    } else {
      if (!(s + p.epsilon <= of.least_positive)) power = expf(p.beta * (s - p.lambda) - shift_n);
      sum_n += power;
      row.g[j] = power;
    }
  }
  sum_p = block_sum<kThreads>(sum_p);
  sum_n = block_sum<kThreads>(sum_n);
  const float part_p = 1.0f / (expf(-shift_p) + sum_p), part_n = 1.0f / (expf(-shift_n) + sum_n);
  for (int j = threadIdx.x; j < row.n; j += kThreads) {
    if (j != row.anchor) row.g[j] *= row.positive(j) ? part_p : part_n;
  }
  const float loss = log_one_plus_sum(shift_p, sum_p) / p.alpha + log_one_plus_sum(shift_n, sum_n) / p.beta;
  return {loss, 1.0f, loss != 0 ? 1.0f : 0.0f};
}

template <Similarity kKind>
__global__ void __launch_bounds__(kThreads)
    similarity_loss_kernel(int n, SimilarityParams params, const float* __restrict__ similarity,
                           const std::int32_t* __restrict__ labels, float* __restrict__ g, float* __restrict__ loss,
                           float* __restrict__ count, float* __restrict__ active) {
  const int anchor = blockIdx.x;
  const Row row{n, anchor, similarity + std::size_t(anchor) * n, labels, g + std::size_t(anchor) * n};
  const Extremes of = extremes_of(row);
  RowLoss result{0, 0, 0};
  // The same for the whole block.
  const bool counts = of.positives > 0 && (kKind != Similarity::multi_similarity || of.negatives > 0);
  if (counts) {
    if constexpr (kKind == Similarity::nt_xent) result = nt_xent(row, params, of);
    if constexpr (kKind == Similarity::supcon) result = supcon(row, params, of);
    if constexpr (kKind == Similarity::multi_similarity) result = multi_similarity(row, params, of);
    if (threadIdx.x == 0) row.g[anchor] = 0;
  } else {
    for (int j = threadIdx.x; j < n; j += kThreads) row.g[j] = 0;
  }
  if (threadIdx.x == 0) {
    loss[anchor] = result.loss;
    count[anchor] = result.count;
    active[anchor] = result.active;
  }
}
SIMT_CONTRACT(similarity_loss_kernel, .sectors = 1.05, .loads = 8.2, .stores = 1.3);

}  // namespace

void similarity_loss(Queue queue, int n, const SimilarityParams& params, const float* similarity,
                     const std::int32_t* labels, float* g, float* loss, float* count, float* active) {
  const LaunchConfig config{.grid = static_cast<unsigned>(n), .block = kThreads, .queue = queue};
  switch (params.kind) {
    case Similarity::nt_xent:
      return launch<similarity_loss_kernel<Similarity::nt_xent>>(config, n, params, similarity, labels, g, loss, count,
                                                                 active);
    case Similarity::supcon:
      return launch<similarity_loss_kernel<Similarity::supcon>>(config, n, params, similarity, labels, g, loss, count,
                                                                active);
    case Similarity::multi_similarity:
      return launch<similarity_loss_kernel<Similarity::multi_similarity>>(config, n, params, similarity, labels, g,
                                                                          loss, count, active);
  }
}

}  // namespace gemel::GEMEL_DEVICE
