// SPDX-License-Identifier: MIT
//
// What the filter gradients' sources share: how images are cut into chunks with a partial gradient each, and the height
// of a register tile whose rows are neighbouring inputs.
#pragma once

#include "kernels/cpu/conv2d_backward.h"

namespace gemel::GEMEL_DEVICE {

// dw and, if it is not null, db, of a 3x3 convolution of stride 1 by Winograd's way (winograd_wgrad.cpp).
std::size_t winograd_wgrad_scratch(const ConvBlock&);
void winograd_wgrad(const Queue&, const ConvBlock&, const float* x, const float* y, const std::uint8_t* argmax,
                    const float* dy, float* dw, float* db);

namespace {

constexpr int kMaxChunks = 16;

// Chunks of n images, each with a partial gradient of so many bytes; 64 MB of them together.
constexpr int partial_chunks(int n, std::int64_t partial_bytes) {
  const std::int64_t fitting = (std::int64_t{64} << 20) / partial_bytes;
  return max(1, min(min(n, kMaxChunks), fitting < kMaxChunks ? static_cast<int>(fitting) : kMaxChunks));
}

// First image of a chunk.
constexpr int chunk_begin(int n, int chunk, int chunks) {
  return static_cast<int>(static_cast<std::int64_t>(n) * chunk / chunks);
}

// Tile rows for a run of `run` inputs: the fewest multiply-adds, where a tile costs at least kLatency, the chains that
// keep both units busy; ties to the taller tile. A panel of 2 vectors of 8 lanes takes 4 or 5 rows rather than 6: four
// neighbouring floats never straddle a cache line.
constexpr int wgrad_rows(int vectors, int run) {
  constexpr int kCandidates[] = {12, 8, 6, 5, 4, 3, 2, 1}, kLatency = 8;
  const int most = kRegisters == 16 && vectors == 2 ? 5 : min(tile_rows(vectors), 12);
  int best = 1;
  const auto cost = [&](int rows) { return divide_up(run, rows) * max(rows * vectors, kLatency); };
  for (int rows : kCandidates) {
    if (rows <= most && rows <= run && (best == 1 || cost(rows) < cost(best))) best = rows;
  }
  return best;
}

template <class Size, class F>
GEMEL_INLINE void with_rows(int rows, F&& f) {
  constexpr int kMost = tile_rows(Size::kVectors);
  if constexpr (kMost >= 12)
    if (rows == 12) return f(RowCount<12>{});
  if constexpr (kMost >= 8)
    if (rows == 8) return f(RowCount<8>{});
  if constexpr (kMost >= 6)
    if (rows == 6) return f(RowCount<6>{});
  if constexpr (kMost >= 5)
    if (rows == 5) return f(RowCount<5>{});
  if constexpr (kMost >= 4)
    if (rows == 4) return f(RowCount<4>{});
  if (rows == 3) return f(RowCount<3>{});
  if (rows == 2) return f(RowCount<2>{});
  return f(RowCount<1>{});
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
