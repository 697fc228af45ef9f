// SPDX-License-Identifier: MIT
//
// All-pairs distances, rung 3: on tensor cores, as a matrix product in 3xTF32.
//
//   |a_i - b_j|^2 = |a_i|^2 + |b_j|^2 - 2 a_i b_j      kept where it is at least 1/32 of |a_i|^2 + |b_j|^2
//   |a_i - b_j|^2 = sum_k (a_ik - b_jk)^2              everywhere else
//
// Shapes     a (N,D), b (M,D), distance (N,M).
// Mapping    kernels/gemm/mma_product.cuh: 128 x 64 pairs a block of 8 warps where these fill the device, else 64 x 64 by
//            4 warps, and 128 x 32 for up to 32 columns. Before, a warp a row sums the squares of the block's rows of a and b into shared memory; after, a
//            thread that finds a distance below the limit computes it by itself from memory.
// Shared     as linear/05_tf32x3.cu, and a float a row.
// Registers  sm_80, sm_90a: 149-197, up to 218 for rows copied float by float; no spills.
// Traffic    2 N M D FLOPs, three products of TF32 each, and 4 N M bytes written; a tile reads its rows twice, for the
//            squares and for the products. Predicted for D = 128 on an H100: 6.3 MFLOP of TF32 a tile of 128 x 64, 8 us
//            of a multiprocessor, beside 5 us of L2: bound by the tensor cores, at twice what fp32 products allow
//            (torch.cdist). Rung 2, 3 FLOPs a pair and column in fp32, is slower than those. Rows that are all close by
//            comparison with their length are computed twice, the second time slowly. Not yet run on a GPU.
// Numerics   docs/numerics.md. Relative error of a kept squared distance below (D / 16 + 54) 2^-19: 3 * 2^-22 of the squares from the products, 32 + D / 32 roundings of their sum, D / 32 + 7 of the
//            squares', 3 of the last, all 32 times larger beside what they leave. Of another one (D + 2) 2^-24. Equal rows
//            are exactly 0 apart. A pair depends on its two rows alone; it is not symmetric to the bit.
// Edges      N or M 0 launches nothing; rows of any D (16-byte copies where D is a multiple of 4). NaN and infinite
//            products are below any limit: what they should be, the differences tell.
// Used by    the table, where the queue's Math is not fp32: a distance deserves f32's accuracy in every mode.
//            Tests tests/reference/distance.cpp, tests/kernels/distance_bounds_test.cpp
#include <cmath>

#include "kernels/distance/direct.cuh"
#include "kernels/distance/rungs.h"
#include "kernels/gemm/mma_product.cuh"
#include "kernels/simt/reduce.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;

// Distances of 4 x 4 pairs from their products.
struct PairEnd {
  const float *a, *b;
  int n, m, d;
  bool squared;
  float* distance;
  const float *row_squares, *column_squares;  // of the block's tile, in shared memory
  int first_row, first_column;

  __device__ __forceinline__ void finish(int i, int j, const float (&products)[4][4]) const {
    SIMT_UNROLL_REGISTERS
    for (int r = 0; r < 4; ++r) {
      if (i + r >= n) continue;
      float results[4];
      SIMT_UNROLL_REGISTERS
      for (int c = 0; c < 4; ++c) {
        const float squares = row_squares[i + r - first_row] + column_squares[j + c - first_column];
        float d2 = squares - 2 * products[r][c];
        if (!(d2 >= kDirectBelow * squares) && j + c < m) {
          d2 = squared_difference(d, a + std::size_t(i + r) * d, b + std::size_t(j + c) * d);
        }
        results[c] = squared ? d2 : sqrtf(d2);
      }
      float* to = distance + static_cast<std::int64_t>(i + r) * m + j;
      if (m % 4 == 0) {
        store_run(to, results);
      } else {
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) {
          if (j + c < m) to[c] = results[c];
        }
      }
    }
  }
};

template <int Vector>
using PairProduct = Product<MatrixRows<Vector>, MatrixRows<Vector>, RowsInOrder, PairEnd>;

template <class T, int Vector>
struct PairShared {
  MmaStages<T, PairProduct<Vector>> stages;
  float row_squares[T::kRows], column_squares[T::kColumns];
};

// squares[r] of rows first .. first + kRows - 1 of those there are, a warp a row; the others' are 0.
template <int kRows, int kThreads>
__device__ __forceinline__ void sum_squares(const float* rows, int count, int d, int first, float (&squares)[kRows]) {
  const int thread = static_cast<int>(threadIdx.x), lane = thread % 32;
  for (int r = thread / 32; r < kRows; r += kThreads / 32) {
    float sum = 0;
    if (first + r < count) {
      const float* row = rows + static_cast<std::int64_t>(first + r) * d;
      for (int k = lane; k < d; k += 32) sum += row[k] * row[k];
    }
    sum = warp_sum(sum);
    if (lane == 0) squares[r] = sum;
  }
}

template <class T, int Vector>
__global__ void __launch_bounds__(T::kThreads, 1)
    pairwise_mma_kernel(const __grid_constant__ PairProduct<Vector> given) {
  auto& shared = shared_storage<PairShared<T, Vector>>();
  const int tile = static_cast<int>(blockIdx.x), across = (given.columns + T::kColumns - 1) / T::kColumns;
  const int first_row = tile / across * T::kRows, first_column = tile % across * T::kColumns;
  PairProduct<Vector> product = given;
  PairEnd& end = product.epilogue;
  end.row_squares = shared.row_squares, end.column_squares = shared.column_squares;
  end.first_row = first_row, end.first_column = first_column;
  sum_squares<T::kRows, T::kThreads>(end.a, end.n, end.d, first_row, shared.row_squares);
  sum_squares<T::kColumns, T::kThreads>(end.b, end.m, end.d, first_column, shared.column_squares);
  __syncthreads();
  multiply_mma_tile<T, Math::tf32x3>(product, first_row, first_column, shared.stages);
}
SIMT_CONTRACT(pairwise_mma_kernel, .loads = 16, .registers = 218);

template <int Vector>
void distances(Queue queue, int n, int m, int d, const float* a, const float* b, bool squared, float* distance) {
  const PairEnd end{.a = a,
                    .b = b,
                    .n = n,
                    .m = m,
                    .d = d,
                    .squared = squared,
                    .distance = distance,
                    .row_squares = nullptr,
                    .column_squares = nullptr,
                    .first_row = 0,
                    .first_column = 0};
  const PairProduct<Vector> product{.a = {a, n, d},
                                    .b = {b, m, d},
                                    .rows = n,
                                    .columns = m,
                                    .depth = d,
                                    .out = distance,
                                    .bias = nullptr,
                                    .slice = slice_length(d),
                                    .epilogue = end};
  MmaTiles<Math::tf32x3>::choose(product, 1, [&]<class T>(unsigned tiles) {
    launch<pairwise_mma_kernel<T, Vector>>({.grid = dim3(tiles),
                                            .block = dim3(T::kThreads),
                                            .shared_bytes = sizeof(PairShared<T, Vector>),
                                            .queue = queue},
                                           product);
  });
}

}  // namespace

void pairwise_distance_mma(Queue queue, int n, int m, int d, const float* a, const float* b, bool squared,
                           float* distance) {
  if (n == 0 || m == 0) return;
  d % 4 == 0 ? distances<4>(queue, n, m, d, a, b, squared, distance)
             : distances<1>(queue, n, m, d, a, b, squared, distance);
}

}  // namespace gemel::GEMEL_DEVICE
