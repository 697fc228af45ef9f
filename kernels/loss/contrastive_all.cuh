// SPDX-License-Identifier: MIT
//
// What the two forms of contrastive_all share: contrastive_all.cu (f32), which also has what comes before and after, and
// contrastive_all_mma.cu (tensor cores).
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/gemm/tiles.h"
#include "kernels/kernels.h"

namespace gemel::GEMEL_DEVICE::all_pairs {

inline constexpr int kRows = 64;            // rows i of a block, and rows j that it takes at a time
inline constexpr int kThreads = 128;        // of a block
inline constexpr int kPullColumns = 128;    // of de, a block
inline constexpr int kProductColumns = 32;  // of the rows, that tensor cores multiply between two barriers

// Sums of one slice of rows j.
struct Partial {
  float* pull;                   // (slices,N,D): sum_j c_ij x_j
  float *loss, *active, *slope;  // (slices,N)
};

// How the pairs are cut into blocks, and where the parts of the scratch begin.
struct Plan {
  int row_tiles, column_blocks, slices, slice_rows;
  int padded_rows, padded_columns;                 // of the centred rows on tensor cores
  std::size_t mean, centred, squares, rows, pull;  // floats

  Plan(int n, int d) : row_tiles(ceil_divide(n, kRows)), column_blocks(ceil_divide(d, kPullColumns)) {
    const int wanted = std::clamp(kBlocksToFill / std::max(row_tiles * column_blocks, 1), 1, std::max(row_tiles, 1));
    slice_rows = std::max(ceil_divide(row_tiles, wanted), 1) * kRows;
    slices = std::max(ceil_divide(n, slice_rows), 1);
    padded_rows = row_tiles * kRows;
    padded_columns = ceil_divide(d, kProductColumns) * kProductColumns;
    mean = (std::size_t(d) + 3) / 4 * 4;
    centred = std::size_t(padded_rows) * padded_columns;
    squares = std::size_t(padded_rows);
    rows = std::size_t(slices) * n;
    pull = rows * d;
  }
  std::size_t bytes() const { return (mean + centred + squares + pull + 3 * rows) * sizeof(float); }
};

// The sums of all slices on tensor cores. centred (padded_rows, padded_columns) and squares (padded_rows) are scratch.
void sum_on_tensor_cores(Queue queue, const Plan& plan, int n, int d, Contrastive variant, float margin, const float* e,
                         const float* mean, const std::int32_t* labels, float* centred, float* squares,
                         const Partial& partial);

}  // namespace gemel::GEMEL_DEVICE::all_pairs
