// SPDX-License-Identifier: MIT
//
// A rung by its tiles alone.
#pragma once

#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/passes.cuh"
#include "kernels/conv2d/rung_of.h"

namespace gemel::GEMEL_DEVICE {

template <class Tiles>
void Conv2dRungOf<Tiles>::block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*,
                                        const float* bias, float* y, std::uint8_t* argmax) {
  GEMEL_DEVICE::block_forward::run<Tiles>(queue, b, x, w, bias, y, argmax);
}
// A block that ends with its bias: the same kernels.
template <class Tiles>
void Conv2dRungOf<Tiles>::fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias,
                                float* y) {
  block_forward(queue, {.conv = s, .relu = false, .pool = false}, x, w, nullptr, bias, y, nullptr);
}
template <class Tiles>
void Conv2dRungOf<Tiles>::dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  conv2d_passes::Passes<Tiles>::dgrad(queue, s, dy, w, dx);
}
template <class Tiles>
void Conv2dRungOf<Tiles>::wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw,
                                float* db) {
  conv2d_passes::Passes<Tiles>::wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
