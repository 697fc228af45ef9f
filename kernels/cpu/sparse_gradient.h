// SPDX-License-Identifier: MIT
//
// Both gradients behind a 2x2 max-pool without un-pooling. dz has at most one number in four that is not 0, at the
// argmax, and each such number v = dz(n,p,q,k) multiplies whole filter rows:
//
//   dw(k, r, :) += v x(n, p sh - ph + r, q sw - pw + (0..S-1), :)        S*C contiguous floats of the padded image
//   dx(n, p sh - ph + r, q sw - pw + (0..S-1), :) += v w(k, r, :)
//
// So the numbers are gathered into lists once: by filter for dw, whose rows stay in registers while a list is walked,
// and by pixel for dx. The terms are those of the dense passes but the zeros: a fourth, and an eighth where a ReLU
// holds half of them back.
//
// A piece of a filter row is at most kMostVectors vectors; where rows are short, several are summed at once. Lanes past
// the end of a row read and add what is not used: images and filters are copied to buffers that allow it.
#pragma once

#include "kernels/cpu/block_gradient.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// One number of dz: where its window begins in the image (dw) or its filter in the packed filters (dx), in floats.
struct Term {
  std::int32_t offset;
  float value;
};

// The accumulators, one broadcast, and a vector to spare in 16 registers.
constexpr int kMostVectors = 13;

// How R filter rows of `run` floats are cut: `rows` rows at a time, `pieces` pieces a row of `vectors` vectors.
struct RowPieces {
  int r, run;
  int rows, pieces, vectors;

  constexpr int width() const { return vectors * kLanes; }
  constexpr int pitch() const { return pieces * width(); }  // floats of a padded row
};

constexpr RowPieces row_pieces(int r, int run) {
  RowPieces p{r, run, 1, 0, 0};
  const int vectors = divide_up(run, kLanes);
  p.pieces = divide_up(vectors, kMostVectors);
  p.vectors = divide_up(vectors, p.pieces);
  constexpr int kRows[] = {2, 3, 5};
  for (int rows : kRows) {
    if (p.pieces == 1 && r % rows == 0 && rows * p.vectors <= kMostVectors) p.rows = rows;
  }
  return p;
}

template <int Rows, int Vectors>
struct PieceSize {
  static constexpr int kRows = Rows, kVectors = Vectors;
};

// Calls f(PieceSize{}) with the pieces' size as constants.
template <int Vectors = 1, class F>
GEMEL_INLINE void with_piece(const RowPieces& p, const F& f) {
  if (p.vectors == Vectors) {
    if constexpr (5 * Vectors <= kMostVectors)
      if (p.rows == 5) return f(PieceSize<5, Vectors>{});
    if constexpr (3 * Vectors <= kMostVectors)
      if (p.rows == 3) return f(PieceSize<3, Vectors>{});
    if constexpr (2 * Vectors <= kMostVectors)
      if (p.rows == 2) return f(PieceSize<2, Vectors>{});
    return f(PieceSize<1, Vectors>{});
  }
  if constexpr (Vectors < kMostVectors) with_piece<Vectors + 1>(p, f);
}

// sums[i] += value * from[i], over rows `from_pitch` floats apart, of every term; sums has rows `to_pitch` apart.
template <class Size>
GEMEL_INLINE void add_terms(const Term* term, const Term* end, const float* from, std::ptrdiff_t from_pitch,
                            float* sums, std::ptrdiff_t to_pitch) {
  if (term == end) return;
  Vec<kLanes> c[Size::kRows][Size::kVectors];
  GEMEL_UNROLL for (int i = 0; i < Size::kRows; ++i) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] = load(sums + i * to_pitch + j * kLanes);
  }
  for (; term != end; ++term) {
    const float* a = from + term->offset;
    GEMEL_KEEP_POINTER(a);
    const Vec<kLanes> v = broadcast(term->value);
    GEMEL_UNROLL for (int i = 0; i < Size::kRows; ++i) {
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[i][j] += v * load(a + i * from_pitch + j * kLanes);
    }
  }
  GEMEL_UNROLL for (int i = 0; i < Size::kRows; ++i) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) store(sums + i * to_pitch + j * kLanes, c[i][j]);
  }
}

// An image with its border, rows `pitch` floats apart.
struct PaddedImage {
  int rows = 0, columns = 0;
  std::ptrdiff_t pitch = 0;
  int pixel = 0, stride_h = 0, stride_w = 0;  // floats from pixel to pixel; steps of the windows in pixels

  PaddedImage() = default;
  PaddedImage(const Conv2dShape& s, int columns)
      : columns(columns),
        pitch(std::ptrdiff_t{columns} * s.c),
        pixel(s.c),
        stride_h(s.stride_h),
        stride_w(s.stride_w) {}

  // Window of output pixel (p,q) of the convolution, from the first row of the image.
  std::int32_t window(int p, int q) const {
    return static_cast<std::int32_t>(p * stride_h * pitch + q * stride_w * pixel);
  }
};

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
