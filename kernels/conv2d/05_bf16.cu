// SPDX-License-Identifier: MIT
//
// conv2d, rung 5: implicit GEMM on tensor cores, factors rounded to BF16, sums in f32.
//
// Formulas, shapes, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue.
// Mapping   kernels/gemm/mma_product.cuh: 128 x 128 results a block, else 64 x 64; a thread's four neighbouring rows
//           are a window of the pool. Pixels and filters whose channels are multiples of 4 are copied 16 bytes at a
//           time, others (first layers) float by float; the padding is copies of nothing, which leave zeros.
// Shared    as linear/06_bf16.cu.
// Registers sm_80, sm_90a: 156-220 for 128 x 128, 120-194 for 64 x 64, 146-246 float by float; no spills.
// Effect    predicted: no faster than rung 3, bound by reading f32 from shared memory (linear/06_bf16.cu). Not yet run
//           on a GPU.
// Numerics  a product is within 2^-7 of the exact one; where two of a window are that close, the argmax may differ.
// Used by   the tables of conv2d and conv_block where the queue's Math is bf16. Tests tests/reference/conv2d.cpp,
//           tests/reference/conv_block.cpp, tests/kernels/mma_rungs_test.cpp
#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/passes.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE::conv2d_bf16 {

using Tiles = gemm::MmaTiles<Math::bf16>;
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

}  // namespace gemel::GEMEL_DEVICE::conv2d_bf16
