// SPDX-License-Identifier: MIT
//
// The tiled matrix product under linear/02_tiled.cu, conv2d/02_implicit_gemm.cu, conv2d/conv_block.cu and, in families,
// local2d/02_place_products.cu.
//
//   out[m,n] = sum_k A(m,k) * B(k,n) (+ bias[n])     or     out[m,n] += sum_k A(m,k) * B(k,n)
//
// Shapes    A, B: operands (operands.cuh); rows x columns x depth. out: rows of `columns` floats, placed by `Place`.
// Mapping   grid x: tiles, those of a row of tiles next to each other. Block: one tile of kRows x kColumns results
//           (tiles.h); warps of 4 x 8 threads, each thread kThreadRows x kThreadColumns results in registers. Grid z:
//           the slices of the sum, where it is split over blocks.
// Shared    two stages of a kDepth x (kRows + 4) and a kDepth x (kColumns + 4) tile of the factors, depth-major, so
// that
//           a thread reads its factors of one depth as float4s; one stage is filled while the other is multiplied, with
//           one barrier a step. The 4 floats of padding halve the bank conflicts of the transposing stores.
// Traffic   2*rows*columns*depth FLOPs; 4*rows*columns*depth*(1/kRows + 1/kColumns) bytes from L2: 32 FLOPs a byte for
//           128 x 128. Per depth a thread reads kThreadRows + kThreadColumns floats of shared memory for their product
//           multiply-adds. Bound by arithmetic for rows, columns >= 128.
// Numerics  f32. A sum is cut into slices, by its length alone (tiles.h); the slices are summed in ascending order,
//           each of them from 0 in ascending order. Either one block computes them one after the other, adding to
//           `out`, or a block each writes to scratch and a second kernel adds them up: the same bits.
// Edge      elements past the last row, column or depth are 0 in shared memory, and not stored. depth = 0 gives 0.
#pragma once

#include <cstddef>
#include <cstdint>
#include <limits>
#include <string>
#include <type_traits>

#include "kernels/gemm/carrier.cuh"
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

template <class T>
struct alignas(16) Stages {
  float a[2][T::kDepth][T::kRows + 4];
  float b[2][T::kDepth][T::kColumns + 4];
};

// A thread's place in the tile: its results are runs of consecutive rows and columns.
template <class T>
struct Spot {
  int down, across;

  __device__ __forceinline__ explicit Spot(int thread) {
    constexpr int kWarpsAcross = T::kThreadsAcross / 8;
    const int warp = thread / 32, lane = thread % 32;
    down = warp / kWarpsAcross * 4 + lane / 8;
    across = warp % kWarpsAcross * 8 + lane % 8;
  }
  // Row and column, in the tile, of results 4*i.. and kRun*j..
  __device__ __forceinline__ int row(int i) const { return (i * T::kThreadsDown + down) * 4; }
  __device__ __forceinline__ int column(int j) const { return (j * T::kThreadsAcross + across) * T::kRun; }
};

template <class T>
using Results = float[T::kThreadRows][T::kThreadColumns];

// Tells the compiler that 16-byte accesses are possible.
__device__ __forceinline__ const float* aligned(const float& first) {
  return static_cast<const float*>(__builtin_assume_aligned(&first, 16));
}

// results += one stage's factors, an inner block of results after the other.
template <class T>
__device__ __forceinline__ void multiply(const Spot<T>& spot, const float (&a)[T::kDepth][T::kRows + 4],
                                         const float (&b)[T::kDepth][T::kColumns + 4], Results<T>& results) {
  for (int first_i = 0; first_i < T::kThreadRows; first_i += T::kInnerRows) {
    for (int first_j = 0; first_j < T::kThreadColumns; first_j += T::kInnerColumns) {
      float sums[T::kInnerRows][T::kInnerColumns];
      SIMT_UNROLL
      for (int i = 0; i < T::kInnerRows; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < T::kInnerColumns; ++j) sums[i][j] = results[first_i + i][first_j + j];
      }
      for (int k = 0; k < T::kDepth; ++k) {
        SIMT_UNROLL
        for (int i = 0; i < T::kInnerRows; ++i) {
          const float left = aligned(a[k][spot.row((first_i + i) / 4)])[i % 4];
          SIMT_UNROLL
          for (int j = 0; j < T::kInnerColumns; ++j) {
            const int at = first_j + j;
            sums[i][j] += left * aligned(b[k][spot.column(at / T::kRun) + at % T::kRun / 4 * 4])[at % 4];
          }
        }
      }
      SIMT_UNROLL
      for (int i = 0; i < T::kInnerRows; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < T::kInnerColumns; ++j) results[first_i + i][first_j + j] = sums[i][j];
      }
    }
  }
}

// How finished results are put into a row of the output.
struct Finish {
  bool add;           // to what is there
  const float* bias;  // or null
  bool four;          // columns are a multiple of 4: 16-byte accesses
};

template <class T, class P>
__device__ __forceinline__ void store(const P& product, const Spot<T>& spot, int first_row, int first_column,
                                      float* out, const Finish& finish, const Results<T>& results) {
  SIMT_UNROLL_REGISTERS
  for (int i = 0; i < T::kThreadRows; ++i) {
    const int m = first_row + spot.row(i / 4) + i % 4;
    if (m >= product.rows) continue;
    float* row = out + product.place.row(m) * product.columns;
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int n = first_column + spot.column(j / T::kRun) + j % T::kRun;
      if (finish.four) {
        if (n >= product.columns) continue;
        float4 v = make_float4(results[i][j], results[i][j + 1], results[i][j + 2], results[i][j + 3]);
        if (finish.add) {
          const float4 old = load4(row + n);
          v = make_float4(old.x + v.x, old.y + v.y, old.z + v.z, old.w + v.w);
        }
        if (finish.bias != nullptr) {
          const float4 bias = load4(finish.bias + n);
          v = make_float4(v.x + bias.x, v.y + bias.y, v.z + bias.z, v.w + bias.w);
        }
        store4(row + n, v);
      } else {
        SIMT_UNROLL_REGISTERS
        for (int e = 0; e < 4; ++e) {
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
template <class T, class P>
__device__ __forceinline__ void finish(const P& product, const Spot<T>& spot, int first_row, int first_column, bool add,
                                       const Results<T>& results) {
  SIMT_UNROLL_REGISTERS
  for (int i = 0; i < T::kThreadRows; i += 4) {
    const int m = first_row + spot.row(i / 4);
    if (m >= product.rows) continue;
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < T::kThreadColumns; j += 4) {
      const int n = first_column + spot.column(j / T::kRun) + j % T::kRun;
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

// The block's tile, of those of the product.
template <class T, class P>
__device__ __forceinline__ void multiply_tile(const P& product, int tile) {
  auto& stages = shared_storage<Stages<T>>();
  const int thread = static_cast<int>(threadIdx.x);
  const int tiles_across = (product.columns + T::kColumns - 1) / T::kColumns;
  const int first_row = tile / tiles_across * T::kRows;
  const int first_column = tile % tiles_across * T::kColumns;
  const Spot<T> spot(thread);
  Carrier<T, decltype(product.a), T::kRows> a(product.a, first_row, thread);
  Carrier<T, decltype(product.b), T::kColumns> b(product.b, first_column, thread);

  const bool split = product.partial != nullptr;
  const int slices = (product.depth + product.slice - 1) / product.slice;
  const int first_slice = split ? static_cast<int>(blockIdx.z) : 0;
  const int end_slice = split ? first_slice + 1 : (slices > 0 ? slices : 1);
  for (int slice = first_slice; slice < end_slice; ++slice) {
    const int begin = slice * product.slice;
    const int end = begin + product.slice < product.depth ? begin + product.slice : product.depth;
    Results<T> results = {};
    // One step ahead: the factors of the next step are on their way while this one is multiplied.
    int stage = 0;
    for (int k = begin - T::kDepth; k < end; k += T::kDepth) {
      const int next = k + T::kDepth;
      if (next < end) {
        a.fetch(next, end);
        b.fetch(next, end);
      }
      if (k >= begin) multiply<T>(spot, stages.a[stage], stages.b[stage], results);
      stage ^= 1;
      if (next < end) {
        a.put(stages.a[stage]);
        b.put(stages.b[stage]);
      }
      __syncthreads();
    }

    const bool four = product.columns % 4 == 0;
    if (split) {
      float* out = product.partial + static_cast<std::int64_t>(slice) * product.partial_stride;
      store<T>(product, spot, first_row, first_column, out, {false, nullptr, four}, results);
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
             {product.accumulate || slice > 0, last ? product.bias : nullptr, four}, results);
  }
}

template <class T, class P>
__global__ void __launch_bounds__(T::kThreads, 1) tile_product_kernel(const __grid_constant__ P product) {
  multiply_tile<T>(product, static_cast<int>(blockIdx.x));
}
SIMT_CONTRACT(tile_product_kernel, .sectors = 1.65, .conflicts = 1.15, .loads = 31, .stores = 6.5);

// Many products in one launch: a family has `count` of them, product(i), all of rows x columns and none split.
template <class T, class Family>
__global__ void __launch_bounds__(T::kThreads, 1) tile_products_kernel(const __grid_constant__ Family family) {
  const int down = (family.rows + T::kRows - 1) / T::kRows, across = (family.columns + T::kColumns - 1) / T::kColumns;
  const int block = static_cast<int>(blockIdx.x), tiles = down * across;
  const auto product = family.product(block / tiles);
  multiply_tile<T>(product, block % tiles);
}
SIMT_CONTRACT(tile_products_kernel, .conflicts = 1.2, .loads = 1.1);

// out[e] = or += sum over slices of partial[slice * elements + e], in order (+ bias[e % columns]).
// One thread an element; reads slices * 4 bytes for 4 written.
inline constexpr int kSumBlock = 256;
template <bool Accumulate>
__global__ void sum_slices_kernel(int elements, int columns, int slices, const float* __restrict__ partial,
                                  const float* __restrict__ bias, float* __restrict__ out) {
  const int e = static_cast<int>(blockIdx.x * kSumBlock + threadIdx.x);
  if (e >= elements) return;
  float sum = partial[e];
  for (int slice = 1; slice < slices; ++slice) sum += partial[static_cast<std::int64_t>(slice) * elements + e];
  if constexpr (Accumulate) sum = out[e] + sum;
  if (bias != nullptr) sum += bias[e % columns];
  out[e] = sum;
}
SIMT_CONTRACT(sum_slices_kernel, .sectors = 1.65, .loads = 1.45);

inline void sum_slices(Queue queue, int elements, int columns, int slices, const float* partial, const float* bias,
                       bool accumulate, float* out) {
  const LaunchConfig config{
      .grid = dim3(static_cast<unsigned>(ceil_divide(elements, kSumBlock))), .block = dim3(kSumBlock), .queue = queue};
  if (accumulate) {
    launch_flat<sum_slices_kernel<true>>(config, elements, columns, slices, partial, bias, out);
  } else {
    launch_flat<sum_slices_kernel<false>>(config, elements, columns, slices, partial, bias, out);
  }
}

// Extents of a product are ints.
inline int extent(std::int64_t value, const char* of) {
  if (value > std::numeric_limits<int>::max()) {
    throw LaunchError(std::string(of) + " of " + std::to_string(value) + " are too many; use a smaller batch");
  }
  return static_cast<int>(value);
}

template <class T, class P>
void launch_tiles(Queue queue, const P& product, int split_slices) {
  launch<tile_product_kernel<T, P>>({.grid = dim3(static_cast<unsigned>(tiles_in<T>(product.rows, product.columns)), 1,
                                                  static_cast<unsigned>(split_slices)),
                                     .block = dim3(T::kThreads),
                                     .shared_bytes = sizeof(Stages<T>),
                                     .queue = queue},
                                    product);
}

// The tiles of a member are neighbours in the grid: what they share is read from memory once.
template <class T, class Family>
void launch_family(Queue queue, const Family& family) {
  const std::int64_t blocks = tiles_in<T>(family.rows, family.columns) * family.count;
  launch<tile_products_kernel<T, Family>>({.grid = dim3(static_cast<unsigned>(extent(blocks, "tiles of products"))),
                                           .block = dim3(T::kThreads),
                                           .shared_bytes = sizeof(Stages<T>),
                                           .queue = queue},
                                          family);
}

// Which tile a product is computed with. It does not change the result. Operands fetched float by float hold so many
// addresses that the large tile would not fit the registers.
enum class TileSize { narrow, medium, large };
inline TileSize tile_size(int rows, int columns, bool by_four) {
  if (columns <= NarrowTile::kColumns) return TileSize::narrow;
  const bool fits = by_four && rows > MediumTile::kRows / 2 && columns > MediumTile::kColumns;
  return fits && 2 * tiles_in<LargeTile>(rows, columns) >= kBlocksToFill ? TileSize::large : TileSize::medium;
}
inline std::int64_t tiles_of(int rows, int columns, bool by_four) {
  switch (tile_size(rows, columns, by_four)) {
    case TileSize::narrow:
      return tiles_in<NarrowTile>(rows, columns);
    case TileSize::medium:
      return tiles_in<MediumTile>(rows, columns);
    case TileSize::large:
      break;
  }
  return tiles_in<LargeTile>(rows, columns);
}

// Into how many slices a product is split over blocks: all of them where its tiles alone do not fill the device,
// else 1.
inline int split_slices(int rows, int columns, int depth, int slice, bool by_four) {
  const int slices = ceil_divide(depth, slice);
  const bool filled = tiles_of(rows, columns, by_four) >= kBlocksToFill;
  return slices > 1 && !filled ? slices : 1;
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

// Queues the product; its slices to `product.partial` where `slices` > 1.
template <class P>
void multiply_tiles(Queue queue, const P& product, int slices) {
  constexpr bool kByFour = decltype(product.a)::kVector == 4 && decltype(product.b)::kVector == 4;
  switch (tile_size(product.rows, product.columns, kByFour)) {
    case TileSize::narrow:
      return launch_tiles<NarrowTile>(queue, product, slices);
    case TileSize::medium:
      return launch_tiles<MediumTile>(queue, product, slices);
    case TileSize::large:
      if constexpr (kByFour) launch_tiles<LargeTile>(queue, product, slices);
  }
}

// A product of its own: splits it where that pays, sums the slices.
template <class P>
void multiply_split(Queue queue, P product, int slices) {
  if (slices > 1) {
    product.partial_stride = std::int64_t{product.rows} * product.columns;
    product.partial = scratch_floats(queue, partial_bytes(slices, product.partial_stride));
  }
  multiply_tiles(queue, product, slices);
  if (slices > 1) {
    sum_slices(queue, product.rows * product.columns, product.columns, slices, product.partial, product.bias,
               product.accumulate, product.out);
  }
}

}  // namespace gemel::GEMEL_DEVICE::gemm
