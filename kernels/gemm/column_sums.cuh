// SPDX-License-Identifier: MIT
//
// column_sums: the gradient of a bias.
//
//   sums[c] += sum_r matrix[r,c]
//
// Shapes    matrix: (rows, columns)   sums: (columns)   f32
// Mapping   slices of the rows over grid y; a thread sums one slice of 4 columns (1 where columns are no multiple of 4)
//           in ascending order; a second kernel adds the slices in ascending order.
// Shared    none.   Scratch slices * columns floats.
// Traffic   4 bytes and one addition an element: bound by memory.
// Numerics  f32, the same bits every time; slices of at least 64 rows, at most 256 of them.
#pragma once

#include <algorithm>
#include <cstdint>

#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE::gemm {

inline constexpr int kColumnBlock = 64;

inline int column_slices(int rows) { return std::clamp(rows / 64, 1, 256); }
inline std::size_t column_sums_scratch(int rows, int columns) {
  return sizeof(float) * static_cast<std::size_t>(column_slices(rows)) * static_cast<std::size_t>(columns);
}

template <int Vector>
__global__ void column_sums_kernel(int rows, int columns, const float* __restrict__ matrix,
                                   float* __restrict__ partial) {
  const int c = static_cast<int>(blockIdx.x * kColumnBlock + threadIdx.x) * Vector;
  if (c >= columns) return;
  const int slices = static_cast<int>(gridDim.y), slice = static_cast<int>(blockIdx.y);
  const int length = (rows + slices - 1) / slices;
  const int begin = slice * length, end = begin + length < rows ? begin + length : rows;
  const float* from = matrix + static_cast<std::int64_t>(begin) * columns + c;
  float* to = partial + static_cast<std::int64_t>(slice) * columns + c;
  if constexpr (Vector == 4) {
    float4 sum = make_float4(0, 0, 0, 0);
    for (int r = begin; r < end; ++r, from += columns) {
      const float4 v = load4(from);
      sum = make_float4(sum.x + v.x, sum.y + v.y, sum.z + v.z, sum.w + v.w);
    }
    store4(to, sum);
  } else {
    float sum = 0;
    for (int r = begin; r < end; ++r, from += columns) sum += *from;
    *to = sum;
  }
}
SIMT_CONTRACT(column_sums_kernel, .sectors = 1.65, .loads = 1.65, .stores = 1.65);

// Adds the sums of the columns to `sums`. Needs column_sums_scratch of scratch.
inline void column_sums(Queue queue, int rows, int columns, const float* matrix, float* sums) {
  const int slices = column_slices(rows), vector = columns % 4 == 0 ? 4 : 1;
  float* partial = scratch_floats(queue, column_sums_scratch(rows, columns));
  const LaunchConfig config{
      .grid = dim3(static_cast<unsigned>(ceil_divide(columns, vector * kColumnBlock)), static_cast<unsigned>(slices)),
      .block = dim3(kColumnBlock),
      .queue = queue};
  if (vector == 4) {
    launch_flat<column_sums_kernel<4>>(config, rows, columns, matrix, partial);
  } else {
    launch_flat<column_sums_kernel<1>>(config, rows, columns, matrix, partial);
  }
  sum_slices(queue, columns, columns, slices, partial, nullptr, true, sums);
}

}  // namespace gemel::GEMEL_DEVICE::gemm
