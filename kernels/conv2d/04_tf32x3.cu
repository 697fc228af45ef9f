// SPDX-License-Identifier: MIT
//
// conv2d, rung 4: implicit GEMM on tensor cores, with f32's accuracy: three products of TF32 for one.
//
// Formulas, shapes, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue.
// Mapping   kernels/gemm/mma_product.cuh: 128 x 64 results a block, else 64 x 64; a thread's four neighbouring rows are
//           a window of the pool. Pixels and filters whose channels are multiples of 4 are copied 16 bytes at a time,
//           others (first layers) float by float; the padding is copies of nothing, which leave zeros.
// Shared    as linear/05_tf32x3.cu.
// Registers sm_80, sm_90a: 136-189 for 128 x 64, 135-191 for 64 x 64, 135-248 float by float; no spills.
// Effect    predicted: 100 TFLOP/s on an H100 from 64 filters and 64 taps on, twice what fp32 reaches. Not yet run on a
//           GPU.
// Numerics  as linear/05_tf32x3.cu.
// Used by   the tables of conv2d and conv_block where the queue's Math is tf32x3. Tests tests/reference/conv2d.cpp,
//           tests/reference/conv_block.cpp, tests/kernels/mma_rungs_test.cpp
#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/passes.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE::conv2d_tf32x3 {

using Tiles = gemm::MmaTiles<Math::tf32x3>;
using Passes = conv2d_passes::Passes<Tiles>;

void block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*, const float* bias,
                   float* y, std::uint8_t* argmax) {
  GEMEL_DEVICE::block_forward::run<Tiles>(queue, b, x, w, bias, y, argmax);
}
// A block that ends with its bias: the same kernels.
void fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  block_forward(queue, {.conv = s, .relu = false, .pool = false}, x, w, nullptr, bias, y, nullptr);
}
void dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  Passes::dgrad(queue, s, dy, w, dx);
}
void wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  Passes::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE::conv2d_tf32x3
