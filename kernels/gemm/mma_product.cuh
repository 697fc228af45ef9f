// SPDX-License-Identifier: MIT
//
// The matrix product on tensor cores: tile_product.cuh's products, operands, slices and epilogues, multiplied by
// mma.sync (sm_80 and later) and fed by asynchronous copies.
//
//   out[m,n] = sum_k A(m,k) * B(k,n) (+ bias[n])     or     out[m,n] += sum_k A(m,k) * B(k,n)
//
// Modes     tf32     factors rounded to TF32 (10 bits of mantissa), m16n8k8
//           tf32x3   each factor as a sum of two TF32, big + small; small * big + big * small + big * big, what is left
//                    out being 2^-22 of a product (CUTLASS's FastF32; Ootomo, Yokota 2022)
//           bf16     factors rounded to BF16 (7 bits), m16n8k16
//           Memory holds f32; a fragment is rounded when it is read from shared memory.
// Mapping   grid as in tile_product.cuh. Block: one tile (MmaTile); a warp WarpRows x WarpColumns of it, of which a
//           thread has runs of 4 rows x 4 columns, so that results leave as float4s and an epilogue finds 2 x 2 windows
//           in one thread. For that the 16 rows (8 columns) that an mma takes are not neighbours: rows 4g + 2(i % 2) + h,
//           columns 2g + j % 2 (`load_left`, `load_right`). The mma of 16 depths takes them in the order 0, 4, 1, 5, ...
//           in both factors, which lets BF16 fragments be two TF32 fragments, packed.
// Shared    kStages tiles of 32 depths of both factors, kStages - 1 of them on their way: as contiguous as they are in
//           memory, so that copies are 16 bytes where rows are multiples of 4. Along the depth: 128 bytes a lane, its
//           16-byte parts exchanged (xor with the lane) so that ldmatrix meets 8 different banks of 16 bytes; along the
//           lane: rows padded by 8 floats, read as float4 (left) and float2 (right) without conflicts.
// Traffic   as in tile_product.cuh; per 8 depths a warp of 64 x 32 reads 3 KB of shared memory for 16 mma.
// Numerics  the slices' rule of tile_product.cuh: neither tile nor batch size changes a bit. tf32x3 sums 32 depths in
//           the tensor core, and these sums in f32 registers: tensor cores round towards 0, and would drift. An infinite
//           factor gives NaN under tf32x3 (infinity - infinity is its small part).
// Edge      elements past the last row, column or depth are 0 in shared memory, and not stored. depth = 0 gives 0.
#pragma once

#include <cstdint>

#include "kernels/gemm/carrier.cuh"
#include "kernels/gemm/product.cuh"
#include "kernels/simt/mma.h"

namespace gemel::GEMEL_DEVICE::gemm {

template <int Rows, int Columns, int WarpRows, int WarpColumns, int Stages>
struct MmaTile {
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = 32, kStages = Stages;
  static constexpr int kWarpRows = WarpRows, kWarpColumns = WarpColumns, kWarpsAcross = Columns / WarpColumns;
  static constexpr int kThreads = Rows / WarpRows * kWarpsAcross * 32;
  static constexpr int kDown = WarpRows / 16, kAcross = WarpColumns / 8;  // mma of a warp
  static constexpr int kThreadRows = 2 * kDown, kThreadColumns = 2 * kAcross, kRun = 4;
  static_assert(Rows % WarpRows == 0 && Columns % WarpColumns == 0 && kDown % 2 == 0 && kAcross % 2 == 0);
};

// The tile of one factor in shared memory. ldmatrix reads lanes that are kApart from each other.
template <bool kAlongDepth, int Width, int kDepth, int kApart>
struct FactorTile;

template <int Width, int kDepth, int kApart>
struct FactorTile<true, Width, kDepth, kApart> {
  static constexpr bool kContiguousDepth = true;
  static_assert(kDepth == 32, "8 parts of 16 bytes, each of its own banks");
  float data[Width][kDepth];
  __device__ __forceinline__ float* at(int lane, int depth) {
    return &data[lane][(depth / 4 ^ lane / kApart % 8) * 4 + depth % 4];
  }
};

template <int Width, int kDepth, int kApart>
struct FactorTile<false, Width, kDepth, kApart> {
  static constexpr bool kContiguousDepth = false;
  float data[kDepth][Width + 8];
  __device__ __forceinline__ float* at(int lane, int depth) { return &data[depth][lane]; }
};

template <class T, class P>
struct alignas(128) MmaStages {
  FactorTile<decltype(P::a)::kAlongDepth, T::kRows, T::kDepth, 4> a[T::kStages];
  FactorTile<decltype(P::b)::kAlongDepth, T::kColumns, T::kDepth, 2> b[T::kStages];
};

// A thread's place in the tile, as of its results (tile_product.cuh).
template <class T>
struct MmaSpot {
  int warp_row, warp_column, lane, g, q;

  __device__ __forceinline__ explicit MmaSpot(int thread)
      : warp_row(thread / 32 / T::kWarpsAcross * T::kWarpRows),
        warp_column(thread / 32 % T::kWarpsAcross * T::kWarpColumns),
        lane(thread % 32),
        g(lane / 4),
        q(lane % 4) {}
  __device__ __forceinline__ int row(int i) const { return warp_row + i * 32 + g * 4; }
  __device__ __forceinline__ int column(int j) const { return warp_column + j * 16 + q * 4; }
};

// Fragments of f32, as TF32's: depths k .. k + 7 of the warp's rows. Of mma i, row r of half h is row
// i / 2 * 32 + 4r + i % 2 * 2 + h of the warp.
template <class T, class Tile>
__device__ __forceinline__ void load_left(Tile& tile, const MmaSpot<T>& spot, int k,
                                          std::uint32_t (&fragments)[T::kDown][4]) {
  if constexpr (Tile::kContiguousDepth) {
    const int row = spot.warp_row + spot.lane % 8 * 4 + spot.lane / 8 % 2, depth = k + spot.lane / 16 * 4;
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; ++i) {
      load_matrices<4>(tile.at(row + i / 2 * 32 + i % 2 * 2, depth), fragments[i]);
    }
  } else {
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; i += 2) {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float4 v = load4(tile.at(spot.row(i / 2), k + half * 4 + spot.q));
        fragments[i][half * 2] = __float_as_uint(v.x);
        fragments[i][half * 2 + 1] = __float_as_uint(v.y);
        fragments[i + 1][half * 2] = __float_as_uint(v.z);
        fragments[i + 1][half * 2 + 1] = __float_as_uint(v.w);
      }
    }
  }
}

// The same of the warp's columns: of mma j, column r is column j / 2 * 16 + 2r + j % 2 of the warp.
template <class T, class Tile>
__device__ __forceinline__ void load_right(Tile& tile, const MmaSpot<T>& spot, int k,
                                           std::uint32_t (&fragments)[T::kAcross][2]) {
  SIMT_UNROLL
  for (int j = 0; j < T::kAcross; j += 2) {
    if constexpr (Tile::kContiguousDepth) {
      const int column = spot.warp_column + j * 8 + spot.lane % 8 * 2 + spot.lane / 16;
      std::uint32_t four[4];
      load_matrices<4>(tile.at(column, k + spot.lane / 8 % 2 * 4), four);
      fragments[j][0] = four[0], fragments[j][1] = four[1];
      fragments[j + 1][0] = four[2], fragments[j + 1][1] = four[3];
    } else {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float2 v = load2(tile.at(spot.warp_column + j * 8 + spot.g * 2, k + half * 4 + spot.q));
        fragments[j][half] = __float_as_uint(v.x);
        fragments[j + 1][half] = __float_as_uint(v.y);
      }
    }
  }
}

template <int kCount, int kParts>
__device__ __forceinline__ void round_to_tf32(std::uint32_t (&fragments)[kCount][kParts]) {
  SIMT_UNROLL
  for (int i = 0; i < kCount; ++i) {
    SIMT_UNROLL
    for (int part = 0; part < kParts; ++part) fragments[i][part] = to_tf32(__uint_as_float(fragments[i][part]));
  }
}

// fragments = their big parts, small = what these leave.
template <int kCount, int kParts>
__device__ __forceinline__ void split_to_tf32(std::uint32_t (&fragments)[kCount][kParts],
                                              std::uint32_t (&small)[kCount][kParts]) {
  SIMT_UNROLL
  for (int i = 0; i < kCount; ++i) {
    SIMT_UNROLL
    for (int part = 0; part < kParts; ++part) {
      const float whole = __uint_as_float(fragments[i][part]);
      fragments[i][part] = to_tf32(whole);
      small[i][part] = to_tf32(whole - __uint_as_float(fragments[i][part]));
    }
  }
}

// Fragments of 16 depths from those of the first and the last 8.
template <int kCount, int kParts>
__device__ __forceinline__ void pack_to_bf16(const std::uint32_t (&first)[kCount][kParts],
                                             const std::uint32_t (&last)[kCount][kParts],
                                             std::uint32_t (&packed)[kCount][kParts]) {
  constexpr int kHalf = kParts / 2;
  SIMT_UNROLL
  for (int i = 0; i < kCount; ++i) {
    SIMT_UNROLL
    for (int h = 0; h < kHalf; ++h) {
      packed[i][h] = to_bf16(__uint_as_float(first[i][h]), __uint_as_float(first[i][kHalf + h]));
      packed[i][kHalf + h] = to_bf16(__uint_as_float(last[i][h]), __uint_as_float(last[i][kHalf + h]));
    }
  }
}

template <class T>
using MmaSums = float[T::kDown][T::kAcross][4];

// sums += one stage's factors.
template <class T, Math kMath, class A, class B>
__device__ __forceinline__ void multiply_stage(const MmaSpot<T>& spot, A& a, B& b, MmaSums<T>& sums) {
  std::uint32_t left[T::kDown][4], right[T::kAcross][2];
  if constexpr (kMath == Math::bf16) {
    SIMT_UNROLL
    for (int k = 0; k < T::kDepth; k += 16) {
      std::uint32_t first_left[T::kDown][4], first_right[T::kAcross][2];
      std::uint32_t last_left[T::kDown][4], last_right[T::kAcross][2];
      load_left<T>(a, spot, k, first_left);
      load_left<T>(a, spot, k + 8, last_left);
      pack_to_bf16(first_left, last_left, left);
      load_right<T>(b, spot, k, first_right);
      load_right<T>(b, spot, k + 8, last_right);
      pack_to_bf16(first_right, last_right, right);
      mma_bf16(sums, left, right);
    }
  } else if constexpr (kMath == Math::tf32) {
    SIMT_UNROLL
    for (int k = 0; k < T::kDepth; k += 8) {
      load_left<T>(a, spot, k, left);
      load_right<T>(b, spot, k, right);
      round_to_tf32(left);
      round_to_tf32(right);
      mma_tf32(sums, left, right);
    }
  } else {
    static_assert(kMath == Math::tf32x3);
    MmaSums<T> stage = {};
    SIMT_ONE_AT_A_TIME
    for (int k = 0; k < T::kDepth; k += 8) {
      std::uint32_t small_left[T::kDown][4], small_right[T::kAcross][2];
      load_left<T>(a, spot, k, left);
      load_right<T>(b, spot, k, right);
      split_to_tf32(left, small_left);
      split_to_tf32(right, small_right);
      mma_tf32(stage, small_left, right);
      mma_tf32(stage, left, small_right);
      mma_tf32(stage, left, right);
    }
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < T::kAcross; ++j) {
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e) sums[i][j][e] += stage[i][j][e];
      }
    }
  }
}

template <class T, Math kMath, class P>
__global__ void __launch_bounds__(T::kThreads, 1) mma_product_kernel(const __grid_constant__ P product) {
  using A = decltype(product.a);
  using B = decltype(product.b);
  auto& stages = shared_storage<MmaStages<T, P>>();
  const int thread = static_cast<int>(threadIdx.x), tile = static_cast<int>(blockIdx.x);
  const int tiles_across = (product.columns + T::kColumns - 1) / T::kColumns;
  const int first_row = tile / tiles_across * T::kRows, first_column = tile % tiles_across * T::kColumns;
  const MmaSpot<T> spot(thread);
  const AsyncCarrier<T, A, T::kRows, true> a(product.a, first_row, thread);
  const AsyncCarrier<T, B, T::kColumns, true> b(product.b, first_column, thread);
  AsyncCopies<decltype(a)::kCopies + decltype(b)::kCopies, T::kStages> copies;

  sum_in_slices<T>(product, spot, first_row, first_column, [&](int begin, int end, Results<T>& results) {
    const auto start = [&](int k, int stage) {
      if (k < end) {
        a.start(k, end, copies, stages.a[stage]);
        b.start(k, end, copies, stages.b[stage]);
      }
      copies.commit();
    };
    for (int stage = 0; stage < T::kStages - 1; ++stage) start(begin + stage * T::kDepth, stage);
    MmaSums<T> sums = {};
    int stage = 0, free = T::kStages - 1;
    for (int k = begin; k < end; k += T::kDepth) {
      copies.template wait<T::kStages - 2>();
      __syncthreads();  // the stage is here for all, and all have done with the one before
      start(k + (T::kStages - 1) * T::kDepth, free);
      multiply_stage<T, kMath>(spot, stages.a[stage], stages.b[stage], sums);
      free = stage;
      stage = stage + 1 < T::kStages ? stage + 1 : 0;
    }
    copies.template wait<0>();
    __syncthreads();  // before the next slice is copied over what others read
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; ++i) {
      SIMT_UNROLL
      for (int j = 0; j < T::kAcross; ++j) {
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e) {
          results[i / 2 * 4 + i % 2 * 2 + e / 2][j / 2 * 4 + e % 2 * 2 + j % 2] = sums[i][j][e];
        }
      }
    }
  });
}
SIMT_CONTRACT(mma_product_kernel, .sectors = 1.5, .conflicts = 1.3, .loads = 46, .stores = 6.5, .registers = 255);

// Queues a product; its slices to `product.partial` where `slices` > 1. Which tile does not change the result. Operands
// fetched float by float hold too many addresses for the large one.
template <Math kMath>
struct MmaTiles {
  template <class P>
  static void launch(Queue queue, const P& product, int slices) {
    constexpr bool kByFour = decltype(product.a)::kVector == 4 && decltype(product.b)::kVector == 4;
    if constexpr (kByFour) {
      const bool fills = 2 * tiles_in<Large>(product.rows, product.columns) * slices >= kBlocksToFill;
      if (fills && product.rows > Small::kRows && product.columns > Large::kColumns / 2) {
        return launch_tiles<Large>(queue, product, slices);
      }
    }
    launch_tiles<Small>(queue, product, slices);
  }

 private:
  // tf32x3 keeps the sums of a stage as well.
  using Large = MmaTile<128, kMath == Math::tf32x3 ? 64 : 128, kMath == Math::tf32x3 ? 32 : 64, 32, 3>;
  using Small = MmaTile<64, 64, 32, 32, 3>;

  template <class T, class P>
  static void launch_tiles(Queue queue, const P& product, int slices) {
    const auto tiles = static_cast<unsigned>(tiles_in<T>(product.rows, product.columns));
    GEMEL_DEVICE::launch<mma_product_kernel<T, kMath, P>>({.grid = dim3(tiles, 1, static_cast<unsigned>(slices)),
                                                           .block = dim3(T::kThreads),
                                                           .shared_bytes = sizeof(MmaStages<T, P>),
                                                           .queue = queue},
                                                          product);
  }
};

}  // namespace gemel::GEMEL_DEVICE::gemm
