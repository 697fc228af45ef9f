// SPDX-License-Identifier: MIT
//
// The loss of one triplet and its slopes: what `triplet` and `mined_triplet` share. triplet.cu has the formulas.
#pragma once

#include <cmath>

#include "kernels/loss/logistic.cuh"
#include "kernels/shapes.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

__device__ __forceinline__ float metric(const TripletParams& params, float d2) {
  return params.squared ? d2 : sqrtf(d2);
}

// dD/d(d2) at D = `distance`.
__device__ __forceinline__ float metric_slope(const TripletParams& params, float distance) {
  if (params.squared) return 1.0f;
  return distance == 0 ? 0.0f : 0.5f / distance;
}

__device__ __forceinline__ float triplet_loss(const TripletParams& params, float u) {
  if (params.soft_margin) return softplus(u);
  return params.margin + u <= 0 ? 0.0f : params.margin + u;
}

__device__ __forceinline__ float loss_slope(const TripletParams& params, float u) {
  if (params.soft_margin) return logistic(u);
  return params.margin + u <= 0 ? 0.0f : 1.0f;
}

}  // namespace gemel::GEMEL_DEVICE
