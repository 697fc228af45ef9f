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
//           For TF32 memory holds f32, and a fragment is rounded when it is read from shared memory; BF16 factors are
//           BF16 in memory (bf16_copies.cuh).
// Mapping   grid as in tile_product.cuh. Block: one tile (MmaTile); a warp WarpRows x WarpColumns of it, of which a
//           thread has runs of 4 rows x 4 columns, so that results leave as float4s and an epilogue finds 2 x 2 windows
//           in one thread. For that the 16 rows (8 columns) that an mma takes are not neighbours: rows 4g + 2(i % 2) + h,
//           columns 2g + j % 2 (`load_left`, `load_right`). They are neighbours in BF16 factors that are contiguous along
//           the lane, whose fragments ldmatrix transposes, 8 lanes at a time: results then leave as float2s.
// Shared    kStages tiles of 128 bytes of depths of both factors, kStages - 1 of them on their way: as contiguous as they
//           are in memory, so that copies are 16 bytes where rows are multiples of that. Along the depth: 128 bytes a
//           lane, its 16-byte parts exchanged (xor with the lane) so that ldmatrix meets 8 different banks of 16 bytes;
//           along the lane: rows padded by 8 elements, which leaves neither ldmatrix (BF16) nor the reads of a float4
//           (left) or float2 (right) a conflict.
// Traffic   as in tile_product.cuh. Of shared memory a warp reads, for 16 mma: TF32 64 x 32 3 KB, BF16 64 x 64 2 KB.
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

template <int Rows, int Columns, int Depth, int WarpRows, int WarpColumns, int Stages>
struct MmaTile {
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = Depth, kStages = Stages;
  static constexpr int kWarpRows = WarpRows, kWarpColumns = WarpColumns, kWarpsAcross = Columns / WarpColumns;
  static constexpr int kThreads = Rows / WarpRows * kWarpsAcross * 32;
  static constexpr int kDown = WarpRows / 16, kAcross = WarpColumns / 8;  // mma of a warp
  static constexpr int kThreadRows = 2 * kDown, kThreadColumns = 2 * kAcross;
  static_assert(Rows % WarpRows == 0 && Columns % WarpColumns == 0 && kDown % 2 == 0 && kAcross % 2 == 0);
};

// The tile of one factor in shared memory. ldmatrix reads lanes that are kApart from each other.
template <bool kAlongDepth, int Width, int kDepth, int kApart, class Element = float>
struct FactorTile;

template <int Width, int kDepth, int kApart, class Element>
struct FactorTile<true, Width, kDepth, kApart, Element> {
  static constexpr bool kContiguousDepth = true;
  static constexpr int kPart = 16 / sizeof(Element);
  static_assert(kDepth == 8 * kPart, "8 parts of 16 bytes, each of its own banks");
  Element data[Width][kDepth];
  __device__ __forceinline__ Element* at(int lane, int depth) {
    return &data[lane][(depth / kPart ^ lane / kApart % 8) * kPart + depth % kPart];
  }
};

template <int Width, int kDepth, int kApart, class Element>
struct FactorTile<false, Width, kDepth, kApart, Element> {
  static constexpr bool kContiguousDepth = false;
  static constexpr int kPart = 16 / sizeof(Element);
  Element data[kDepth][Width + 8];
  __device__ __forceinline__ Element* at(int lane, int depth) { return &data[depth][lane]; }
};

template <class Operand, int Width, int kDepth, int kApart>
using FactorTileOf = FactorTile<Operand::kAlongDepth, Width, kDepth, kApart, ElementOf<Operand::kVector>>;

template <class T, class P>
struct alignas(128) MmaStages {
  FactorTileOf<decltype(P::a), T::kRows, T::kDepth, 4> a[T::kStages];
  FactorTileOf<decltype(P::b), T::kColumns, T::kDepth, 2> b[T::kStages];
};

// Whether ldmatrix transposes the fragments of an operand.
template <class Operand>
inline constexpr bool kTransposed = !Operand::kAlongDepth && Operand::kVector == 8;

// A thread's place in the tile, as of its results (product.cuh).
template <class T, bool kRowsTransposed, bool kColumnsTransposed>
struct MmaSpot {
  static constexpr int kRunOfRows = kRowsTransposed ? 1 : 4, kRun = kColumnsTransposed ? 2 : 4;
  int warp_row, warp_column, lane, g, q;

  __device__ __forceinline__ explicit MmaSpot(int thread)
      : warp_row(thread / 32 / T::kWarpsAcross * T::kWarpRows),
        warp_column(thread / 32 % T::kWarpsAcross * T::kWarpColumns),
        lane(thread % 32),
        g(lane / 4),
        q(lane % 4) {}
  __device__ __forceinline__ int row(int i) const {
    return warp_row + (kRowsTransposed ? i * 8 + g : i / 4 * 32 + g * 4 + i % 4);
  }
  __device__ __forceinline__ int column(int j) const {
    return warp_column + (kColumnsTransposed ? j / 2 * 8 + q * 2 + j % 2 : j / 4 * 16 + q * 4 + j % 4);
  }
  // The result that is element e of mma (i, j).
  static __device__ __forceinline__ int result_row(int i, int e) { return i * 2 + e / 2; }
  static __device__ __forceinline__ int result_column(int j, int e) {
    return kColumnsTransposed ? j * 2 + e % 2 : j / 2 * 4 + e % 2 * 2 + j % 2;
  }
};

// Fragments of an mma's depths, from k on, of the warp's rows: 8 f32 or 16 BF16. Of mma i, row r of half h is row
// i / 2 * 32 + 4r + i % 2 * 2 + h of the warp, or 16i + 8h + r where they are transposed.
template <class T, class Tile, class Spot>
__device__ __forceinline__ void load_left(Tile& tile, const Spot& spot, int k,
                                          std::uint32_t (&fragments)[T::kDown][4]) {
  if constexpr (Tile::kContiguousDepth) {
    const int row = spot.warp_row + spot.lane % 8 * 4 + spot.lane / 8 % 2;
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; ++i) {
      load_matrices(tile.at(row + i / 2 * 32 + i % 2 * 2, k + spot.lane / 16 * Tile::kPart), fragments[i]);
    }
  } else if constexpr (Tile::kPart == 8) {
    const int row = spot.warp_row + spot.lane / 8 % 2 * 8, depth = k + spot.lane / 16 * 8 + spot.lane % 8;
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; ++i) load_matrices<true>(tile.at(row + i * 16, depth), fragments[i]);
  } else {
    SIMT_UNROLL
    for (int i = 0; i < T::kDown; i += 2) {
      SIMT_UNROLL
      for (int half = 0; half < 2; ++half) {
        const float4 v = load4(tile.at(spot.row(i * 2), k + half * 4 + spot.q));
        fragments[i][half * 2] = __float_as_uint(v.x);
        fragments[i][half * 2 + 1] = __float_as_uint(v.y);
        fragments[i + 1][half * 2] = __float_as_uint(v.z);
        fragments[i + 1][half * 2 + 1] = __float_as_uint(v.w);
      }
    }
  }
}

// The same of the warp's columns: of mma j, column r is column j / 2 * 16 + 2r + j % 2 of the warp, or 8j + r.
template <class T, class Tile, class Spot>
__device__ __forceinline__ void load_right(Tile& tile, const Spot& spot, int k,
                                           std::uint32_t (&fragments)[T::kAcross][2]) {
  SIMT_UNROLL
  for (int j = 0; j < T::kAcross; j += 2) {
    if constexpr (Tile::kContiguousDepth || Tile::kPart == 8) {
      const int first = spot.warp_column + j * 8, half = k + spot.lane / 8 % 2 * Tile::kPart;
      std::uint32_t four[4];
      if constexpr (Tile::kContiguousDepth) {
        load_matrices(tile.at(first + spot.lane % 8 * 2 + spot.lane / 16, half), four);
      } else {
        load_matrices<true>(tile.at(first + spot.lane / 16 * 8, half + spot.lane % 8), four);
      }
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

template <class T>
using MmaSums = float[T::kDown][T::kAcross][4];

// sums += one stage's factors.
template <class T, Math kMath, class Spot, class A, class B>
__device__ __forceinline__ void multiply_stage(const Spot& spot, A& a, B& b, MmaSums<T>& sums) {
  static_assert(A::kPart == (kMath == Math::bf16 ? 8 : 4) && A::kPart == B::kPart);
  std::uint32_t left[T::kDown][4], right[T::kAcross][2];
  if constexpr (kMath == Math::bf16) {
    SIMT_UNROLL
    for (int k = 0; k < T::kDepth; k += 16) {
      load_left<T>(a, spot, k, left);
      load_right<T>(b, spot, k, right);
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

// The block's tile, of those of the product.
template <class T, Math kMath, class P>
__device__ __forceinline__ void multiply_mma_tile(const P& product, int first_row, int first_column,
                                                  MmaStages<T, P>& stages) {
  using A = decltype(product.a);
  using B = decltype(product.b);
  const int thread = static_cast<int>(threadIdx.x);
  using Spot = MmaSpot<T, kTransposed<A>, kTransposed<B>>;
  const Spot spot(thread);
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
          results[Spot::result_row(i, e)][Spot::result_column(j, e)] = sums[i][j][e];
        }
      }
    }
  });
}

template <class T, Math kMath, class P>
__global__ void __launch_bounds__(T::kThreads, 1) mma_product_kernel(const __grid_constant__ P product) {
  const int tile = static_cast<int>(blockIdx.x), across = (product.columns + T::kColumns - 1) / T::kColumns;
  multiply_mma_tile<T, kMath>(product, tile / across * T::kRows, tile % across * T::kColumns,
                              shared_storage<MmaStages<T, P>>());
}
SIMT_CONTRACT(mma_product_kernel, .sectors = 1.71, .conflicts = 1.3, .loads = 46, .stores = 6.5, .registers = 255);

// The tiles of a product and their choice, which does not change the result. Operands fetched float by float hold too many
// addresses for the large one. The narrow tile is for up to 32 filters: columns of fprop and dgrad, rows of wgrad (whose
// left factor is not along the depth).
template <Math kMath>
struct MmaTiles {
  // Queues a product; its slices to `product.partial` where `slices` > 1.
  template <class P>
  static void launch(Queue queue, const P& product, int slices) {
    choose(product, slices, [&]<class T>(unsigned tiles) {
      GEMEL_DEVICE::launch<mma_product_kernel<T, kMath, P>>({.grid = dim3(tiles, 1, static_cast<unsigned>(slices)),
                                                             .block = dim3(T::kThreads),
                                                             .shared_bytes = sizeof(MmaStages<T, P>),
                                                             .queue = queue},
                                                            product);
    });
  }

  // with<Tile>(tiles of the product)
  template <class P, class With>
  static void choose(const P& product, int slices, const With& with) {
    using A = decltype(product.a);
    constexpr bool kWhole = A::kVector != 1 && decltype(product.b)::kVector != 1;
    using Narrow = std::conditional_t<A::kAlongDepth, MmaTile<128, 32, kDepth, 32, kWhole ? 32 : 16, 3>,
                                      MmaTile<32, 128, kDepth, 32, 32, 3>>;
    const auto use = [&]<class T>() {
      with.template operator()<T>(static_cast<unsigned>(tiles_in<T>(product.rows, product.columns)));
    };
    if (A::kAlongDepth ? product.columns <= Narrow::kColumns : product.rows <= Narrow::kRows) {
      return use.template operator()<Narrow>();
    }
    if constexpr (kWhole) {
      const bool fills = 2 * tiles_in<Large>(product.rows, product.columns) * slices >= kBlocksToFill;
      if (fills && product.rows > Small::kRows && product.columns > Large::kColumns / 2) {
        return use.template operator()<Large>();
      }
    }
    use.template operator()<Small>();
  }

 private:
  static constexpr bool kBf16 = kMath == Math::bf16, kThrice = kMath == Math::tf32x3;
  static constexpr int kDepth = kBf16 ? 64 : 32;
  // tf32x3 keeps the sums of a stage as well.
  using Large = MmaTile<128, kThrice ? 64 : 128, kDepth, kThrice ? 32 : 64, 32, 3>;
  using Small = MmaTile<64, 64, kDepth, 32, 32, 3>;
};

}  // namespace gemel::GEMEL_DEVICE::gemm
