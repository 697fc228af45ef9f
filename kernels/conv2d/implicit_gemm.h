// SPDX-License-Identifier: MIT
//
// Rung 2 of the convolution (02_implicit_gemm.cu, conv_block.cu), to which others leave what they do not serve.
#pragma once

#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE::conv2d_implicit_gemm {

Entry<&Kernels::conv2d_fprop> fprop;
Entry<&Kernels::conv2d_dgrad> dgrad;
Entry<&Kernels::conv2d_wgrad> wgrad;
Entry<&Kernels::conv_block_forward> block_forward;

}  // namespace gemel::GEMEL_DEVICE::conv2d_implicit_gemm

namespace gemel::GEMEL_DEVICE {

// conv_block_backward by these passes, dz being written out between.
void block_backward_by_passes(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* y,
                              const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db,
                              decltype(Kernels::conv2d_wgrad) wgrad, decltype(Kernels::conv2d_dgrad) dgrad);

}  // namespace gemel::GEMEL_DEVICE
