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
// Used by   the table.    Tests tests/reference/conv_block.cpp
#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/conv2d/patches.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;

// ---- forward
struct Output {
  float value;
  unsigned char tap;
};

// The end of a block: bias, maximum, ReLU. An output is the largest of kTaps consecutive rows of the product.
template <bool Pool>
struct BlockEnd {
  static constexpr int kTaps = Pool ? 4 : 1;
  int rows, columns;  // of the product
  const float* bias;  // (columns) or null
  bool relu;
  float* y;
  std::uint8_t* argmax;  // Pool

  __device__ __forceinline__ float bias_of(int column) const { return bias != nullptr ? bias[column] : 0.0f; }

  __device__ __forceinline__ Output output(const float (&sums)[kTaps], float add) const {
    Output best{sums[0] + add, 0};
    SIMT_UNROLL_REGISTERS
    for (int tap = 1; tap < kTaps; ++tap) {
      const float value = sums[tap] + add;
      const bool nan_comes = value != value && best.value == best.value;
      if (value > best.value || nan_comes) best = {value, static_cast<unsigned char>(tap)};
    }
    if (relu) best.value = best.value <= 0 ? 0.0f : best.value;
    return best;
  }

  __device__ __forceinline__ void put(std::int64_t at, const Output& output) const {
    y[at] = output.value;
    if constexpr (Pool) argmax[at] = output.tap;
  }

  // The product's epilogue.
  __device__ __forceinline__ void finish(int m, int n, const float (&sums)[4][4]) const {
    float add[4];
    SIMT_UNROLL_REGISTERS
    for (int c = 0; c < 4; ++c) add[c] = n + c < columns ? bias_of(n + c) : 0.0f;
    SIMT_UNROLL_REGISTERS
    for (int first = 0; first < 4; first += kTaps) {
      if (m + first >= rows) continue;
      Output outputs[4];
      SIMT_UNROLL_REGISTERS
      for (int c = 0; c < 4; ++c) {
        float taps[kTaps];
        SIMT_UNROLL_REGISTERS
        for (int tap = 0; tap < kTaps; ++tap) taps[tap] = sums[first + tap][c];
        outputs[c] = output(taps, add[c]);
      }
      const std::int64_t at = static_cast<std::int64_t>((m + first) / kTaps) * columns + n;
      if (columns % 4 == 0) {
        store4(y + at, make_float4(outputs[0].value, outputs[1].value, outputs[2].value, outputs[3].value));
        if constexpr (Pool) {
          *reinterpret_cast<uchar4*>(argmax + at) =
              make_uchar4(outputs[0].tap, outputs[1].tap, outputs[2].tap, outputs[3].tap);
        }
      } else {
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) {
          if (n + c < columns) put(at + c, outputs[c]);
        }
      }
    }
  }
};

// Adds up the slices of a product that was split, in ascending order, and ends the block. One thread an output.
constexpr int kBlock = 256;
template <bool Pool>
__global__ void finish_slices_kernel(int slices, std::int64_t slice_stride, const float* __restrict__ partial,
                                     BlockEnd<Pool> end) {
  constexpr int kTaps = BlockEnd<Pool>::kTaps;
  const int e = static_cast<int>(blockIdx.x * kBlock + threadIdx.x);
  if (e >= end.rows / kTaps * end.columns) return;
  const int row = e / end.columns, column = e % end.columns;
  float sums[kTaps];
  SIMT_UNROLL_REGISTERS
  for (int tap = 0; tap < kTaps; ++tap) {
    const float* from = partial + (static_cast<std::int64_t>(row) * kTaps + tap) * end.columns + column;
    float sum = *from;
    for (int slice = 1; slice < slices; ++slice) sum += from[slice * slice_stride];
    sums[tap] = sum;
  }
  end.put(e, end.output(sums, end.bias_of(column)));
}
SIMT_CONTRACT(finish_slices_kernel, .sectors = 1.35, .loads = 1.5);

bool without_outputs(const ConvBlock& b) { return b.conv.n == 0 || b.out_h() == 0 || b.out_w() == 0; }

// How forward's product is cut.
struct ForwardPlan {
  int rows, depth, slice;
  int split;                  // slices over blocks, or 1
  std::size_t scratch_bytes;  // for the slices; or, where one block adds them up, for z if y has no room for it
};
ForwardPlan forward_plan(const ConvBlock& b) {
  const Conv2dShape& s = b.conv;
  const std::int64_t outputs = std::int64_t{s.n} * b.out_h() * b.out_w();
  ForwardPlan plan{};
  plan.rows = extent(outputs * (b.pool ? 4 : 1), "conv_block: output pixels");
  plan.depth = filter_size(s);
  plan.slice = slice_length(plan.depth);
  plan.split = split_slices(plan.rows, s.k, plan.depth, plan.slice, s.c % 4 == 0);
  const std::int64_t z = std::int64_t{plan.rows} * s.k;
  if (plan.split > 1) {
    plan.scratch_bytes = partial_bytes(plan.split, z);
  } else if (b.pool && plan.depth > plan.slice) {
    plan.scratch_bytes = sizeof(float) * static_cast<std::size_t>(z);
  }
  return plan;
}

// The patches of x in the order of the product's rows.
template <bool Pool, int Vector>
using BlockPatches = std::conditional_t<Pool, WindowRows<Vector>, PatchRows<Vector>>;

Patches patches_of_windows(const ConvBlock& b, const float* x) {
  Patches patches = patches_of_x(b.conv, x);
  patches.stride_h *= 2;
  patches.stride_w *= 2;
  patches.positions = b.conv.n * b.out_h() * b.out_w();
  patches.by_grid = Divisor(b.out_h() * b.out_w());
  patches.by_grid_w = Divisor(b.out_w());
  return patches;
}

template <bool Pool, int Vector>
void forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* bias, float* y,
             std::uint8_t* argmax) {
  using A = BlockPatches<Pool, Vector>;
  const int K = b.conv.k;
  const ForwardPlan plan = forward_plan(b);
  float* scratch = scratch_floats(queue, plan.scratch_bytes);
  const BlockEnd<Pool> end{.rows = plan.rows, .columns = K, .bias = bias, .relu = b.relu, .y = y, .argmax = argmax};
  Product<A, MatrixRows<Vector>, RowsInOrder, BlockEnd<Pool>> product{
      .a = A(Pool ? patches_of_windows(b, x) : patches_of_x(b.conv, x)),
      .b = {w, K, plan.depth},
      .rows = plan.rows,
      .columns = K,
      .depth = plan.depth,
      .out = Pool ? scratch : y,
      .bias = nullptr,
      .slice = plan.slice,
      .epilogue = end};
  if (plan.split > 1) {
    product.partial = scratch;
    product.partial_stride = std::int64_t{plan.rows} * K;
  }
  multiply_tiles(queue, product, plan.split);
  if (plan.split > 1) {
    const int outputs = plan.rows / BlockEnd<Pool>::kTaps * K;
    launch_flat<finish_slices_kernel<Pool>>(
        {.grid = dim3(static_cast<unsigned>(ceil_divide(outputs, kBlock))), .block = dim3(kBlock), .queue = queue},
        plan.split, product.partial_stride, scratch, end);
  }
}

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
  const std::size_t forward = without_outputs(b) ? 0 : forward_plan(b).scratch_bytes;
  return std::max(forward, dz_bytes(b) + conv2d_scratch(b.conv));
}

// w is worked on as it is.
std::size_t conv_block_packed_bytes(const ConvBlock&) { return 0; }
void conv_block_pack(Queue, const ConvBlock&, const float*, void*) {}

void conv_block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*, const float* bias,
                        float* y, std::uint8_t* argmax) {
  if (without_outputs(b)) return;
  if (!b.relu && !b.pool) return conv2d_fprop(queue, b.conv, x, w, bias, y);
  if (b.pool) {
    b.conv.c % 4 == 0 ? forward<true, 4>(queue, b, x, w, bias, y, argmax)
                      : forward<true, 1>(queue, b, x, w, bias, y, argmax);
  } else {
    b.conv.c % 4 == 0 ? forward<false, 4>(queue, b, x, w, bias, y, argmax)
                      : forward<false, 1>(queue, b, x, w, bias, y, argmax);
  }
}

void conv_block_backward(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* y,
                         const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db) {
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
  conv2d_wgrad(rest, b.conv, x, dz, dw, db);
  if (dx != nullptr) conv2d_dgrad(rest, b.conv, dz, w, dx);
}

}  // namespace gemel::GEMEL_DEVICE
