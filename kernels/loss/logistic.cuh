// SPDX-License-Identifier: MIT
//
// ln(1 + exp(u)) and its slope, without overflow or cancellation: what the logistic losses share.
#pragma once

#include <cmath>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// max(u, 0) + log1p(exp(-|u|)): 0 at -infinity. NaN stays NaN.
__device__ __forceinline__ float softplus(float u) { return (u > 0 ? u : 0.0f) + log1pf(expf(-fabsf(u))); }

// 1 / (1 + exp(-u)), the slope of softplus: exactly 0 and 1 at the infinities.
__device__ __forceinline__ float logistic(float u) { return 1.0f / (1.0f + expf(-u)); }

}  // namespace gemel::GEMEL_DEVICE
