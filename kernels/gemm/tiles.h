// SPDX-License-Identifier: MIT
//
// Tile sizes and the choices made on the host: which tile, and into how many slices a sum is cut.
//
// Neither choice may show in the results. Each element of a product is the sum, in ascending order, of its slices, each
// of them summed in ascending order from 0: tiles do not enter. And slices are cut by the length of the sum alone
// (`slice_length`), so that a row has the same bits in every batch.
#pragma once

#include <algorithm>
#include <cstdint>

namespace gemel {

// A block computes kRows x kColumns results, kDepth products at a time; a thread kThreadRows x kThreadColumns of them,
// rows in runs of 4 neighbours, columns in runs of kRun; of these it multiplies kInnerRows x kInnerColumns at a time,
// as many as its registers hold.
template <int Rows, int Columns, int Depth, int ThreadRows, int ThreadColumns, int Run, int InnerRows, int InnerColumns>
struct Tile {
  static constexpr int kRows = Rows, kColumns = Columns, kDepth = Depth;
  static constexpr int kThreadRows = ThreadRows, kThreadColumns = ThreadColumns, kRun = Run;
  static constexpr int kInnerRows = InnerRows, kInnerColumns = InnerColumns;
  static constexpr int kThreadsDown = Rows / ThreadRows, kThreadsAcross = Columns / ThreadColumns;
  static constexpr int kThreads = kThreadsDown * kThreadsAcross;
  static_assert(kThreadsDown * ThreadRows == Rows && kThreadsAcross * ThreadColumns == Columns);
  static_assert(ThreadRows % InnerRows == 0 && ThreadColumns % InnerColumns == 0);
  static_assert(InnerRows % 4 == 0 && ThreadColumns % Run == 0 && Run % 4 == 0);
  static_assert(kThreadsDown % 4 == 0 && kThreadsAcross % 8 == 0, "a warp covers 4 x 8 threads of the tile");
};

// On a GPU, 8x8 results a thread for large products: 16 floats read from shared memory feed 64 multiply-adds. Smaller
// tiles keep more multiprocessors busy in small products, and waste less on narrow ones (20 or 32 filters). Families of
// products (local2d) have few rows each: small batches, or 16 filters.
namespace cuda {
using LargeTile = Tile<128, 128, 16, 8, 8, 4, 8, 8>;
using MediumTile = Tile<64, 64, 16, 4, 4, 4, 4, 4>;
using NarrowTile = Tile<128, 32, 16, 8, 4, 4, 8, 4>;
using ShortTile = Tile<16, 32, 16, 4, 4, 4, 4, 4>;  // one warp
using WideTile = Tile<16, 128, 16, 4, 8, 4, 4, 8>;
inline constexpr int kBlocksToFill = 264;  // two blocks on each of 132 multiprocessors
}  // namespace cuda

// On a CPU a thread is a fiber and a barrier a switch of stacks: few threads with much work between barriers. 4x8 sums
// fit the 16 registers of SSE2 and the 8-wide ones of AVX2.
namespace simt {
using LargeTile = Tile<64, 128, 64, 8, 16, 16, 4, 8>;
using MediumTile = Tile<64, 64, 64, 16, 8, 8, 4, 8>;
using NarrowTile = Tile<128, 32, 64, 32, 4, 4, 8, 4>;
using ShortTile = Tile<16, 32, 64, 4, 4, 4, 4, 4>;
using WideTile = Tile<16, 128, 64, 4, 16, 16, 4, 8>;
inline constexpr int kBlocksToFill = 16;
}  // namespace simt

// What is checked is what a GPU runs.
namespace check {
using cuda::LargeTile, cuda::MediumTile, cuda::NarrowTile, cuda::ShortTile, cuda::WideTile, cuda::kBlocksToFill;
}  // namespace check

constexpr int ceil_divide(int a, int b) { return (a + b - 1) / b; }

template <class T>
constexpr std::int64_t tiles_in(int rows, int columns) {
  return std::int64_t{ceil_divide(rows, T::kRows)} * ceil_divide(columns, T::kColumns);
}

// Lengths of slices are multiples of this, so that every slice is a whole number of steps of any tile.
inline constexpr int kSliceUnit = 64;

// fprop, dgrad: sums up to some 400 stay whole; longer ones are cut into at most 16 slices of equal length.
constexpr int slice_length(int depth) {
  const int slices = std::clamp(depth / 384, 1, 16);
  return std::max(ceil_divide(ceil_divide(depth, slices), kSliceUnit), 1) * kSliceUnit;
}

// wgrad sums over the batch: as many slices as fill the device, none shorter than 256.
constexpr int batch_slice_length(int depth, std::int64_t tiles, int blocks_to_fill) {
  const auto wanted = static_cast<int>(std::max<std::int64_t>(blocks_to_fill / std::max<std::int64_t>(tiles, 1), 1));
  const int slices = std::clamp(depth / 256, 1, wanted);
  return std::max(ceil_divide(ceil_divide(depth, slices), kSliceUnit), 1) * kSliceUnit;
}

}  // namespace gemel
