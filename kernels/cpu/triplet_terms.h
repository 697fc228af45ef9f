// SPDX-License-Identifier: MIT
//
// The loss of triplets and its slopes, for a vector of them: what `triplet` and `mined_triplet` share. The formulas are
// in kernels/loss/triplet.cu.
#pragma once

#include "kernels/cpu/exponential.h"
#include "kernels/cpu/labelled_row.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;
using Ints = IntVec<kLanes>;

GEMEL_INLINE bool is_positive(const Row& row, int column) {
  return row.labels[column] == row.label && column != row.anchor;
}

struct Terms {
  V loss, slope;  // l(u), dl/du
  Ints active;    // where the loss is not 0
};

template <bool Squared, bool Soft>
struct Loss {
  float margin;

  GEMEL_INLINE static V metric(V d2) {
    if constexpr (Squared) return d2;
    return square_roots<kLanes>(d2);
  }

  // dD/d(d2) at distance D = metric(d2).
  GEMEL_INLINE static V metric_slope(V distance) {
    if constexpr (Squared) return broadcast(1.0f);
    return distance == V{} ? V{} : 0.5f / distance;
  }

  GEMEL_INLINE Terms operator()(V u) const {
    if constexpr (Soft) {
      const Softplus s = softplus(u);
      return {s.value, s.slope, s.value != V{}};
    } else {
      const V hinge = margin + u;
      const Ints active = ~(hinge <= V{});  // NaN is
      return {active ? hinge : V{}, active ? broadcast(1.0f) : V{}, active};
    }
  }
};

// Calls f with the Loss that the parameters name.
template <class F>
GEMEL_INLINE void with_loss(const TripletParams& params, const F& f) {
  const float margin = params.margin;
  if (params.squared) return params.soft_margin ? f(Loss<true, true>{margin}) : f(Loss<true, false>{margin});
  return params.soft_margin ? f(Loss<false, true>{margin}) : f(Loss<false, false>{margin});
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
