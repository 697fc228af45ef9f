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
#include "kernels/conv2d/mma_rung.cuh"

namespace gemel::GEMEL_DEVICE {

template struct Conv2dMmaRung<Math::bf16>;

}  // namespace gemel::GEMEL_DEVICE
