// SPDX-License-Identifier: MIT
//
// The tiled matrix product under linear/02_tiled.cu, linear/03_async.cu, conv2d/02_implicit_gemm.cu and, in families,
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

#include <cstdint>

#include "kernels/gemm/carrier.cuh"
#include "kernels/gemm/product.cuh"

namespace gemel::GEMEL_DEVICE::gemm {

template <class T>
struct alignas(16) Stages {
  float a[2][T::kDepth][T::kRows + 4];
  float b[2][T::kDepth][T::kColumns + 4];
};

// A thread's place in the tile: its results are runs of consecutive rows and columns.
template <class T>
struct Spot {
  static constexpr int kRunOfRows = 4, kRun = T::kRun;
  int down, across;

  __device__ __forceinline__ explicit Spot(int thread) {
    constexpr int kWarpsAcross = T::kThreadsAcross / 8;
    const int warp = thread / 32, lane = thread % 32;
    down = warp / kWarpsAcross * 4 + lane / 8;
    across = warp % kWarpsAcross * 8 + lane % 8;
  }
  // Row and column, in the tile, of results (i, j).
  __device__ __forceinline__ int row(int i) const { return (i / 4 * T::kThreadsDown + down) * 4 + i % 4; }
  __device__ __forceinline__ int column(int j) const {
    return (j / kRun * T::kThreadsAcross + across) * kRun + j % kRun;
  }
};

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
          const float left = aligned(a[k][spot.row(first_i + i / 4 * 4)])[i % 4];
          SIMT_UNROLL
          for (int j = 0; j < T::kInnerColumns; ++j) {
            sums[i][j] += left * aligned(b[k][spot.column(first_j + j / 4 * 4)])[j % 4];
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

// How the factors of the next step come to shared memory while this one is multiplied: by way of registers, or by
// asynchronous copies (cp.async), which need none and no instruction to store.
enum class Staging { registers, async };

template <int Width>
struct DepthMajor {
  float (*data)[Width + 4];
  __device__ __forceinline__ float* at(int lane, int depth) const { return &data[depth][lane]; }
};

// The block's tile, of those of the product.
template <class T, Staging kStaging, class P>
__device__ __forceinline__ void multiply_tile(const P& product, int tile) {
  auto& stages = shared_storage<Stages<T>>();
  const int thread = static_cast<int>(threadIdx.x);
  const int tiles_across = (product.columns + T::kColumns - 1) / T::kColumns;
  const int first_row = tile / tiles_across * T::kRows;
  const int first_column = tile % tiles_across * T::kColumns;
  const Spot<T> spot(thread);
  using A = decltype(product.a);
  using B = decltype(product.b);
  if constexpr (kStaging == Staging::registers) {
    Carrier<T, A, T::kRows> a(product.a, first_row, thread);
    Carrier<T, B, T::kColumns> b(product.b, first_column, thread);
    sum_in_slices<T>(product, spot, first_row, first_column, [&](int begin, int end, Results<T>& results) {
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
    });
  } else {
    // Depth-major in shared memory: what is contiguous along the depth goes float by float.
    const AsyncCarrier<T, A, T::kRows, !A::kAlongDepth> a(product.a, first_row, thread);
    const AsyncCarrier<T, B, T::kColumns, !B::kAlongDepth> b(product.b, first_column, thread);
    AsyncCopies<decltype(a)::kCopies + decltype(b)::kCopies, 2> copies;
    sum_in_slices<T>(product, spot, first_row, first_column, [&](int begin, int end, Results<T>& results) {
      int stage = 0;
      for (int k = begin - T::kDepth; k < end; k += T::kDepth) {
        const int next = k + T::kDepth;
        if (next < end) {
          DepthMajor<T::kRows> next_a{stages.a[stage ^ 1]};
          DepthMajor<T::kColumns> next_b{stages.b[stage ^ 1]};
          a.start(next, end, copies, next_a);
          b.start(next, end, copies, next_b);
          copies.commit();
        }
        if (k >= begin) multiply<T>(spot, stages.a[stage], stages.b[stage], results);
        stage ^= 1;
        copies.template wait<0>();
        __syncthreads();
      }
    });
  }
}

template <class T, Staging kStaging, class P>
__global__ void __launch_bounds__(T::kThreads, 1) tile_product_kernel(const __grid_constant__ P product) {
  multiply_tile<T, kStaging>(product, static_cast<int>(blockIdx.x));
}
SIMT_CONTRACT(tile_product_kernel, .sectors = 5, .conflicts = 1.15, .loads = 32.3, .stores = 6.5, .registers = 208);

// Many products in one launch: a family has `count` of them, product(i), all of rows x columns and none split.
template <class T, class Family>
__global__ void __launch_bounds__(T::kThreads, 1) tile_products_kernel(const __grid_constant__ Family family) {
  const int down = (family.rows + T::kRows - 1) / T::kRows, across = (family.columns + T::kColumns - 1) / T::kColumns;
  const int block = static_cast<int>(blockIdx.x), tiles = down * across;
  const auto product = family.product(block / tiles);
  multiply_tile<T, Staging::registers>(product, block % tiles);
}
SIMT_CONTRACT(tile_products_kernel, .conflicts = 1.2, .loads = 1.1, .registers = 184);

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

// Queues a product; its slices to `product.partial` where `slices` > 1.
template <Staging kStaging>
struct RegisterTiles {
  template <class P>
  static void launch(Queue queue, const P& product, int slices) {
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

 private:
  template <class T, class P>
  static void launch_tiles(Queue queue, const P& product, int slices) {
    const auto tiles = static_cast<unsigned>(tiles_in<T>(product.rows, product.columns));
    GEMEL_DEVICE::launch<tile_product_kernel<T, kStaging, P>>({.grid = dim3(tiles, 1, static_cast<unsigned>(slices)),
                                                               .block = dim3(T::kThreads),
                                                               .shared_bytes = sizeof(Stages<T>),
                                                               .queue = queue},
                                                              product);
  }
};

}  // namespace gemel::GEMEL_DEVICE::gemm
