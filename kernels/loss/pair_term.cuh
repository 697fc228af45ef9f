// SPDX-License-Identifier: MIT
//
// The contrastive loss of one pair and its slope: what contrastive and contrastive_all share. contrastive.cu has the
// formulas. NaN does not read as "beyond the margin".
#pragma once

#include <cmath>

#include "kernels/kernels.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

struct PairTerm {
  float loss;
  float slope;  // dloss/da = slope (a - b), dloss/db = -slope (a - b)
};

template <Contrastive kVariant>
__device__ __forceinline__ PairTerm pair_term(bool similar, float margin, float d2, float d) {
  if (similar) return {0.5f * d2, 1.0f};
  if constexpr (kVariant == Contrastive::hadsell) {
    const float hinge = margin - d <= 0 ? 0.0f : margin - d;
    return {0.5f * hinge * hinge, d == 0 ? 0.0f : -hinge / d};
  } else {
    const bool beyond = d2 >= margin;
    return {beyond ? 0.0f : 0.5f * (margin - d2), beyond ? 0.0f : -1.0f};
  }
}

}  // namespace gemel::GEMEL_DEVICE
