// SPDX-License-Identifier: MIT
//
// What the rungs on tensor cores share: all but the arithmetic.
#pragma once

#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/mma_rung.h"
#include "kernels/conv2d/passes.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE {

template <Math kMath>
void Conv2dMmaRung<kMath>::block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*,
                                         const float* bias, float* y, std::uint8_t* argmax) {
  GEMEL_DEVICE::block_forward::run<gemm::MmaTiles<kMath>>(queue, b, x, w, bias, y, argmax);
}
// A block that ends with its bias: the same kernels.
template <Math kMath>
void Conv2dMmaRung<kMath>::fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias,
                                 float* y) {
  block_forward(queue, {.conv = s, .relu = false, .pool = false}, x, w, nullptr, bias, y, nullptr);
}
template <Math kMath>
void Conv2dMmaRung<kMath>::dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  conv2d_passes::Passes<gemm::MmaTiles<kMath>>::dgrad(queue, s, dy, w, dx);
}
template <Math kMath>
void Conv2dMmaRung<kMath>::wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw,
                                 float* db) {
  conv2d_passes::Passes<gemm::MmaTiles<kMath>>::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
