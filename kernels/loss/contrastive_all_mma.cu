// SPDX-License-Identifier: MIT
//
// contrastive_all on tensor cores: loss and gradient of all pairs in one pass, two products, nothing of size (N,N) in
// memory. contrastive_all.cu has the formulas, and adds up the slices.
//
//   d_ij^2 = |x_i|^2 + |x_j|^2 - 2 x_i x_j,   x = e - mean of all rows         first product, over D
//   pull_i = sum_j c_ij x_j                                                     second product, over j
//
// The slopes c of a tile of pairs stay with the threads that have the first product's sums: element (g, 2q + e) of a
// product is element (g, q or q + 4) of a left factor, if rows 2q and 2q + 1 of x_j are taken for rows q and q + 4 of the
// right one (FlashAttention's shape, without its softmax). Each thread keeps its own in shared memory, which the loop
// over them can index: in registers it would have to be unrolled 32 times, pairs to compute again included.
//
// Shapes     e, de (N,D), labels, loss, active (N).
// Mapping    one block = 64 rows i, up to 128 columns of de and one slice of the rows j, 64 of them at a time; 4 warps of
//            16 rows i each, so that no warp needs another's slopes. A kernel before it writes x, padded with zeros to
//            64 rows and 32 columns, and |x|^2: all copies are 16 bytes and none is guarded.
// Shared     82 KB: two stages of 32 columns of x_i and of x_j (16 KB each, ldmatrix without conflicts, see FactorTile),
//            and x_j's columns of the second product, 64 x 132 floats, on their way during the first; the slopes, 16 KB.
// Registers  228, sm_80 and sm_90a; no spills: two blocks a multiprocessor.
// Traffic    4 N^2 D FLOPs, each product three of TF32: bound by arithmetic. Predicted: below the 100
//            TFLOP/s that mma.sync leaves 3xTF32 on an H100, with the f32 form's ceiling at 67. Not yet run on a GPU.
// Numerics   every mode but fp32 computes in 3xTF32, f32's accuracy: a margin's decision does not bear less. Where d^2 is
//            below 1/32 of |x_i|^2 + |x_j|^2 the pair is computed again, from e and by differences: the sum's error of
//            some 2^-21 of these stays below 2^-16 of d^2. i = j is left out. Every sum has a fixed order, which depends
//            on N and D alone.
// Edges      as contrastive_all.cu; equal rows: distance exactly 0. A NaN in a row: its pairs are computed again, so
//            that pairs without it have their own distance.
// Used by    contrastive_all.cu.    Tests tests/reference/contrastive.cpp
#include "kernels/distance/direct.cuh"
#include "kernels/gemm/mma_product.cuh"
#include "kernels/loss/contrastive_all.cuh"
#include "kernels/loss/pair_term.cuh"
#include "kernels/simt/reduce.cuh"

namespace gemel::GEMEL_DEVICE::all_pairs {
namespace {

using namespace gemm;

constexpr int kWarps = kThreads / 32;
constexpr int kGroups = kPullColumns / 32;  // of columns of de

// What AsyncCarrier needs to know.
struct PairTile {
  static constexpr int kDepth = kProductColumns, kThreads = all_pairs::kThreads;
};
struct PullTile {
  static constexpr int kDepth = kRows, kThreads = all_pairs::kThreads;
};

// x_j for the second product: a row of 132 floats lies 4 banks after the one before, and rows 2q are read at once.
struct PullRows {
  float data[kRows][kPullColumns + 4];
  __device__ __forceinline__ float* at(int column, int row) { return &data[row][column]; }
};

struct alignas(128) Shared {
  FactorTile<true, kRows, kProductColumns, 1> left[2], right[2];
  PullRows pull;
  float slopes[kRows / 8 * 4][kThreads];  // element by element, each thread's own
};

// One warp a row.
__global__ void __launch_bounds__(kThreads)
    centred_rows_kernel(int n, int d, int padded_columns, const float* __restrict__ e, const float* __restrict__ mean,
                        float* __restrict__ centred, float* __restrict__ squares) {
  const int row = static_cast<int>(blockIdx.x) * kWarps + static_cast<int>(threadIdx.x) / 32;
  const int lane = static_cast<int>(threadIdx.x) % 32;
  float sum = 0;
  for (int k = lane; k < padded_columns; k += 32) {
    const float x = row < n && k < d ? e[std::size_t(row) * d + k] - mean[k] : 0.0f;
    centred[std::size_t(row) * padded_columns + k] = x;
    sum += x * x;
  }
  sum = warp_sum(sum);
  if (lane == 0) squares[row] = sum;
}
SIMT_CONTRACT(centred_rows_kernel, .sectors = 1.2, .loads = 2.3, .stores = 1.3);

// Sums of a warp's 16 rows i and the tile's rows j, 32 of these at a time, so that their fragments fit the registers.
constexpr int kHalves = 2, kAcross = kRows / kHalves / 8;
using PairSums = float[kHalves][1][kAcross][4];

// sums += 16 rows of `left` times the 64 of `right`, kProductColumns columns of both.
template <class Tile>
__device__ __forceinline__ void multiply_columns(Tile& left, Tile& right, int first_row, int lane, PairSums& sums) {
  PairSums stage = {};
  SIMT_ONE_AT_A_TIME
  for (int k = 0; k < kProductColumns; k += 8) {
    std::uint32_t a[1][4], small_a[1][4];
    load_matrices(left.at(first_row + lane % 16, k + lane / 16 * 4), a[0]);
    split_to_tf32(a, small_a);
    SIMT_UNROLL
    for (int half = 0; half < kHalves; ++half) {
      std::uint32_t b[kAcross][2], small_b[kAcross][2];
      SIMT_UNROLL
      for (int j = 0; j < kAcross; j += 2) {
        const int row = (half * kAcross + j + lane / 16) * 8 + lane % 8;
        std::uint32_t four[4];
        load_matrices(right.at(row, k + lane / 8 % 2 * 4), four);
        b[j][0] = four[0], b[j][1] = four[1];
        b[j + 1][0] = four[2], b[j + 1][1] = four[3];
      }
      split_to_tf32(b, small_b);
      mma_tf32(stage[half], small_a, b);
      mma_tf32(stage[half], a, small_b);
      mma_tf32(stage[half], a, b);
    }
  }
  SIMT_UNROLL
  for (int half = 0; half < kHalves; ++half) {
    SIMT_UNROLL
    for (int j = 0; j < kAcross; ++j) {
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) sums[half][0][j][e] += stage[half][0][j][e];
    }
  }
}

// pull += slopes * x_j.
__device__ __forceinline__ void multiply_slopes(Shared& shared, int thread, int g, int q,
                                                float (&pull)[kGroups][1][4][4]) {
  SIMT_UNROLL
  for (int group = 0; group < kGroups; ++group) {
    float stage[1][4][4] = {};
    SIMT_ONE_AT_A_TIME
    for (int j = 0; j < kRows / 8; ++j) {
      std::uint32_t a[1][4], b[4][2];
      SIMT_UNROLL
      for (int at = 0; at < 4; ++at) {  // rows g and g + 8 of column 2q, then of 2q + 1
        a[0][at] = __float_as_uint(shared.slopes[j * 4 + at % 2 * 2 + at / 2][thread]);
      }
      std::uint32_t small_a[1][4], small_b[4][2];
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        SIMT_UNROLL
        for (int pair = 0; pair < 2; ++pair) {
          const float2 v = load2(shared.pull.at(group * 32 + pair * 16 + g * 2, j * 8 + q * 2 + half));
          b[pair * 2][half] = __float_as_uint(v.x);
          b[pair * 2 + 1][half] = __float_as_uint(v.y);
        }
      }
      split_to_tf32(a, small_a);
      split_to_tf32(b, small_b);
      mma_tf32(stage, small_a, b);
      mma_tf32(stage, a, small_b);
      mma_tf32(stage, a, b);
    }
    SIMT_UNROLL
    for (int c = 0; c < 4; ++c) {
      SIMT_UNROLL
      for (int e = 0; e < 4; ++e) pull[group][0][c][e] += stage[0][c][e];
    }
  }
}

// Sum over the 4 threads that share a row.
__device__ __forceinline__ float sum_across(float value) {
  value += __shfl_xor_sync(kAllLanes, value, 1);
  return value + __shfl_xor_sync(kAllLanes, value, 2);
}

struct Pairs {
  int n, d, padded_columns, padded_rows, column_blocks, slices, slice_rows;
  float margin;
  const float *e, *centred, *squares;
  const std::int32_t* labels;
};

template <Contrastive kVariant>
__global__ void __launch_bounds__(kThreads)
    contrastive_all_mma_kernel(const __grid_constant__ Pairs p, const __grid_constant__ Partial partial) {
  auto& shared = shared_storage<Shared>();
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32, g = lane / 4, q = lane % 4;
  const int block = static_cast<int>(blockIdx.x), slice = block % p.slices;
  const int column_block = block / p.slices % p.column_blocks, first_column = column_block * kPullColumns;
  const int first_i = block / p.slices / p.column_blocks * kRows, warp_row = thread / 32 * 16;
  const int begin = slice * p.slice_rows, end = begin + p.slice_rows < p.n ? begin + p.slice_rows : p.n;

  const MatrixRows<4> rows{p.centred, p.padded_rows, p.padded_columns};
  const MatrixColumns<4> columns{p.centred, p.padded_columns};
  using PairCarrier = AsyncCarrier<PairTile, MatrixRows<4>, kRows, true>;
  using PullCarrier = AsyncCarrier<PullTile, MatrixColumns<4>, kPullColumns, true>;
  const PairCarrier to_left(rows, first_i, thread);
  const PullCarrier to_pull(columns, first_column, thread);
  AsyncCopies<2 * PairCarrier::kCopies + PullCarrier::kCopies, 3> copies;

  float loss[2] = {}, active[2] = {}, slope[2] = {};
  float pull[kGroups][1][4][4] = {};
  for (int first_j = begin; first_j < end; first_j += kRows) {
    const PairCarrier to_right(rows, first_j, thread);
    PairSums sums = {};
    to_left.start(0, p.padded_columns, copies, shared.left[0]);
    to_right.start(0, p.padded_columns, copies, shared.right[0]);
    copies.commit();
    int stage = 0;
    for (int k = 0; k < p.padded_columns; k += kProductColumns, stage ^= 1) {
      const int next = k + kProductColumns;
      if (next < p.padded_columns) {
        to_left.start(next, p.padded_columns, copies, shared.left[stage ^ 1]);
        to_right.start(next, p.padded_columns, copies, shared.right[stage ^ 1]);
      }
      if (k == 0) to_pull.start(first_j, p.padded_rows, copies, shared.pull);
      copies.commit();
      copies.wait<1>();
      __syncthreads();
      multiply_columns(shared.left[stage], shared.right[stage], warp_row, lane, sums);
      __syncthreads();
    }
    copies.wait<0>();
    __syncthreads();

    SIMT_UNROLL
    for (int c = 0; c < kRows / 8; ++c) {
      SIMT_UNROLL
      for (int at = 0; at < 4; ++at) shared.slopes[c * 4 + at][thread] = sums[c / kAcross][0][c % kAcross][at];
    }
    SIMT_UNROLL
    for (int half = 0; half < 2; ++half) {
      const int i = first_i + warp_row + g + half * 8;
      SIMT_ONE_AT_A_TIME
      for (int at = 0; at < kRows / 4; ++at) {
        const int j = first_j + at / 2 * 8 + q * 2 + at % 2;
        float& sum = shared.slopes[at / 2 * 4 + half * 2 + at % 2][thread];
        PairTerm term{0, 0};
        if (i < p.n && j < end && i != j) {
          const float both = p.squares[i] + p.squares[j];
          float d2 = both - 2 * sum;
          if (!(d2 >= kDirectBelow * both)) {
            d2 = squared_difference(p.d, p.e + std::size_t(i) * p.d, p.e + std::size_t(j) * p.d);
          }
          term = pair_term<kVariant>(p.labels[i] == p.labels[j], p.margin, d2, sqrtf(d2));
        }
        loss[half] += term.loss;
        active[half] += term.loss != 0 ? 1.0f : 0.0f;
        slope[half] += term.slope;
        sum = term.slope;
      }
    }
    multiply_slopes(shared, thread, g, q, pull);
    __syncthreads();  // before the next rows are copied over these
  }

  const std::size_t first = std::size_t(slice) * p.n;
  SIMT_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float row_loss = sum_across(loss[half]), row_active = sum_across(active[half]);
    const float row_slope = sum_across(slope[half]);
    const int i = first_i + warp_row + g + half * 8;
    if (i >= p.n) continue;
    if (column_block == 0 && q == 0) {
      partial.loss[first + i] = row_loss;
      partial.active[first + i] = row_active;
      partial.slope[first + i] = row_slope;
    }
    SIMT_UNROLL
    for (int group = 0; group < kGroups; ++group) {
      SIMT_UNROLL
      for (int c = 0; c < 4; ++c) {
        SIMT_UNROLL
        for (int e = 0; e < 2; ++e) {
          const int k = first_column + group * 32 + c / 2 * 16 + q * 4 + e * 2 + c % 2;
          if (k < p.d) partial.pull[(first + i) * p.d + k] = pull[group][0][c][half * 2 + e];
        }
      }
    }
  }
}
SIMT_CONTRACT(contrastive_all_mma_kernel, .sectors = 9, .conflicts = 9, .loads = 21, .stores = 5.1, .registers = 232);

}  // namespace

void sum_on_tensor_cores(Queue queue, const Plan& plan, int n, int d, Contrastive variant, float margin, const float* e,
                         const float* mean, const std::int32_t* labels, float* centred, float* squares,
                         const Partial& partial) {
  launch<centred_rows_kernel>(
      {.grid = static_cast<unsigned>(plan.padded_rows / kWarps), .block = kThreads, .queue = queue}, n, d,
      plan.padded_columns, e, mean, centred, squares);
  const Pairs pairs{.n = n,
                    .d = d,
                    .padded_columns = plan.padded_columns,
                    .padded_rows = plan.padded_rows,
                    .column_blocks = plan.column_blocks,
                    .slices = plan.slices,
                    .slice_rows = plan.slice_rows,
                    .margin = margin,
                    .e = e,
                    .centred = centred,
                    .squares = squares,
                    .labels = labels};
  const LaunchConfig config{.grid = static_cast<unsigned>(plan.row_tiles * plan.column_blocks * plan.slices),
                            .block = kThreads,
                            .shared_bytes = sizeof(Shared),
                            .queue = queue};
  if (variant == Contrastive::hadsell) {
    launch<contrastive_all_mma_kernel<Contrastive::hadsell>>(config, pairs, partial);
  } else {
    launch<contrastive_all_mma_kernel<Contrastive::caffe_legacy>>(config, pairs, partial);
  }
}

}  // namespace gemel::GEMEL_DEVICE::all_pairs
