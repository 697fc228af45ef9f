// SPDX-License-Identifier: MIT
//
// A matrix product writes `n` columns (filters, output units). They are cut into panels, each as wide as one register
// tile: 2 vectors, the last one 1 to 3 (AVX-512: up to 5 vectors of 8 lanes). Where n is no multiple of the lanes, the
// last vector is moved back to end at column n - 1: it computes some columns of its neighbour a second time, to the
// same bits, and every load and store is a whole vector. Only n < lanes needs part of a vector.
//
// AVX-512: the last panel takes 8 lanes where 16 would waste a half vector or more. On a processor that executes 16
// lanes in two halves (Zen 4) 20 filters then cost 3 halves instead of 4, and 50 cost 7 instead of 8.
#pragma once

#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Panel {
  int lanes, vectors;
  int column;       // first column; also the first column in the packed matrix
  int last_column;  // column of the last vector
  int valid;        // columns of a vector that exist: lanes, or n if that is less

  constexpr int width() const { return lanes * vectors; }
  // Column of vector j of the panel.
  constexpr int column_of(int j) const { return j + 1 < vectors ? column + j * lanes : last_column; }
};

constexpr int panel_count(int n) { return n <= 3 * kLanes ? 1 : divide_up(n - 3 * kLanes, 2 * kLanes) + 1; }

constexpr Panel panel_at(int n, int index) {
  Panel p{kLanes, 2, index * 2 * kLanes, 0, 0};
  if (index + 1 == panel_count(n)) {
    const int rest = n - p.column;
    if (kLanes == 16 && (rest - 1) % 16 < 8) p.lanes = 8;
    p.vectors = divide_up(rest, p.lanes);
  }
  p.last_column = p.column + (p.vectors - 1) * p.lanes;
  if (n >= p.lanes) p.last_column = min(p.last_column, n - p.lanes);
  p.valid = min(n, p.lanes);
  return p;
}

// Columns of the packed matrix: n rounded up to whole panels.
constexpr int packed_columns(int n) {
  const Panel p = panel_at(n, panel_count(n) - 1);
  return p.column + p.width();
}

// Panels [begin, end).
struct PanelRange {
  int begin, end;
};

// Part `part` of `parts` equal ones of the panels of n columns.
constexpr PanelRange panel_part(int n, int part, int parts) {
  return {panel_count(n) * part / parts, panel_count(n) * (part + 1) / parts};
}

template <int Lanes, int Vectors>
struct TileSize {
  static constexpr int kLanes = Lanes, kVectors = Vectors, kWidth = Lanes * Vectors;
};

// Calls f with the panel's size as a compile-time constant.
template <class F>
GEMEL_INLINE void with_size(const Panel& p, F&& f) {
  if constexpr (kLanes == 16) {
    if (p.lanes == 8) {
      if (p.vectors == 1) return f(TileSize<8, 1>{});
      if (p.vectors == 3) return f(TileSize<8, 3>{});
      return f(TileSize<8, 5>{});
    }
  }
  if (p.vectors == 1) return f(TileSize<kLanes, 1>{});
  if (p.vectors == 2) return f(TileSize<kLanes, 2>{});
  return f(TileSize<kLanes, 3>{});
}

// Writes one row of a tile to `row`, the first column of the matrix's row.
template <class Size>
GEMEL_INLINE void store_columns(float* row, const Vec<Size::kLanes> (&c)[Size::kVectors], const Panel& p) {
  if constexpr (Size::kVectors == 1) {
    if (p.valid < Size::kLanes) return store_part<Size::kLanes>(row, c[0], p.valid);
  }
  GEMEL_UNROLL for (int j = 0; j + 1 < Size::kVectors; ++j)
      store<Size::kLanes>(row + p.column + j * Size::kLanes, c[j]);
  store<Size::kLanes>(row + p.last_column, c[Size::kVectors - 1]);
}

// Reads one row of a tile; columns that do not exist are 0.
template <class Size>
GEMEL_INLINE void load_columns(const float* row, Vec<Size::kLanes> (&c)[Size::kVectors], const Panel& p) {
  if constexpr (Size::kVectors == 1) {
    if (p.valid < Size::kLanes) {
      c[0] = load_part<Size::kLanes>(row, p.valid);
      return;
    }
  }
  GEMEL_UNROLL for (int j = 0; j + 1 < Size::kVectors; ++j) c[j] =
      load<Size::kLanes>(row + p.column + j * Size::kLanes);
  c[Size::kVectors - 1] = load<Size::kLanes>(row + p.last_column);
}

// Packs rows of a matrix whose columns are contiguous: out[i][width] = row i of `from`, rows `pitch` floats apart.
template <class Size>
void pack_rows(const Panel& p, int rows, const float* from, std::ptrdiff_t pitch, float* out) {
  for (int i = 0; i < rows; ++i, from += pitch, out += Size::kWidth) {
    Vec<Size::kLanes> v[Size::kVectors];
    load_columns<Size>(from, v, p);
    for (int j = 0; j < Size::kVectors; ++j) store<Size::kLanes>(out + j * Size::kLanes, v[j]);
  }
}

// Loads Lanes x Lanes floats, rows `pitch` floats apart, transposed: v[i] holds element i of each row.
template <int Lanes>
GEMEL_INLINE void load_transposed(const float* from, std::ptrdiff_t pitch, Vec<Lanes> (&v)[Lanes]) {
  GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) v[i] = load<Lanes>(from + i * pitch);
  // log2(Lanes) rounds; in the round of distance d, rows i and i + d exchange the lanes whose bit d differs.
  GEMEL_UNROLL for (int d = Lanes / 2; d > 0; d /= 2) {
    IntVec<Lanes> low{}, high{};
    GEMEL_UNROLL for (int e = 0; e < Lanes; ++e) {
      low[e] = (e & d) ? Lanes + e - d : e;
      high[e] = (e & d) ? Lanes + e : e + d;
    }
    GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) {
      if (i & d) continue;
#if defined(__clang__)
      // clang has no shuffle by an index vector; it vectorises the element-wise form.
      Vec<Lanes> a{}, b{};
      GEMEL_UNROLL for (int e = 0; e < Lanes; ++e) {
        a[e] = (e & d) ? v[i + d][e - d] : v[i][e];
        b[e] = (e & d) ? v[i + d][e] : v[i][e + d];
      }
#else
      const Vec<Lanes> a = __builtin_shuffle(v[i], v[i + d], low), b = __builtin_shuffle(v[i], v[i + d], high);
#endif
      v[i] = a;
      v[i + d] = b;
    }
  }
}

// Row i of `out` (rows `pitch` floats apart) holds element i of each of the `Lanes` rows of `from`.
template <int Lanes>
GEMEL_INLINE void transpose_block(const float* from, std::ptrdiff_t from_pitch, float* out, std::ptrdiff_t pitch) {
  Vec<Lanes> v[Lanes];
  load_transposed<Lanes>(from, from_pitch, v);
  GEMEL_UNROLL for (int i = 0; i < Lanes; ++i) store<Lanes>(out + i * pitch, v[i]);
}

// Packs columns that are rows in memory: out[k][width], column j from row column_of(j) of `from` (n rows of `pitch`
// floats), k in [0, length).
template <class Size>
void pack_transposed(const Panel& p, int length, const float* from, std::ptrdiff_t pitch, float* out) {
  constexpr int kWidth = Size::kWidth, kBlock = Size::kLanes;
  for (int j = 0; j < Size::kVectors; ++j, out += kBlock) {
    const float* rows = from + p.column_of(j) * pitch;
    int k = 0;
    if (p.valid == kBlock) {
      for (; k + kBlock <= length; k += kBlock) transpose_block<kBlock>(rows + k, pitch, out + k * kWidth, kWidth);
    }
    for (; k < length; ++k) {
      for (int e = 0; e < kBlock; ++e) out[k * kWidth + e] = e < p.valid ? rows[e * pitch + k] : 0.0f;
    }
  }
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
