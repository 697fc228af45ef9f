// SPDX-License-Identifier: MIT
//
// A matrix product as its kernels take it (tile_product.cuh, mma_product.cuh), how a block's results are put where they
// belong, and the sum of slices.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "kernels/gemm/operands.cuh"
#include "kernels/gemm/tiles.h"
#include "kernels/simt/launch_error.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::gemm {

// Row m of the product is row m of the output.
struct RowsInOrder {
  __device__ __forceinline__ std::int64_t row(int m) const { return m; }
};

// The sums are stored as they are. Another epilogue takes them from the registers instead, 4 x 4 neighbours at a time:
//
//   finish(m, n, sums)   sums[i][j] is element (m + i, n + j) of the product; m and n are multiples of 4, and elements
//                        past the last row or column are to be ignored
//
// `bias` and `accumulate` of the product are then of no use, and `out` holds what its earlier slices add up to. A product
// that is split is not finished here: whoever adds its slices does that.
struct NoEpilogue {};

template <class A, class B, class Place = RowsInOrder, class Epilogue = NoEpilogue>
struct Product {
  A a;
  B b;
  int rows, columns, depth;
  float* out;
  const float* bias;        // (columns) or null
  bool accumulate = false;  // out += product
  Place place{};
  int slice = 0;                    // length of a slice
  float* partial = nullptr;         // split: slice z is written to partial + z * partial_stride, placed as in out
  std::int64_t partial_stride = 0;  // floats of out
  Epilogue epilogue{};
};

// A thread's results. Element (i, j) is row spot.row(i) and column spot.column(j) of the tile; columns come in runs of
// Spot::kRun neighbours, rows, where an epilogue takes them, in runs of 4.
template <class T>
using Results = float[T::kThreadRows][T::kThreadColumns];

// How finished results are put into a row of the output.
struct Finish {
  bool add;           // to what is there
  const float* bias;  // or null
  bool whole;         // rows begin at multiples of 16 bytes, and have whole accesses of a run
};

// A run in memory, of 2 or 4.
template <int kCount>
__device__ __forceinline__ void load_run(const float* from, float (&run)[kCount]) {
  if constexpr (kCount == 4) {
    const float4 v = load4(from);
    run[0] = v.x, run[1] = v.y, run[2] = v.z, run[3] = v.w;
  } else {
    const float2 v = load2(from);
    run[0] = v.x, run[1] = v.y;
  }
}
template <int kCount>
__device__ __forceinline__ void store_run(float* to, const float (&run)[kCount]) {
  if constexpr (kCount == 4) {
    store4(to, make_float4(run[0], run[1], run[2], run[3]));
  } else {
    store2(to, make_float2(run[0], run[1]));
  }
}

template <class T, class P, class Spot>
__device__ __forceinline__ void store(const P& product, const Spot& spot, int first_row, int first_column, float* out,
                                      const Finish& finish, const Results<T>& results) {
  constexpr int kStep = Spot::kRun < 4 ? Spot::kRun : 4;
  SIMT_UNROLL_REGISTERS
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int m = first_row + spot.row(i);
    if (m >= product.rows) continue;
    float* row = out + product.place.row(m) * product.columns;
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < T::kThreadColumns; j += kStep) {
      const int n = first_column + spot.column(j);
      if (finish.whole) {
        if (n >= product.columns) continue;
        float v[kStep] = {}, old[kStep] = {}, bias[kStep] = {};
        SIMT_UNROLL_REGISTERS
        for (int e = 0; e < kStep; ++e) v[e] = results[i][j + e];
        if (finish.add) {
          load_run(row + n, old);
          SIMT_UNROLL_REGISTERS
          for (int e = 0; e < kStep; ++e) v[e] = old[e] + v[e];
        }
        if (finish.bias != nullptr) {
          load_run(finish.bias + n, bias);
          SIMT_UNROLL_REGISTERS
          for (int e = 0; e < kStep; ++e) v[e] += bias[e];
        }
        store_run(row + n, v);
      } else {
        SIMT_UNROLL_REGISTERS
        for (int e = 0; e < kStep; ++e) {
          if (n + e >= product.columns) continue;
          float v = results[i][j + e];
          if (finish.add) v = row[n + e] + v;
          if (finish.bias != nullptr) v += finish.bias[n + e];
          row[n + e] = v;
        }
      }
    }
  }
}

// Hands finished results to the epilogue, added to what the earlier slices left in the output if `add`.
template <class T, class P, class Spot>
__device__ __forceinline__ void finish(const P& product, const Spot& spot, int first_row, int first_column, bool add,
                                       const Results<T>& results) {
  static_assert(Spot::kRunOfRows == 4 && Spot::kRun % 4 == 0);
  SIMT_UNROLL_REGISTERS
  for (int i = 0; i < T::kThreadRows; i += 4) {
    const int m = first_row + spot.row(i);
    if (m >= product.rows) continue;
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int n = first_column + spot.column(j);
      if (n >= product.columns) continue;
      float sums[4][4];
      SIMT_UNROLL_REGISTERS
      for (int r = 0; r < 4; ++r) {
        const float* before = add ? product.out + product.place.row(m + r) * product.columns + n : nullptr;
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) {
          const bool inside = m + r < product.rows && n + c < product.columns;
          sums[r][c] = add && inside ? before[c] + results[i + r][j + c] : results[i + r][j + c];
        }
      }
      product.epilogue.finish(m, n, sums);
    }
  }
}

// The tile's slices, or the one of this block: sum(begin, end, results) adds the products of depths [begin, end) to
// results, which are then put where they belong.
template <class T, class P, class Spot, class Sum>
__device__ __forceinline__ void sum_in_slices(const P& product, const Spot& spot, int first_row, int first_column,
                                              Sum sum) {
  const bool split = product.partial != nullptr;
  const int slices = (product.depth + product.slice - 1) / product.slice;
  const int first_slice = split ? static_cast<int>(blockIdx.z) : 0;
  const int end_slice = split ? first_slice + 1 : (slices > 0 ? slices : 1);
  for (int slice = first_slice; slice < end_slice; ++slice) {
    const int begin = slice * product.slice;
    const int end = begin + product.slice < product.depth ? begin + product.slice : product.depth;
    Results<T> results = {};
    sum(begin, end, results);

    const bool whole = product.columns % 4 == 0;
    if (split) {
      float* out = product.partial + static_cast<std::int64_t>(slice) * product.partial_stride;
      store<T>(product, spot, first_row, first_column, out, {false, nullptr, whole}, results);
      continue;
    }
    const bool last = slice == end_slice - 1;
    if constexpr (!std::is_same_v<decltype(product.epilogue), NoEpilogue>) {
      if (last) {
        finish<T>(product, spot, first_row, first_column, slice > 0, results);
        continue;
      }
    }
    store<T>(product, spot, first_row, first_column, product.out,
             {product.accumulate || slice > 0, last ? product.bias : nullptr, whole}, results);
  }
}

// Slices whose rows of `used` elements are padded to `pitch`.
struct Padding {
  int used = 1, pitch = 1;
};

// out[e] = or += sum over slices of partial[slice * stride + e], in order (+ bias[e % columns]); the padding of partial
// is left out. One thread an element; reads slices * 4 bytes for 4 written.
inline constexpr int kSumBlock = 256;
template <bool Accumulate>
__global__ void sum_slices_kernel(int elements, int columns, int slices, std::int64_t stride, Padding padding,
                                  const float* __restrict__ partial, const float* __restrict__ bias,
                                  float* __restrict__ out) {
  const int e = static_cast<int>(blockIdx.x * kSumBlock + threadIdx.x);
  if (e >= elements) return;
  const bool padded = padding.used != padding.pitch;
  const float* from = partial + (padded ? e / padding.used * padding.pitch + e % padding.used : e);
  float sum = *from;
  for (int slice = 1; slice < slices; ++slice) sum += from[slice * stride];
  if constexpr (Accumulate) sum = out[e] + sum;
  if (bias != nullptr) sum += bias[e % columns];
  out[e] = sum;
}
SIMT_CONTRACT(sum_slices_kernel, .sectors = 1.65, .loads = 1.45);

inline void sum_slices(Queue queue, int elements, int columns, int slices, const float* partial, const float* bias,
                       bool accumulate, float* out, Padding padding = {}) {
  const std::int64_t stride = std::int64_t{elements} / padding.used * padding.pitch;
  const LaunchConfig config{
      .grid = dim3(static_cast<unsigned>(ceil_divide(elements, kSumBlock))), .block = dim3(kSumBlock), .queue = queue};
  if (accumulate) {
    launch_flat<sum_slices_kernel<true>>(config, elements, columns, slices, stride, padding, partial, bias, out);
  } else {
    launch_flat<sum_slices_kernel<false>>(config, elements, columns, slices, stride, padding, partial, bias, out);
  }
}

// Extents of a product are ints.
inline int extent(std::int64_t value, const char* of) {
  if (value > std::numeric_limits<int>::max()) {
    throw LaunchError(std::string(of) + " of " + std::to_string(value) + " are too many; use a smaller batch");
  }
  return static_cast<int>(value);
}

inline std::size_t partial_bytes(int slices, std::int64_t elements) {
  return slices > 1 ? sizeof(float) * static_cast<std::size_t>(slices) * static_cast<std::size_t>(elements) : 0;
}

// The queue's scratch as floats. Throws LaunchError where it is smaller than the entry's *_scratch twin said.
inline float* scratch_floats(const Queue& queue, std::size_t bytes) {
  if (queue.scratch.bytes < bytes) {
    throw LaunchError("scratch of " + std::to_string(queue.scratch.bytes) + " bytes, " + std::to_string(bytes) +
                      " are needed: ask the entry's *_scratch twin");
  }
  return static_cast<float*>(queue.scratch.data);
}

// A product of its own: splits it where that pays, sums the slices. Tiles::launch queues the product, its slices to
// `partial` where there are several.
template <class Tiles, class P>
void multiply_split(Queue queue, P product, int slices) {
  if (slices > 1) {
    product.partial_stride = std::int64_t{product.rows} * product.columns;
    product.partial = scratch_floats(queue, partial_bytes(slices, product.partial_stride));
  }
  Tiles::launch(queue, product, slices);
  if (slices > 1) {
    sum_slices(queue, product.rows * product.columns, product.columns, slices, product.partial, product.bias,
               product.accumulate, product.out);
  }
}

}  // namespace gemel::GEMEL_DEVICE::gemm
