// SPDX-License-Identifier: MIT
//
// out += A^T B, sums over the batch: what the weight gradients of linear and local2d share.
#pragma once

#include "kernels/cpu/tile.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// Tile rows; four neighbouring floats never straddle a cache line (see conv2d_wgrad.cpp).
constexpr int accumulate_tile_rows(int vectors) {
  return kRegisters == 16 && vectors == 2 ? 4 : min(tile_rows(vectors), 12);
}

// The batch: A has `length` rows `a_pitch` floats apart, B is packed.
struct Batch {
  const float* a;
  std::ptrdiff_t a_pitch;
  const float* packed;
  int length;
};

// Rows [first, first + Rows) of one panel of out, of which rows before `begin` are left alone.
template <class Size, int Rows>
GEMEL_INLINE void accumulate_tile(const Panel& panel, const Batch& batch, int first, int begin, float* out,
                                  std::ptrdiff_t out_pitch) {
  Vec<Size::kLanes> c[Rows][Size::kVectors] = {};
  multiply_columns<Size>(c, batch.a + first, batch.a_pitch, batch.packed, Size::kWidth,
                         (Size::kVectors - 1) * Size::kLanes, batch.length);
  GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
    if (first + i < begin) continue;
    float* row = out + (first + i) * out_pitch;
    TileRow<Size> old;  // all of it is read before any of it is written: the last vector may overlap its neighbour
    load_columns<Size>(row, old, panel);
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += old[j];
    store_columns<Size>(row, c[i], panel);
  }
}

// out[rows][panel] += A^T B, rows of out `out_pitch` floats apart.
template <class Size>
GEMEL_INLINE void accumulate_panel(const Panel& panel, int rows, const Batch& batch, float* out,
                                   std::ptrdiff_t out_pitch) {
  constexpr int kRows = accumulate_tile_rows(Size::kVectors);
  if (rows < kRows) {
    for (int row = 0; row < rows; ++row) accumulate_tile<Size, 1>(panel, batch, row, row, out, out_pitch);
  } else {
    for (int row = 0; row < rows; row += kRows) {
      accumulate_tile<Size, kRows>(panel, batch, min(row, rows - kRows), row, out, out_pitch);
    }
  }
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
