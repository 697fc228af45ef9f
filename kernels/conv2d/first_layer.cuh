// SPDX-License-Identifier: MIT
//
// How a first layer is cut into blocks (07_first_layer.cu): the choices made on the host, none of which depends on the
// batch, and whether a shape is served at all.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/conv2d/patches.cuh"

namespace gemel {

// fprop: a thread has kRows x kColumns neighbouring positions and 8 filters; wgrad: kTaps taps and 8 filters.
template <int Threads, int Columns, int Taps, int BlocksToFill>
struct FirstLayerTile {
  static constexpr int kThreads = Threads, kRows = 2, kColumns = Columns, kTaps = Taps, kFilters = 8;
  static constexpr int kBlocksToFill = BlocksToFill;
};

namespace cuda {
using FirstLayer = FirstLayerTile<256, 4, 8, 264>;
}
// On a CPU a thread is a fiber, and 4 x 8 sums fit the registers (gemm/tiles.h).
namespace simt {
using FirstLayer = FirstLayerTile<128, 2, 4, 16>;
}
// What is checked is what a GPU runs.
namespace check {
using cuda::FirstLayer;
}

namespace GEMEL_DEVICE::first_layer {

using gemm::extent, gemm::filter_size;

inline constexpr int kSharedFloats = 48 * 1024 / sizeof(float);  // what a block has without asking for more
inline constexpr int kMostFilters = 64;                          // of a block

// Filters go through shared memory in rows of all that a block has, and 4 floats more: the bank of tap t and filter k
// is then 4t + k times an odd number, so that 8 taps of 4 filters are stored without conflicts.
inline int filter_pitch(int groups) { return groups * FirstLayer::kFilters + 4; }

// A block's part of the output: `across` x `down` cells of a thread each, of an image that `tiles_*` of them cover.
struct ForwardPlan {
  int groups = 0;  // of 8 filters; 0: the shape is not served
  int chunks;      // blocks for the filters
  int cells_down, cells_across;
  int tiles_down, tiles_across;
  int patch_h, patch_w;  // floats of the image that a tile sees
  double used;           // share of the threads that have a cell

  std::size_t shared_bytes(int taps) const {
    return sizeof(float) * static_cast<std::size_t>(taps * filter_pitch(groups) + patch_h * patch_w);
  }
};

// The cheapest tile that fits, in cycles of a multiprocessor for an image: 128 multiply-adds each, or some 10 floats from
// L2 that are not hidden behind those of other blocks.
inline ForwardPlan forward_plan(const Conv2dShape& s, int rows, int columns) {
  using T = FirstLayer;
  ForwardPlan best{};
  double least = 0;
  const int taps = s.r * s.s * s.c, down = ceil_divide(rows, T::kRows), across = ceil_divide(columns, T::kColumns);
  for (int chunks = ceil_divide(s.k, kMostFilters); chunks <= ceil_divide(s.k, T::kFilters); ++chunks) {
    const int groups = ceil_divide(ceil_divide(s.k, chunks), T::kFilters), cells = T::kThreads / groups;
    const int room = kSharedFloats - taps * filter_pitch(groups);
    for (int pieces = 1; pieces <= across; ++pieces) {
      const int cells_across = ceil_divide(across, pieces);
      if (cells_across > cells) continue;
      const int patch_w = ((cells_across * T::kColumns - 1) * s.stride_w + s.s) * s.c;
      const int patch_rows = room / patch_w;
      if (patch_rows < s.r + s.stride_h * (T::kRows - 1)) continue;
      const int most = std::min(cells / cells_across, ((patch_rows - s.r) / s.stride_h + 1) / T::kRows);
      const int tiles_down = ceil_divide(down, most), cells_down = ceil_divide(down, tiles_down);
      const int tiles_across = ceil_divide(across, cells_across);
      const int patch_h = (cells_down * T::kRows - 1) * s.stride_h + s.r;
      const double multiply = T::kThreads * T::kRows * T::kColumns * T::kFilters / 128.0 * taps;
      const double load = (taps * filter_pitch(groups) + patch_h * patch_w) / 10.0;
      const double blocks = static_cast<double>(chunks) * tiles_down * tiles_across;
      const double cost = blocks * (multiply + load);
      if (best.groups != 0 && cost >= least) continue;
      least = cost;
      best = {.groups = groups,
              .chunks = ceil_divide(s.k, groups * T::kFilters),
              .cells_down = cells_down,
              .cells_across = cells_across,
              .tiles_down = tiles_down,
              .tiles_across = tiles_across,
              .patch_h = patch_h,
              .patch_w = patch_w,
              .used = static_cast<double>(down) * across / (static_cast<double>(tiles_down) * tiles_across * cells)};
    }
  }
  return best;
}

// wgrad: a team of threads has all taps of a block's filters, and a block as many teams as it holds, each with its share
// of the positions of a tile.
struct WgradPlan {
  int groups = 0;  // of 8 filters; 0: the shape is not served
  int chunks;
  int tap_groups, teams;
  int rows, columns;  // positions of a tile
  int tiles_down, tiles_across;
  int patch_h, patch_w;
  int tiles, slices, tiles_a_slice;  // of all images

  std::size_t shared_bytes() const {
    const int tile = rows * columns * groups * FirstLayer::kFilters + patch_h * patch_w;
    const int exchange = FirstLayer::kFilters * (FirstLayer::kThreads + groups * tap_groups);
    return sizeof(float) * static_cast<std::size_t>(std::max(tile, exchange));
  }
};

// Tiles begin where a window of the pool does.
constexpr int even(int n) { return (n + 1) / 2 * 2; }

inline WgradPlan wgrad_plan(const Conv2dShape& s) {
  using T = FirstLayer;
  WgradPlan best{};
  double most_used = 0;
  const int taps = s.r * s.s * s.c, P = s.p(), Q = s.q();
  for (int chunks = ceil_divide(s.k, kMostFilters); chunks <= ceil_divide(s.k, T::kFilters); ++chunks) {
    const int groups = ceil_divide(ceil_divide(s.k, chunks), T::kFilters), tap_groups = ceil_divide(taps, T::kTaps);
    const int teams = T::kThreads / (groups * tap_groups);
    if (teams == 0) continue;
    const double used = static_cast<double>(teams) * taps * s.k / (chunks * T::kThreads * T::kTaps * T::kFilters);
    if (used <= most_used) continue;
    // Whole rows of positions, if 4 of them fit; else of parts of rows.
    for (int pieces = 1; pieces <= Q; ++pieces) {
      const int columns = pieces == 1 ? Q : even(ceil_divide(Q, pieces));
      const int patch_w = ((columns - 1) * s.stride_w + s.s) * s.c, gradients = columns * groups * T::kFilters;
      const int room = kSharedFloats - (s.r - s.stride_h) * patch_w;
      const int fit = room / (s.stride_h * patch_w + gradients);
      if (room < 0 || fit < std::min(P, columns > 2 ? 4 : 2)) continue;
      const int rows = P <= fit ? P : even(ceil_divide(P, ceil_divide(P, fit / 2 * 2)));
      most_used = used;
      best = {.groups = groups,
              .chunks = ceil_divide(s.k, groups * T::kFilters),
              .tap_groups = tap_groups,
              .teams = teams,
              .rows = rows,
              .columns = columns,
              .tiles_down = ceil_divide(P, rows),
              .tiles_across = ceil_divide(Q, columns),
              .patch_h = (rows - 1) * s.stride_h + s.r,
              .patch_w = patch_w,
              .tiles = 0,
              .slices = 0,
              .tiles_a_slice = 0};
      break;
    }
  }
  if (best.groups == 0) return best;
  best.tiles = extent(std::int64_t{s.n} * best.tiles_down * best.tiles_across, "conv2d: tiles of a first layer");
  best.tiles_a_slice = std::max(ceil_divide(best.tiles, ceil_divide(T::kBlocksToFill, best.chunks)), 1);
  best.slices = ceil_divide(best.tiles, best.tiles_a_slice);
  return best;
}

// Whether the kernels of 07_first_layer.cu can compute this shape: pixels that cannot be read 16 bytes at a time, and
// filters that fit shared memory beside the part of an image that a block works on.
inline bool serves(const Conv2dShape& s) {
  return s.c < 4 && s.p() > 0 && s.q() > 0 && forward_plan(s, s.p(), s.q()).groups != 0 && wgrad_plan(s).groups != 0;
}

// For the slices of wgrad, of filters and biases.
inline std::size_t scratch(const Conv2dShape& s) {
  if (s.n == 0 || !serves(s)) return 0;
  return sizeof(float) * static_cast<std::size_t>(wgrad_plan(s).slices) * static_cast<std::size_t>(s.k) *
         static_cast<std::size_t>(filter_size(s) + 1);
}

// Whether they are better than the implicit GEMM, which computes the positions of many images at once: not for images so
// small that most threads of a block would have nothing to do.
inline bool pays(const Conv2dShape& s) { return serves(s) && forward_plan(s, s.p(), s.q()).used >= 0.25; }

}  // namespace GEMEL_DEVICE::first_layer
}  // namespace gemel
