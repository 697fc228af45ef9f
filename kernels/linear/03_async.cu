// SPDX-License-Identifier: MIT
//
// HEADER
#include "kernels/gemm/tile_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE::linear_async {

using Passes = linear_passes::Passes<gemm::RegisterTiles<gemm::Staging::async>>;

void fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const void*, const float* bias,
           float* y) {
  Passes::fprop(queue, s, x, w, bias, y);
}
void dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  Passes::dgrad(queue, s, dy, w, dx);
}
void wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw, float* db) {
  Passes::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE::linear_async
