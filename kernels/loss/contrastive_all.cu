// SPDX-License-Identifier: MIT
//
// The contrastive loss over all pairs of a batch's rows, and its gradient, in one pass over tiles of pairs.
//
//   d_ij = ||e_i - e_j||, l_ij and c_ij: loss and slope of the pair (contrastive.cu has the formulas)
//   loss_i   = sum over j != i of l_ij / (N - 1)          active_i  the share of these that are not 0
//   de_i     = 2 / (N (N - 1)) [ (sum_j c_ij) x_i - sum_j c_ij x_j ],   x = e - mean of all rows
//   as L = mean_i loss_i counts every pair twice. x instead of e changes nothing, but that less cancels.
//
// Shapes     e, de (N,D), labels, loss, active (N).
// Mapping    one block = 64 rows i, up to 128 columns of de and one slice of the rows j, 64 of them at a time: the tile
//            of pairwise_distance, 128 threads with 4 x 8 pairs each; then slopes and x_j are multiplied by 8 x 8
//            results a thread, which stay in registers for the whole slice. More than 128 columns: more blocks, which
//            compute the same distances again. Slices fill the device; two more kernels add them up in order.
// Shared     17 KB of tiles, first of e, then of x_j (32 x 128), and the slopes as [j][i], 64 x 68 floats, 17 KB.
// Traffic    a tile reads 64 rows of e twice for 64 x 64 pairs: 5 N^2 D FLOPs in all, bound by arithmetic. Nothing of
//            size (N,N) is written; slices leave N D floats each.
// Numerics   distances by direct differences; every sum in a fixed order, which depends on N and D alone. The gradient's
//            error is that of sums of |c_ij| times the rows' spread, not times |e_i - e_j|.
// Edges      N 0 launches nothing, one row has loss, active and gradient 0. Equal rows: distance 0, gradient 0. A NaN in
//            a row gives NaN in every row's loss, and in its own column of the gradient at least.
#include "kernels/distance/distance_tile.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/loss/contrastive_all.cuh"
#include "kernels/loss/pair_term.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace distance_tile;
using all_pairs::kPullColumns, all_pairs::Partial, all_pairs::Plan;

constexpr int kPullRows = 8, kPullRun = 8;  // results of a thread: 8 rows x (4 + 4) columns
constexpr int kPullAcross = kPullColumns / kPullRun;
static_assert(kTile / kPullRows * kPullAcross == kThreads && kTile == all_pairs::kRows);
static_assert(kDepth * kPullColumns <= 2 * kDepth * kPitch, "x_j fits the tiles' memory");

// ---- mean of all rows: a block sums 32 columns
constexpr int kMeanRows = 8;

__global__ void __launch_bounds__(32 * kMeanRows)
    mean_row_kernel(int n, int d, const float* __restrict__ e, float* __restrict__ mean) {
  SIMT_SHARED(float, sums, [kMeanRows][32]);
  const int lane = threadIdx.x % 32, part = threadIdx.x / 32, column = blockIdx.x * 32 + lane;
  const float factor = 1.0f / static_cast<float>(n);
  float sum = 0;
  for (int i = part; column < d && i < n; i += kMeanRows) sum += factor * e[std::size_t(i) * d + column];
  sums[part][lane] = sum;
  __syncthreads();
  if (part == 0 && column < d) {
    for (int p = 1; p < kMeanRows; ++p) sum += sums[p][lane];
    mean[column] = sum;
  }
}
SIMT_CONTRACT(mean_row_kernel, .sectors = 1.3, .loads = 1.3);

// Rows first_j..+31 of x, columns first_column..+127, zeros outside.
template <bool kAligned>
__device__ __forceinline__ void load_centred(const float* __restrict__ e, const float* __restrict__ mean, int end,
                                             int d, int first_j, int first_column, float* __restrict__ tile) {
  for (int step = 0; step < kDepth * kPullColumns / 4 / kThreads; ++step) {
    const int quad = step * kThreads + threadIdx.x;
    const int j = quad / (kPullColumns / 4), at = quad % (kPullColumns / 4) * 4, column = first_column + at;
    float4 v = make_float4(0, 0, 0, 0);
    if (first_j + j < end) {
      const float* from = e + std::size_t(first_j + j) * d + column;
      if constexpr (kAligned) {
        if (column < d) {
          const float4 row = load4(from), middle = load4(mean + column);
          v = make_float4(row.x - middle.x, row.y - middle.y, row.z - middle.z, row.w - middle.w);
        }
      } else {
        if (column + 0 < d) v.x = from[0] - mean[column + 0];
        if (column + 1 < d) v.y = from[1] - mean[column + 1];
        if (column + 2 < d) v.z = from[2] - mean[column + 2];
        if (column + 3 < d) v.w = from[3] - mean[column + 3];
      }
    }
    store4(tile + j * kPullColumns + at, v);
  }
}

// Sum over the kAcross threads that share rows of pairs, neighbours of one warp.
__device__ __forceinline__ float sum_across(float value) {
  SIMT_UNROLL
  for (int step = kAcross / 2; step > 0; step /= 2) value += __shfl_xor_sync(0xffffffffu, value, step);
  return value;
}

template <Contrastive kVariant, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    contrastive_all_kernel(int n, int d, float margin, int column_blocks, int slices, int slice_rows,
                           const float* __restrict__ e, const float* __restrict__ mean,
                           const std::int32_t* __restrict__ labels, Partial partial) {
  SIMT_SHARED(float, tiles, [2][kDepth][kPitch]);
  SIMT_SHARED(float, slopes, [kTile][kPitch]);
  const int t = threadIdx.x;
  const int slice = blockIdx.x % slices, column_block = blockIdx.x / slices % column_blocks;
  const int first_i = blockIdx.x / slices / column_blocks * kTile, first_column = column_block * kPullColumns;
  const int begin = slice * slice_rows, end = min(begin + slice_rows, n);
  const int r0 = t / kPullAcross * kPullRows, c0 = t % kPullAcross * 4;  // of the results: columns c0.. and 64 + c0..

  float loss[kRows] = {}, active[kRows] = {}, slope[kRows] = {};
  float pull[kPullRows][kPullRun] = {};
  for (int first_j = begin; first_j < end; first_j += kTile) {
    float sum[kRows][kColumns];
    squared_distances<kAligned>(n, n, d, e, e, first_i, first_j, tiles[0], tiles[1], sum);
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int j = first_j + column(c);
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        const int i = first_i + row() + r;
        PairTerm term{0, 0};
        if (i < n && j < end && i != j) {
          term = pair_term<kVariant>(labels[i] == labels[j], margin, sum[r][c], sqrtf(sum[r][c]));
        }
        loss[r] += term.loss;
        active[r] += term.loss != 0 ? 1.0f : 0.0f;
        slope[r] += term.slope;
        sum[r][c] = term.slope;
      }
      store4(&slopes[column(c)][row()], make_float4(sum[0][c], sum[1][c], sum[2][c], sum[3][c]));
    }

    for (int half = 0; half < kTile; half += kDepth) {
      float* x = &tiles[0][0][0];
      load_centred<kAligned>(e, mean, end, d, first_j + half, first_column, x);
      __syncthreads();
      for (int j = 0; j < kDepth; ++j) {
        alignas(16) float weights[kPullRows], theirs[kPullRun];
        store4(&weights[0], load4(&slopes[half + j][r0]));
        store4(&weights[4], load4(&slopes[half + j][r0 + 4]));
        store4(&theirs[0], load4(x + j * kPullColumns + c0));
        store4(&theirs[4], load4(x + j * kPullColumns + c0 + kPullColumns / 2));
        SIMT_UNROLL
        for (int r = 0; r < kPullRows; ++r) {
          SIMT_UNROLL
          for (int c = 0; c < kPullRun; ++c) pull[r][c] += weights[r] * theirs[c];
        }
      }
      __syncthreads();
    }
  }

  const std::size_t first = std::size_t(slice) * n;
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float row_loss = sum_across(loss[r]), row_active = sum_across(active[r]), row_slope = sum_across(slope[r]);
    const int i = first_i + row() + r;
    if (column_block == 0 && t % kAcross == 0 && i < n) {
      partial.loss[first + i] = row_loss;
      partial.active[first + i] = row_active;
      partial.slope[first + i] = row_slope;
    }
  }
  SIMT_UNROLL
  for (int r = 0; r < kPullRows; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < kPullRun; ++c) {
      const int i = first_i + r0 + r, k = first_column + c0 + (c < 4 ? c : c - 4 + kPullColumns / 2);
      if (i < n && k < d) partial.pull[(first + i) * d + k] = pull[r][c];
    }
  }
}
SIMT_CONTRACT(contrastive_all_kernel, .sectors = 5.2, .conflicts = 1.05, .loads = 100, .stores = 4.4, .registers = 208);

// ---- the slices' sums
__global__ void contrastive_all_loss_kernel(int n, int slices, Partial partial, float* __restrict__ loss,
                                            float* __restrict__ active) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  float loss_sum = 0, active_sum = 0, slope_sum = 0;
  for (int s = 0; s < slices; ++s) {
    loss_sum += partial.loss[std::size_t(s) * n + i];
    active_sum += partial.active[std::size_t(s) * n + i];
    slope_sum += partial.slope[std::size_t(s) * n + i];
  }
  const float others = n > 1 ? static_cast<float>(n - 1) : 1.0f;
  loss[i] = loss_sum / others;
  active[i] = active_sum / others;
  partial.slope[i] = slope_sum;  // where only this thread has read
}
SIMT_CONTRACT(contrastive_all_loss_kernel, .sectors = 1.25, .loads = 1.25, .stores = 1.1);

__global__ void contrastive_all_gradient_kernel(int n, int d, int slices, float scale, const float* __restrict__ e,
                                                const float* __restrict__ mean, Partial partial,
                                                float* __restrict__ de) {
  const std::size_t at = std::size_t(blockIdx.x) * blockDim.x + threadIdx.x;
  if (at >= std::size_t(n) * d) return;
  float pull = 0;
  for (int s = 0; s < slices; ++s) pull += partial.pull[std::size_t(s) * n * d + at];
  de[at] = n > 1 ? scale * (partial.slope[at / d] * (e[at] - mean[at % d]) - pull) : 0.0f;
}
SIMT_CONTRACT(contrastive_all_gradient_kernel, .sectors = 1.15, .loads = 1.55);

template <Contrastive kVariant>
void launch_tiles(Queue queue, const Plan& plan, int n, int d, float margin, const float* e, const float* mean,
                  const std::int32_t* labels, const Partial& partial) {
  const LaunchConfig config{.grid = static_cast<unsigned>(plan.row_tiles * plan.column_blocks * plan.slices),
                            .block = kThreads,
                            .queue = queue};
  if (d % 4 == 0) {
    launch<contrastive_all_kernel<kVariant, true>>(config, n, d, margin, plan.column_blocks, plan.slices,
                                                   plan.slice_rows, e, mean, labels, partial);
  } else {
    launch<contrastive_all_kernel<kVariant, false>>(config, n, d, margin, plan.column_blocks, plan.slices,
                                                    plan.slice_rows, e, mean, labels, partial);
  }
}

}  // namespace

void contrastive_all(Queue queue, int n, int d, Contrastive variant, float margin, const float* e,
                     const std::int32_t* labels, float* loss, float* active, float* de) {
  if (n == 0) return;
  const Plan plan(n, d);
  float* mean = gemm::scratch_floats(queue, plan.bytes());
  Partial partial;
  float *centred = mean + plan.mean, *squares = centred + plan.centred;
  partial.pull = squares + plan.squares;
  partial.loss = partial.pull + plan.pull;
  partial.active = partial.loss + plan.rows;
  partial.slope = partial.active + plan.rows;

  launch<mean_row_kernel>({.grid = static_cast<unsigned>(ceil_divide(d, 32)), .block = 32 * kMeanRows, .queue = queue},
                          n, d, e, mean);
  if (queue.math != Math::fp32) {
    all_pairs::sum_on_tensor_cores(queue, plan, n, d, variant, margin, e, mean, labels, centred, squares, partial);
  } else if (variant == Contrastive::hadsell) {
    launch_tiles<Contrastive::hadsell>(queue, plan, n, d, margin, e, mean, labels, partial);
  } else {
    launch_tiles<Contrastive::caffe_legacy>(queue, plan, n, d, margin, e, mean, labels, partial);
  }
  launch_flat<contrastive_all_loss_kernel>(
      {.grid = static_cast<unsigned>(ceil_divide(n, kThreads)), .block = kThreads, .queue = queue}, n, plan.slices,
      partial, loss, active);
  const float scale = n > 1 ? 2.0f / (static_cast<float>(n) * static_cast<float>(n - 1)) : 0.0f;
  const std::size_t elements = std::size_t(n) * d;
  launch_flat<contrastive_all_gradient_kernel>(
      {.grid = static_cast<unsigned>((elements + kThreads - 1) / kThreads), .block = kThreads, .queue = queue}, n, d,
      plan.slices, scale, e, mean, partial, de);
}

std::size_t contrastive_all_scratch(int n, int d) { return n == 0 ? 0 : Plan(n, d).bytes(); }

}  // namespace gemel::GEMEL_DEVICE
