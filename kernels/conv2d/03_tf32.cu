// SPDX-License-Identifier: MIT
//
// HEADER
#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/passes.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE::conv2d_tf32 {

using Tiles = gemm::MmaTiles<Math::tf32>;
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

}  // namespace gemel::GEMEL_DEVICE::conv2d_tf32
