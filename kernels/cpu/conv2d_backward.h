// SPDX-License-Identifier: MIT
//
// The backward passes that conv_block_backward chooses from. Each reads dz through a BlockGradient; scratch is the
// queue's. n > 0.
#pragma once

#include "kernels/cpu/block_gradient.h"

namespace gemel::GEMEL_DEVICE {

// dx, from every number of dz.
std::size_t dense_dgrad_scratch(const ConvBlock&);
void dense_dgrad(const Queue&, const ConvBlock&, const float* y, const std::uint8_t* argmax, const float* dy,
                 const float* w, float* dx);

// dw and, if it is not null, db, from every number of dz.
std::size_t dense_wgrad_scratch(const ConvBlock&);
void dense_wgrad(const Queue&, const ConvBlock&, const float* x, const float* y, const std::uint8_t* argmax,
                 const float* dy, float* dw, float* db);

}  // namespace gemel::GEMEL_DEVICE
