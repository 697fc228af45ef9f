// SPDX-License-Identifier: MIT
//
// linear, rung 3: the tiles of rung 2, filled by asynchronous copies (cp.async). Factors go from global to shared
// memory without passing through registers, while the stage before is multiplied.
//
// Formulas, shapes, traffic, numerics, edge cases: 02_tiled.cu; the same bits.
// Mapping   kernels/gemm/tile_product.cuh, Staging::async. Factors that are contiguous along the lane (wgrad both,
//           dgrad w) are copied 16 bytes at a time where rows are multiples of 4, those along the depth float by float,
//           for cp.async cannot transpose.
// Shared    33 KB a block of 128 x 128 results (two stages), 17 KB for 64 x 64.
// Registers sm_80, sm_90a: 122-128 for 128 x 128, 110-138 for 128 x 32, 89-95 for 64 x 64; no spills.
// Effect    predicted: 90-95 % of cuBLAS's 47-50 TFLOP/s in fp32 on an H100 for 4096 in every direction, where register
//           staging stays near 80 %. Not yet run on a GPU.
// Used by   the ladder (kernels/linear/rungs.h).    Tests tests/reference/linear.cpp, tests/kernels/mma_rungs_test.cpp
#include "kernels/gemm/tile_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE {

template struct LinearRungOf<gemm::RegisterTiles<gemm::Staging::async>>;

}  // namespace gemel::GEMEL_DEVICE
