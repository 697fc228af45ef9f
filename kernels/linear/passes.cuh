// SPDX-License-Identifier: MIT
//
// The three passes of a fully connected layer as matrix products, whichever tiles multiply them: what the rungs from 02
// on share. 02_tiled.cu has formulas and shapes.
#pragma once

#include <algorithm>

#include "kernels/entries.h"
#include "kernels/gemm/column_sums.cuh"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/linear/rung_of.h"

namespace gemel::GEMEL_DEVICE::linear_passes {

using namespace gemm;

// Whether both factors of the backward passes are fetched 16 bytes at a time.
inline bool by_four(const LinearShape& s) { return s.in % 4 == 0 && s.out % 4 == 0; }

inline int wgrad_slice(const LinearShape& s) {
  return batch_slice_length(s.n, tiles_of(s.out, s.in, by_four(s)), kBlocksToFill);
}

// Vector: of the factors' elements (operands.cuh). Factors whose rows are padded are given as of a shape with their
// row lengths.
template <class Tiles, int Vector>
void fprop(Queue queue, const LinearShape& s, const ElementOf<Vector>* x, const ElementOf<Vector>* w, const float* bias,
           float* y) {
  const int slice = slice_length(s.in);
  const Product<MatrixRows<Vector>, MatrixRows<Vector>> product{.a = {x, s.n, s.in},
                                                                .b = {w, s.out, s.in},
                                                                .rows = s.n,
                                                                .columns = s.out,
                                                                .depth = s.in,
                                                                .out = y,
                                                                .bias = bias,
                                                                .slice = slice};
  multiply_split<Tiles>(queue, product, split_slices(s.n, s.out, s.in, slice, Vector != 1));
}

// w_row: the length of w's rows, of which s.in elements are used.
template <class Tiles, int DyVector, int WVector>
void dgrad(Queue queue, const LinearShape& s, const ElementOf<DyVector>* dy, const ElementOf<WVector>* w, int w_row,
           float* dx) {
  const int slice = slice_length(s.out);
  const Product<MatrixRows<DyVector>, MatrixColumns<WVector>> product{.a = {dy, s.n, s.out},
                                                                      .b = {w, w_row},
                                                                      .rows = s.n,
                                                                      .columns = s.in,
                                                                      .depth = s.out,
                                                                      .out = dx,
                                                                      .bias = nullptr,
                                                                      .slice = slice};
  multiply_split<Tiles>(queue, product, split_slices(s.n, s.in, s.out, slice, by_four(s)));
}

// x_row, dy_row: the lengths of the rows of x and dy, of which s.in and s.out elements are used.
template <class Tiles, int DyVector, int XVector>
void wgrad(Queue queue, const LinearShape& s, const ElementOf<XVector>* x, int x_row, const ElementOf<DyVector>* dy,
           int dy_row, float* dw) {
  const int slice = wgrad_slice(s);
  const Product<MatrixColumns<DyVector>, MatrixColumns<XVector>> product{.a = {dy, dy_row},
                                                                         .b = {x, x_row},
                                                                         .rows = s.out,
                                                                         .columns = s.in,
                                                                         .depth = s.n,
                                                                         .out = dw,
                                                                         .bias = nullptr,
                                                                         .accumulate = true,
                                                                         .slice = slice};
  multiply_split<Tiles>(queue, product, ceil_divide(s.n, slice));
}

// Enough for each of the three passes, with any tiles.
inline std::size_t scratch(const LinearShape& s) {
  if (s.n == 0) return 0;
  const std::int64_t n = s.n, in = s.in, out = s.out;
  return std::max({partial_bytes(split_slices(s.n, s.out, s.in, slice_length(s.in), s.in % 4 == 0), n * out),
                   partial_bytes(split_slices(s.n, s.in, s.out, slice_length(s.out), by_four(s)), n * in),
                   partial_bytes(ceil_divide(s.n, wgrad_slice(s)), out * in), column_sums_scratch(s.n, s.out)});
}

// The passes as the entries have them. kMixed: factors of the backward passes whose rows are multiples of 4 are read 16
// bytes at a time even where the other factor's are not, at the price of twice the kernels.
template <class Tiles, bool kMixed = false>
struct Passes {
  static void fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const float* bias, float* y) {
    if (s.n == 0) return;
    s.in % 4 == 0 ? linear_passes::fprop<Tiles, 4>(queue, s, x, w, bias, y)
                  : linear_passes::fprop<Tiles, 1>(queue, s, x, w, bias, y);
  }
  static void dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
    if (s.n == 0) return;
    if (by_four(s)) return linear_passes::dgrad<Tiles, 4, 4>(queue, s, dy, w, s.in, dx);
    if constexpr (kMixed) {
      if (s.out % 4 == 0) return linear_passes::dgrad<Tiles, 4, 1>(queue, s, dy, w, s.in, dx);
      if (s.in % 4 == 0) return linear_passes::dgrad<Tiles, 1, 4>(queue, s, dy, w, s.in, dx);
    }
    linear_passes::dgrad<Tiles, 1, 1>(queue, s, dy, w, s.in, dx);
  }
  static void wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw, float* db) {
    if (s.n == 0) return;
    weights(queue, s, x, dy, dw);
    if (db != nullptr) column_sums(queue, s.n, s.out, dy, db);
  }

 private:
  static void weights(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw) {
    if (by_four(s)) return linear_passes::wgrad<Tiles, 4, 4>(queue, s, x, s.in, dy, s.out, dw);
    if constexpr (kMixed) {
      if (s.out % 4 == 0) return linear_passes::wgrad<Tiles, 4, 1>(queue, s, x, s.in, dy, s.out, dw);
      if (s.in % 4 == 0) return linear_passes::wgrad<Tiles, 1, 4>(queue, s, x, s.in, dy, s.out, dw);
    }
    linear_passes::wgrad<Tiles, 1, 1>(queue, s, x, s.in, dy, s.out, dw);
  }
};

}  // namespace gemel::GEMEL_DEVICE::linear_passes

namespace gemel::GEMEL_DEVICE {

// w is worked on as it is: never packed.
template <class Tiles>
void LinearRungOf<Tiles>::fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const void*,
                                const float* bias, float* y) {
  linear_passes::Passes<Tiles>::fprop(queue, s, x, w, bias, y);
}
template <class Tiles>
void LinearRungOf<Tiles>::dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  linear_passes::Passes<Tiles>::dgrad(queue, s, dy, w, dx);
}
template <class Tiles>
void LinearRungOf<Tiles>::wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw,
                                float* db) {
  linear_passes::Passes<Tiles>::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
