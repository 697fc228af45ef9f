// SPDX-License-Identifier: MIT
//
// The register tile that all matrix products of kernels/cpu/ share: c[Rows][Vectors] += A[Rows][k] * B[k][Vectors]. The
// accumulators live in registers for the whole of k; each step reads `Vectors` vectors of B and broadcasts one float
// per row of A. Every element is one chain of multiply-adds in the order of k, whatever the tile's size: that is why
// results depend neither on the batch nor on where a row falls in a tile.
#pragma once

#include "kernels/cpu/panel.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// Rows of a tile `vectors` wide: the accumulators, the vectors of B and the broadcast must fit the registers (and a
// product, without fused multiply-add).
constexpr int tile_rows(int vectors) {
  if (kRegisters == 32) return vectors == 1 ? 14 : vectors == 2 ? 12 : vectors == 3 ? 8 : 5;
  if (!kFusedMultiplyAdd && vectors == 3) return 3;
  return vectors == 1 ? 12 : vectors == 2 ? 6 : 4;
}

template <int Rows>
struct RowCount {
  static constexpr int kRows = Rows;
};

template <class Size>
using TileRow = Vec<Size::kLanes>[Size::kVectors];

template <class Size>
GEMEL_INLINE void load_b(const float* b, TileRow<Size>& v) {
  GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
    Vec<Size::kLanes> t = load<Size::kLanes>(b + j * Size::kLanes);
    GEMEL_KEEP_IN_REGISTER(t);
    v[j] = t;
  }
}

// The last vector from b[last].
template <class Size>
GEMEL_INLINE void load_b(const float* b, int last, TileRow<Size>& v) {
  GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
    Vec<Size::kLanes> t = load<Size::kLanes>(b + (j + 1 < Size::kVectors ? j * Size::kLanes : last));
    GEMEL_KEEP_IN_REGISTER(t);
    v[j] = t;
  }
}

// A by row pointers: row i is a[i][0..length). B: packed rows of Size::kWidth floats.
template <class Size, int Rows>
GEMEL_INLINE void multiply_rows(Vec<Size::kLanes> (&c)[Rows][Size::kVectors], const float* const (&a)[Rows],
                                std::ptrdiff_t offset, int length, const float* b) {
  for (int k = 0; k < length; ++k, b += Size::kWidth) {
    TileRow<Size> v;
    load_b<Size>(b, v);
    GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
      const Vec<Size::kLanes> s = broadcast<Size::kLanes>(a[i][offset + k]);
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += s * v[j];
    }
  }
}

// The same with step k at a[i][offsets[k]].
template <class Size, int Rows>
GEMEL_INLINE void multiply_gathered(Vec<Size::kLanes> (&c)[Rows][Size::kVectors], const float* const (&a)[Rows],
                                    const std::int32_t* offsets, int length, const float* b) {
  for (int k = 0; k < length; ++k, b += Size::kWidth) {
    TileRow<Size> v;
    load_b<Size>(b, v);
    const std::ptrdiff_t offset = offsets[k];
    GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
      const Vec<Size::kLanes> s = broadcast<Size::kLanes>(a[i][offset]);
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += s * v[j];
    }
  }
}

// B where it lies: rows b_pitch floats apart; `last` is where the panel's last vector starts (the others are neighbours
// from 0).
template <class Size, int Rows>
GEMEL_INLINE void multiply_rows_in_place(Vec<Size::kLanes> (&c)[Rows][Size::kVectors], const float* const (&a)[Rows],
                                         int length, const float* b, std::ptrdiff_t b_pitch, int last) {
  for (int k = 0; k < length; ++k, b += b_pitch) {
    TileRow<Size> v;
    load_b<Size>(b, last, v);
    GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
      const Vec<Size::kLanes> s = broadcast<Size::kLanes>(a[i][k]);
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += s * v[j];
    }
  }
}

// B transposed where it lies: column j of the panel is row column_of(j) of `b`, rows b_pitch floats apart. One row of A.
template <class Size>
GEMEL_INLINE void multiply_transposed(TileRow<Size>& c, const Panel& panel, const float* a, int length, const float* b,
                                      std::ptrdiff_t b_pitch) {
  constexpr int kBlock = Size::kLanes;
  int k = 0;
  if (panel.valid == kBlock) {
    for (; k + kBlock <= length; k += kBlock) {
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
        Vec<kBlock> v[kBlock];
        load_transposed<kBlock>(b + panel.column_of(j) * b_pitch + k, b_pitch, v);
        GEMEL_UNROLL for (int i = 0; i < kBlock; ++i) c[j] += broadcast<kBlock>(a[k + i]) * v[i];
      }
    }
  }
  for (; k < length; ++k) {
    for (int j = 0; j < Size::kVectors; ++j) {
      const float* rows = b + panel.column_of(j) * b_pitch + k;
      Vec<kBlock> v{};
      for (int e = 0; e < panel.valid; ++e) v[e] = rows[e * b_pitch];
      c[j] += broadcast<kBlock>(a[k]) * v;
    }
  }
}

// A transposed: its rows are neighbours, step k reads a[0..Rows), and the next step lies a_pitch floats further. B:
// rows b_pitch floats apart; `last` is where the panel's last vector starts (the others are neighbours from 0).
template <class Size, int Rows>
GEMEL_INLINE void multiply_columns(Vec<Size::kLanes> (&c)[Rows][Size::kVectors], const float* a, std::ptrdiff_t a_pitch,
                                   const float* b, std::ptrdiff_t b_pitch, int last, int length) {
  for (int k = 0; k < length; ++k, a += a_pitch, b += b_pitch) {
    TileRow<Size> v;
    load_b<Size>(b, last, v);
    GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
      const Vec<Size::kLanes> s = broadcast<Size::kLanes>(a[i]);
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += s * v[j];
    }
  }
}

template <class Size, int Rows>
GEMEL_INLINE void load_tile(const float* tile, Vec<Size::kLanes> (&c)[Rows][Size::kVectors]) {
  GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      c[i][j] = load<Size::kLanes>(tile + i * Size::kWidth + j * Size::kLanes);
    }
  }
}

template <class Size, int Rows>
GEMEL_INLINE void store_tile(float* tile, const Vec<Size::kLanes> (&c)[Rows][Size::kVectors]) {
  GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      store<Size::kLanes>(tile + i * Size::kWidth + j * Size::kLanes, c[i][j]);
    }
  }
}

// Products of Rows rows of a (pointers to them) with a packed panel, added to the tile `out` or put there. A function of
// its own: around the inner loop no register is free for what comes after it.
template <class Size, int Rows>
[[gnu::noinline]] void multiply_tile(const float* const (&rows)[Rows], int length, const float* packed, bool add,
                                     float* out) {
  Vec<Size::kLanes> c[Rows][Size::kVectors] = {};
  if (add) load_tile<Size>(out, c);
  multiply_rows<Size>(c, rows, 0, length, packed);
  store_tile<Size>(out, c);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
