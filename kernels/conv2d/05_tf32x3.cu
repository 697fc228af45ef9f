// SPDX-License-Identifier: MIT
//
// conv2d, rung 5: implicit GEMM on tensor cores, with f32's accuracy: three products of TF32 for one.
//
// Formulas, shapes, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue.
// Mapping   kernels/gemm/mma_product.cuh: 128 x 64 results a block, else 64 x 64, and 128 x 32 for up to 32 filters
//           (wgrad: 32 x 128); a thread's four neighbouring rows are a window of the pool. Pixels and filters whose
//           channels are multiples of 4 are copied 16 bytes at a time, others float by float; the padding is copies of
//           nothing, which leave zeros.
// Shared    as linear/05_tf32x3.cu.
// Registers sm_80, sm_90a: 136-191 for 128 x 64, 135-193 for 64 x 64, 135-248 float by float, 136-204 for
//           128 x 32 and 32 x 128; no spills.
// Effect    predicted: 100 TFLOP/s on an H100 from 64 filters and 64 taps on, twice what fp32 reaches. Not yet run on a
//           GPU.
// Numerics  as linear/05_tf32x3.cu.
// Used by   the tables of conv2d and conv_block where the queue's Math is tf32x3. Tests tests/reference/conv2d.cpp,
//           tests/reference/conv_block.cpp, tests/kernels/mma_rungs_test.cpp
#include "kernels/conv2d/rung_of.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE {

template struct Conv2dRungOf<gemm::MmaTiles<Math::tf32x3>>;

}  // namespace gemel::GEMEL_DEVICE
