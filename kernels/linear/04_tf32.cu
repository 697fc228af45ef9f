// SPDX-License-Identifier: MIT
//
// linear, rung 4: tensor cores, factors rounded to TF32 (mma.sync m16n8k8), sums in f32.
//
// Formulas, shapes, edge cases: 02_tiled.cu.
// Mapping   kernels/gemm/mma_product.cuh. 128 x 128 results a block of 8 warps (64 x 32 each) where these fill the
//           device, else 64 x 64 by 4 warps (32 x 32 each), as for rows that are no multiple of 4; 128 x 32 for up to 32
//           columns, 32 x 128 for up to 32 rows of dw.
// Shared    96 KB (fprop) to 102 KB (wgrad) for 128 x 128, 48 to 54 KB for 64 x 64; three stages.
// Registers sm_80, sm_90a: 128-163 for 128 x 128, 100-132 for 64 x 64, 127-191 float by float, 110-135 for
//           128 x 32 and 32 x 128; no spills.
// Effect    a warp reads 3 KB of shared memory for 2*64*32*8 FLOPs: 24 cycles, where the tensor core needs 16.
//           Predicted: at most 62 % of the 495 TFLOP/s of an H100, which is also where mma.sync ends there. Not yet run
//           on a GPU.
// Numerics  a product is within 2^-10 of the exact one; the slices of a sum depend on its length alone.
// Used by   the table where the queue's Math is tf32.    Tests tests/reference/linear.cpp,
//           tests/kernels/mma_rungs_test.cpp
#include "kernels/gemm/mma_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE {

template struct LinearRungOf<gemm::MmaTiles<Math::tf32>>;

}  // namespace gemel::GEMEL_DEVICE
