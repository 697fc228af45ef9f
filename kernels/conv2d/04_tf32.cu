// SPDX-License-Identifier: MIT
//
// conv2d, rung 4: implicit GEMM on tensor cores, factors rounded to TF32, sums in f32.
//
// Formulas, shapes, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue.
// Mapping   kernels/gemm/mma_product.cuh: 128 x 128 results a block, else 64 x 64, and 128 x 32 for up to 32 filters
//           (wgrad: 32 x 128); a thread's four neighbouring rows are a window of the pool. Pixels and filters whose
//           channels are multiples of 4 are copied 16 bytes at a time, others float by float; the padding is copies of
//           nothing, which leave zeros.
// Shared    as linear/04_tf32.cu.
// Registers sm_80, sm_90a: 128-200 for 128 x 128, 110-201 for 64 x 64, 102-255 float by float, 102-210 for
//           128 x 32 and 32 x 128; no spills.
// Effect    predicted: as linear/04_tf32.cu from 64 filters and 64 taps on, some 300 TFLOP/s on an H100; 20 filters
//           waste 12 columns of 32 (until the narrow tile, 44 of 64). Not yet run on a GPU.
// Numerics  a product is within 2^-10 of the exact one; where two of a window are that close, the argmax may differ.
// Used by   the tables of conv2d and conv_block where the queue's Math is tf32. Tests tests/reference/conv2d.cpp,
//           tests/reference/conv_block.cpp, tests/kernels/mma_rungs_test.cpp
#include "kernels/conv2d/rung_of.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE {

template struct Conv2dRungOf<gemm::MmaTiles<Math::tf32>>;

}  // namespace gemel::GEMEL_DEVICE
