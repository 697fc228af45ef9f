// SPDX-License-Identifier: MIT
//
// A convolution and what ends it, whichever tiles multiply: bias, 2x2 max-pool and ReLU in the registers that hold the
// sums. conv_block.cu has formulas and shapes.
#pragma once

#include <algorithm>
#include <cstdint>
#include <type_traits>

#include "kernels/conv2d/patches.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/product.cuh"

namespace gemel::GEMEL_DEVICE::block_forward {

using namespace gemm;

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

  // Of columns n .. n + 3, as many as there are.
  __device__ __forceinline__ void biases_of(int n, float (&add)[4]) const {
    SIMT_UNROLL_REGISTERS
    for (int c = 0; c < 4; ++c) add[c] = n + c < columns ? bias_of(n + c) : 0.0f;
  }

  // Ends the outputs of columns n .. n + 3 from their taps' sums and biases; the first is element `at` of y.
  __device__ __forceinline__ void put_four(std::int64_t at, int n, const float (&sums)[kTaps][4],
                                           const float (&add)[4]) const {
    Output outputs[4];
    SIMT_UNROLL_REGISTERS
    for (int c = 0; c < 4; ++c) {
      float taps[kTaps];
      SIMT_UNROLL_REGISTERS
      for (int tap = 0; tap < kTaps; ++tap) taps[tap] = sums[tap][c];
      outputs[c] = output(taps, add[c]);
    }
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

  // The product's epilogue.
  __device__ __forceinline__ void finish(int m, int n, const float (&sums)[4][4]) const {
    float add[4];
    biases_of(n, add);
    SIMT_UNROLL_REGISTERS
    for (int first = 0; first < 4; first += kTaps) {
      if (m + first >= rows) continue;
      float taps[kTaps][4];
      SIMT_UNROLL_REGISTERS
      for (int tap = 0; tap < kTaps; ++tap) {
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) taps[tap][c] = sums[first + tap][c];
      }
      put_four(static_cast<std::int64_t>((m + first) / kTaps) * columns + n, n, taps, add);
    }
  }
};

// Adds up the slices of a product that was split, in ascending order, and ends the block. One thread an output.
inline constexpr int kBlock = 256;
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

inline bool without_outputs(const ConvBlock& b) { return b.conv.n == 0 || b.out_h() == 0 || b.out_w() == 0; }

// How forward's product is cut.
struct ForwardPlan {
  int rows, depth, slice;
  int split;                  // slices over blocks, or 1
  std::size_t scratch_bytes;  // for the slices; or, where one block adds them up, for z if y has no room for it
};
inline ForwardPlan forward_plan(const ConvBlock& b) {
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

template <class Element>
PatchesOf<Element> patches_of_windows(const ConvBlock& b, const Element* x) {
  PatchesOf<Element> patches = patches_of_x(b.conv, x);
  patches.stride_h *= 2;
  patches.stride_w *= 2;
  patches.positions = b.conv.n * b.out_h() * b.out_w();
  patches.by_grid = Divisor(b.out_h() * b.out_w());
  patches.by_grid_w = Divisor(b.out_w());
  return patches;
}

template <class Tiles, bool Pool, int Vector>
void forward(Queue queue, const ConvBlock& b, const ElementOf<Vector>* x, const ElementOf<Vector>* w, const float* bias,
             float* y, std::uint8_t* argmax) {
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
  Tiles::launch(queue, product, plan.split);
  if (plan.split > 1) {
    const int outputs = plan.rows / BlockEnd<Pool>::kTaps * K;
    launch_flat<finish_slices_kernel<Pool>>(
        {.grid = dim3(static_cast<unsigned>(ceil_divide(outputs, kBlock))), .block = dim3(kBlock), .queue = queue},
        plan.split, product.partial_stride, scratch, end);
  }
}

// The entry, but for its packed filters.
template <class Tiles>
void run(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* bias, float* y,
         std::uint8_t* argmax) {
  if (without_outputs(b)) return;
  if (b.pool) {
    b.conv.c % 4 == 0 ? forward<Tiles, true, 4>(queue, b, x, w, bias, y, argmax)
                      : forward<Tiles, true, 1>(queue, b, x, w, bias, y, argmax);
  } else {
    b.conv.c % 4 == 0 ? forward<Tiles, false, 4>(queue, b, x, w, bias, y, argmax)
                      : forward<Tiles, false, 1>(queue, b, x, w, bias, y, argmax);
  }
}

}  // namespace gemel::GEMEL_DEVICE::block_forward
