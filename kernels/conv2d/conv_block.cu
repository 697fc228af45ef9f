// SPDX-License-Identifier: MIT
//
// conv_block: a convolution with the ReLU and the 2x2 max-pool that follow it, in one pass over the image.
//
//   forward    z = conv(x) + b      y = relu(max of each 2x2 window of z)       argmax = 2r + s of the first maximum
//   backward   dz = dy at the argmax of its window, where y > 0; else 0         dw, db, dx: those of conv2d, from dz
//
// Forward is the implicit GEMM of 02_implicit_gemm.cu with another order of rows and another ending: row m of the
// product is position m % 4 of window m / 4, so that the 4 neighbouring rows that a thread holds are a window, and the
// pool is a maximum of registers. z is written only where a sum is cut into slices.
//
// Shapes    x, dx: (N,H,W,C)   w, dw: (K,R,S,C)   y, dy, argmax: (N,P/2,Q/2,K), without pool (N,P,Q,K)   b, db: (K)
//           z, dz: (N,P,Q,K)   f32, argmax u8
// Mapping   forward: kernels/gemm/tile_product.cuh. Slices that were split over blocks are added by one thread an
//           output. Backward: one thread a window and channel writes the four elements of dz.
// Shared    as in kernels/gemm/tile_product.cuh.
// Traffic   forward with pool: 5 bytes an output instead of 16 for z, then 16 read and 5 written by the pool, then 8 for
//           the ReLU. The last odd row and column, which the pool drops, are not computed. Backward writes dz, 16 bytes
//           a window: bound by memory, and small beside the two products that read it.
// Numerics  f32; the sums of fprop, bit for bit, and then those of activation and pool2d: fused or not is the same.
// Edge      NaN is a maximum and stays NaN under ReLU; where y is NaN the gradient passes. Images without a window
//           (P or Q is 1) launch nothing; their gradients are 0. argmax may be null without pool; b, db, dx may be null.
// Used by   the table, where no first layer's kernels pay (07_first_layer.cu: those need no dz).
//           dz is written out for the products: they read an element R*S times (dgrad) or once a tile of columns (wgrad),
//           and would read 9 bytes, of dy, y and argmax, in place of its 4.    Tests tests/reference/conv_block.cpp
#include <algorithm>
#include <cstdint>

#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/rung_of.h"
#include "kernels/conv2d/rungs.h"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;
using block_forward::forward_plan, block_forward::kBlock, block_forward::without_outputs;

// ---- backward
struct PooledShape {
  int P, Q, K;
  int windows_down, windows_across;  // those that lie in the image in part included
  int out_h, out_w;                  // without them
  bool relu;
};

// dz of the four positions of a window, as far as they lie in the image, from its y, dy and argmax; 0 for windows that
// lie in it in part alone. Grid x: rows of windows of all images; grid y and block: windows of a row and channels.
__global__ void unpool_kernel(PooledShape s, const float* __restrict__ y, const std::uint8_t* __restrict__ argmax,
                              const float* __restrict__ dy, float* __restrict__ dz) {
  const int at = static_cast<int>(blockIdx.y * kBlock + threadIdx.x);
  if (at >= s.windows_across * s.K) return;
  const int n = static_cast<int>(blockIdx.x) / s.windows_down, i = static_cast<int>(blockIdx.x) % s.windows_down;
  const int j = at / s.K, k = at % s.K;
  float gradient = 0;
  int taken = 0;
  if (i < s.out_h && j < s.out_w) {
    const std::int64_t from = ((static_cast<std::int64_t>(n) * s.out_h + i) * s.out_w + j) * s.K + k;
    const bool masked = s.relu && y[from] <= 0;
    gradient = masked ? 0.0f : dy[from];
    taken = argmax[from];
  }
  for (int tap = 0; tap < 4; ++tap) {
    const int p = 2 * i + tap / 2, q = 2 * j + tap % 2;
    if (p >= s.P || q >= s.Q) continue;
    dz[((static_cast<std::int64_t>(n) * s.P + p) * s.Q + q) * s.K + k] = tap == taken ? gradient : 0.0f;
  }
}
SIMT_CONTRACT(unpool_kernel, .sectors = 1.3, .loads = 1.15, .stores = 1.35);

void unpool(Queue queue, const ConvBlock& b, const float* y, const std::uint8_t* argmax, const float* dy, float* dz) {
  const int P = b.conv.p(), Q = b.conv.q(), K = b.conv.k, windows_down = ceil_divide(P, 2);
  const PooledShape shape{P, Q, K, windows_down, ceil_divide(Q, 2), b.out_h(), b.out_w(), b.relu};
  launch_flat<unpool_kernel>({.grid = dim3(static_cast<unsigned>(b.conv.n * windows_down),
                                           static_cast<unsigned>(ceil_divide(shape.windows_across * K, kBlock))),
                              .block = dim3(kBlock),
                              .queue = queue},
                             shape, y, argmax, dy, dz);
}

std::size_t dz_floats(const ConvBlock& b) { return static_cast<std::size_t>(positions(b.conv)) * b.conv.k; }

// dz at the front of the scratch, aligned for what comes after it; 0 where dy itself is dz.
std::size_t dz_bytes(const ConvBlock& b) {
  return b.relu || b.pool ? (dz_floats(b) * sizeof(float) + 255) / 256 * 256 : 0;
}

}  // namespace

std::size_t conv_block_scratch(const ConvBlock& b) {
  const std::size_t forward =
      without_outputs(b) ? 0 : std::max(forward_plan(b).scratch_bytes, Conv2dBf16Rung::block_scratch(b));
  return std::max(forward, dz_bytes(b) + conv2d_scratch(b.conv));
}

// w is worked on as it is.
std::size_t conv_block_packed_bytes(const ConvBlock&) { return 0; }
void conv_block_pack(Queue, const ConvBlock&, const float*, void*) {}

void conv_block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void* packed,
                        const float* bias, float* y, std::uint8_t* argmax) {
  conv2d_rung_for(queue.math, b.conv).block_forward(queue, b, x, w, packed, bias, y, argmax);
}

void conv2d_implicit_gemm::block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*,
                                         const float* bias, float* y, std::uint8_t* argmax) {
  if (!b.relu && !b.pool) return fprop(queue, b.conv, x, w, bias, y);
  GEMEL_DEVICE::block_forward::run<gemm::RegisterTiles<gemm::Staging::registers>>(queue, b, x, w, bias, y, argmax);
}

void conv_block_backward(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* y,
                         const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db) {
  const Conv2dRung& rung = conv2d_rung_for(queue.math, b.conv);
  if (rung.block_backward != nullptr) return rung.block_backward(queue, b, x, w, y, argmax, dy, dx, dw, db);
  block_backward_by_passes(queue, b, x, w, y, argmax, dy, dx, dw, db, rung.wgrad, rung.dgrad);
}

void block_backward_by_passes(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* y,
                              const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db,
                              decltype(Kernels::conv2d_wgrad) wgrad, decltype(Kernels::conv2d_dgrad) dgrad) {
  const float* dz = dy;
  Queue rest = queue;
  if (const std::size_t bytes = dz_bytes(b); bytes > 0) {
    float* buffer = scratch_floats(queue, bytes);
    rest.scratch = {reinterpret_cast<std::uint8_t*>(buffer) + bytes, queue.scratch.bytes - bytes};
    if (b.pool) {
      unpool(queue, b, y, argmax, dy, buffer);
    } else {
      activation_backward(queue, Activation::relu, dz_floats(b), y, dy, buffer);
    }
    dz = buffer;
  }
  wgrad(rest, b.conv, x, dz, dw, db);
  if (dx != nullptr) dgrad(rest, b.conv, dz, w, dx);
}

}  // namespace gemel::GEMEL_DEVICE
