// SPDX-License-Identifier: MIT
//
// linear, rung 5: f32's accuracy from tensor cores. Each factor is a sum of two TF32, and three of the four products of
// these are summed (3xTF32).
//
// Formulas, shapes, edge cases: 02_tiled.cu.
// Mapping   kernels/gemm/mma_product.cuh. 128 x 64 results a block of 8 warps, else 64 x 64 by 4 warps; 32 x 32 a warp,
//           which leaves registers for the sums of a stage; 128 x 32 and 32 x 128 as rung 4.
// Shared    72 KB (fprop) to 78 KB (wgrad) for 128 x 64, 48 to 54 KB for 64 x 64; three stages.
// Registers sm_80, sm_90a: 134-149 for 128 x 64, 133-150 for 64 x 64, 123-180 float by float, 134-155 for
//           128 x 32 and 32 x 128; no spills.
// Effect    predicted: a third of rung 4's limit, 100 TFLOP/s on an H100, where cuBLAS has 47-50 in fp32. Not yet run
//           on a GPU.
// Numerics  the error against double is at most twice that of rung 2 (a test). 32 depths are summed in the tensor core,
//           these sums in f32 registers. An infinite factor gives NaN.
// Used by   the table where the queue's Math is tf32x3.    Tests tests/reference/linear.cpp,
//           tests/kernels/mma_rungs_test.cpp
#include "kernels/gemm/mma_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE {

template struct LinearRungOf<gemm::MmaTiles<Math::tf32x3>>;

}  // namespace gemel::GEMEL_DEVICE
