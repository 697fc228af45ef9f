// SPDX-License-Identifier: MIT
//
// conv2d, rung 2: implicit GEMM. A convolution is a matrix product whose left factor, the patches of the image, is
// never written out: the threads that fill the tiles in shared memory find each element by index arithmetic
// (Chetlur et al. 2014, cuDNN, section 3; CUTLASS's implicit GEMM).
//
//   fprop  y  (NPQ, K)    = patches of x (NPQ, RSC) * w^T (RSC, K) + b
//   dgrad  dx (NHW, C)    = patches of dy (NHW, R'S'K) * w (R'S'K, C)         R'S': the taps that meet the pixel
//   wgrad  dw (K, RSC)   += dy^T (K, NPQ) * patches of x (NPQ, RSC)           db (K) += column sums of dy
//
// dgrad with strides: pixels with the same (h mod stride_h, w mod stride_w) meet the same taps, r = r0, r0 + stride_h,
// ...; each such phase is a product of its own over those taps alone, so no products with 0 are made.
//
// Shapes    x, dx: (N,H,W,C)   w, dw: (K,R,S,C)   y, dy: (N,P,Q,K)   b, db: (K)   f32
// Mapping   kernels/gemm/tile_product.cuh; tiles and slices are chosen in kernels/gemm/tiles.h. Channels (C, and K in
//           the backward passes) that are a multiple of 4 are read 16 bytes at a time, others float by float.
//           Few results with long sums (wgrad; small batches) are split over blocks, and added up by a second kernel.
// Shared    33 KB a block of 128 x 128 results (two stages), 17 KB for 64 x 64.
// Traffic   2*N*P*Q*K*R*S*C FLOPs a pass. A patch is read R*S/(stride_h*stride_w) times, from L2 except once. Bound by
//           arithmetic where K and R*S*C reach 64; first layers (C = 1, 3) by memory and by index arithmetic.
// Numerics  f32; the slices of a sum depend on its length alone, so an image has the same bits in every batch. wgrad
//           cuts its sum over the batch by the whole shape: the same bits from run to run.
// Edge      taps in the padding multiply w by 0: an infinite or NaN weight shows there, unlike in rung 1.
//           N = 0 launches nothing. b and db may be null. dx that no window met is 0.
// Used by   the table, where the queue's Math is fp32 and the image has many channels.
//           Tests tests/reference/conv2d.cpp
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/passes.cuh"

namespace gemel::GEMEL_DEVICE::conv2d_implicit_gemm {

using Tiled = conv2d_passes::Passes<gemm::RegisterTiles<gemm::Staging::registers>, true>;

void fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  Tiled::fprop(queue, s, x, w, bias, y);
}
void dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  Tiled::dgrad(queue, s, dy, w, dx);
}
void wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  Tiled::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE::conv2d_implicit_gemm
