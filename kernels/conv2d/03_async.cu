// SPDX-License-Identifier: MIT
//
// conv2d, rung 3: the tiles of rung 2, filled by asynchronous copies (cp.async). Factors go from global to shared memory
// without passing through registers, while the stage before is multiplied.
//
// Formulas, shapes, traffic, numerics, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool
// in the epilogue; the same bits.
// Mapping   kernels/gemm/tile_product.cuh, Staging::async. Factors that are contiguous along the lane (wgrad both, dgrad w)
//           are copied 16 bytes at a time where channels are multiples of 4, patches along the depth float by float, for
//           cp.async cannot transpose; the padding is copies of nothing, which leave zeros.
// Shared    33 KB a block of 128 x 128 results (two stages), 17 KB for 64 x 64.
// Registers sm_80, sm_90a: 125-145 for 128 x 128, 112-183 for 128 x 32, 91-127 for 64 x 64; no spills.
// Effect    predicted: wgrad gains as linear/03_async.cu does; fprop and dgrad start four copies for each float4 of rung 2,
//           and gain less. Not yet run on a GPU.
// Used by   the ladder (kernels/conv2d/rungs.h).    Tests tests/reference/conv2d.cpp, tests/reference/conv_block.cpp,
//           tests/kernels/mma_rungs_test.cpp
#include "kernels/conv2d/rung_of.cuh"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {

template struct Conv2dRungOf<gemm::RegisterTiles<gemm::Staging::async>>;

}  // namespace gemel::GEMEL_DEVICE
