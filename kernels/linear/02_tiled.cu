// SPDX-License-Identifier: MIT
//
// linear, rung 2: tiles in shared memory, results in registers. Each factor fetched from global memory serves a whole
// tile of results.
//
//   fprop  y (N,Out)   = x (N,In) * w^T + b          sums over In
//   dgrad  dx (N,In)   = dy (N,Out) * w (Out,In)     sums over Out
//   wgrad  dw (Out,In) += dy^T (Out,N) * x (N,In)    sums over N;      db (Out) += column sums of dy
//
// Shapes    x, dx: (N,In)   w, dw: (Out,In)   y, dy: (N,Out)   b, db: (Out)   f32
// Mapping   kernels/gemm/tile_product.cuh; tiles and slices are chosen in kernels/gemm/tiles.h. Rows whose length is a
//           multiple of 4 are read 16 bytes at a time, others float by float. Few results with long sums (small
//           batches) are split over blocks, slice by slice, and added up by a second kernel.
// Shared    33 KB a block of 128 x 128 results (two stages), 17 KB for 64 x 64.
// Traffic   2*N*In*Out FLOPs a pass. Large batches are bound by arithmetic, batches below some 30 by reading w.
// Numerics  f32; the slices of a sum depend on its length alone, so a row has the same bits in every batch. wgrad cuts
//           its sum over the batch by the whole shape: the same bits from run to run.
// Edge      N = 0 launches nothing. b and db may be null.
// Used by   the table.    Tests tests/reference/linear.cpp
#include <algorithm>

#include "kernels/entries.h"
#include "kernels/gemm/column_sums.cuh"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;

// Whether both factors of the backward passes are fetched 16 bytes at a time.
bool by_four(const LinearShape& s) { return s.in % 4 == 0 && s.out % 4 == 0; }

int wgrad_slice(const LinearShape& s) {
  return batch_slice_length(s.n, tiles_of(s.out, s.in, by_four(s)), kBlocksToFill);
}

template <int Vector>
void fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const float* bias, float* y) {
  const int slice = slice_length(s.in);
  const Product<MatrixRows<Vector>, MatrixRows<Vector>> product{.a = {x, s.n, s.in},
                                                                .b = {w, s.out, s.in},
                                                                .rows = s.n,
                                                                .columns = s.out,
                                                                .depth = s.in,
                                                                .out = y,
                                                                .bias = bias,
                                                                .slice = slice};
  multiply_split(queue, product, split_slices(s.n, s.out, s.in, slice, Vector == 4));
}

template <int DyVector, int WVector>
void dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  const int slice = slice_length(s.out);
  const Product<MatrixRows<DyVector>, MatrixColumns<WVector>> product{.a = {dy, s.n, s.out},
                                                                      .b = {w, s.in},
                                                                      .rows = s.n,
                                                                      .columns = s.in,
                                                                      .depth = s.out,
                                                                      .out = dx,
                                                                      .bias = nullptr,
                                                                      .slice = slice};
  multiply_split(queue, product, split_slices(s.n, s.in, s.out, slice, by_four(s)));
}

template <int DyVector, int XVector>
void wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw) {
  const int slice = wgrad_slice(s);
  const Product<MatrixColumns<DyVector>, MatrixColumns<XVector>> product{.a = {dy, s.out},
                                                                         .b = {x, s.in},
                                                                         .rows = s.out,
                                                                         .columns = s.in,
                                                                         .depth = s.n,
                                                                         .out = dw,
                                                                         .bias = nullptr,
                                                                         .accumulate = true,
                                                                         .slice = slice};
  multiply_split(queue, product, ceil_divide(s.n, slice));
}

}  // namespace

std::size_t linear_scratch(const LinearShape& s) {
  if (s.n == 0) return 0;
  const std::int64_t n = s.n, in = s.in, out = s.out;
  return std::max({partial_bytes(split_slices(s.n, s.out, s.in, slice_length(s.in), s.in % 4 == 0), n * out),
                   partial_bytes(split_slices(s.n, s.in, s.out, slice_length(s.out), by_four(s)), n * in),
                   partial_bytes(ceil_divide(s.n, wgrad_slice(s)), out * in), column_sums_scratch(s.n, s.out)});
}

// w is worked on as it is.
std::size_t linear_packed_bytes(const LinearShape&) { return 0; }
void linear_pack(Queue, const LinearShape&, const float*, void*) {}

void linear_fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const void*, const float* bias,
                  float* y) {
  if (s.n == 0) return;
  s.in % 4 == 0 ? fprop<4>(queue, s, x, w, bias, y) : fprop<1>(queue, s, x, w, bias, y);
}

void linear_dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  if (s.n == 0) return;
  if (s.out % 4 == 0) {
    s.in % 4 == 0 ? dgrad<4, 4>(queue, s, dy, w, dx) : dgrad<4, 1>(queue, s, dy, w, dx);
  } else {
    s.in % 4 == 0 ? dgrad<1, 4>(queue, s, dy, w, dx) : dgrad<1, 1>(queue, s, dy, w, dx);
  }
}

void linear_wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (s.n == 0) return;
  if (s.out % 4 == 0) {
    s.in % 4 == 0 ? wgrad<4, 4>(queue, s, x, dy, dw) : wgrad<4, 1>(queue, s, x, dy, dw);
  } else {
    s.in % 4 == 0 ? wgrad<1, 4>(queue, s, x, dy, dw) : wgrad<1, 1>(queue, s, x, dy, dw);
  }
  if (db != nullptr) column_sums(queue, s.n, s.out, dy, db);
}

}  // namespace gemel::GEMEL_DEVICE
