// SPDX-License-Identifier: MIT
//
// linear, rung 6: tensor cores, factors rounded to BF16 (mma.sync m16n8k16), sums in f32.
//
// Formulas, shapes, edge cases: 02_tiled.cu.
// Mapping   kernels/gemm/mma_product.cuh. 128 x 128 results a block of 8 warps (64 x 32 each), else 64 x 64 by 4 warps.
// Shared    96 KB (fprop) to 102 KB (wgrad) for 128 x 128, 48 to 54 KB for 64 x 64; three stages, of f32.
// Registers sm_80, sm_90a: 154-182 for 128 x 128, 112-158 for 64 x 64, 142-192 float by float; no spills.
// Effect    predicted: no faster than rung 4. Factors are rounded when they are read from shared memory, 48 cycles of
//           reads for 16 of the tensor core: some 330 TFLOP/s on an H100 at best, a third of BF16's 989. To gain, they
//           would have to be BF16 in shared memory. Not yet run on a GPU.
// Numerics  a product is within 2^-7 of the exact one; the slices of a sum depend on its length alone.
// Used by   the table where the queue's Math is bf16.    Tests tests/reference/linear.cpp,
//           tests/kernels/mma_rungs_test.cpp
#include "kernels/gemm/mma_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE {

template struct LinearRungOf<gemm::MmaTiles<Math::bf16>>;

}  // namespace gemel::GEMEL_DEVICE
