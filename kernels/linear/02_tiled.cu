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
// Used by   the table, where the queue's Math is fp32.    Tests tests/reference/linear.cpp
#include "kernels/linear/passes.cuh"
#include "kernels/linear/rungs.h"

namespace gemel::GEMEL_DEVICE {

using Tiled = linear_passes::Passes<gemm::RegisterTiles<gemm::Staging::registers>, true>;

std::size_t linear_scratch(const LinearShape& s) {
  return std::max(linear_passes::scratch(s), LinearBf16Rung::passes_scratch(s));
}

// w is worked on as it is.
std::size_t linear_packed_bytes(const LinearShape&) { return 0; }
void linear_pack(Queue, const LinearShape&, const float*, void*) {}

// Tensor-core modes are rungs of their own.
void linear_fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const void* packed,
                  const float* bias, float* y) {
  if (queue.math != Math::fp32) return linear_rung(queue.math).fprop(queue, s, x, w, packed, bias, y);
  Tiled::fprop(queue, s, x, w, bias, y);
}

void linear_dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  if (queue.math != Math::fp32) return linear_rung(queue.math).dgrad(queue, s, dy, w, dx);
  Tiled::dgrad(queue, s, dy, w, dx);
}

void linear_wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (queue.math != Math::fp32) return linear_rung(queue.math).wgrad(queue, s, x, dy, dw, db);
  Tiled::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
