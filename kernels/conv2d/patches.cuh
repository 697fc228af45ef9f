// SPDX-License-Identifier: MIT
//
// The patches that a convolution multiplies, as an operand of the tiled product (kernels/gemm/operands.cuh).
#pragma once

#include <cstdint>

#include "kernels/gemm/tile_product.cuh"
#include "kernels/kernels.h"

namespace gemel::GEMEL_DEVICE::gemm {

inline int positions(const Conv2dShape& s) {
  return extent(std::int64_t{s.n} * s.p() * s.q(), "conv2d: output pixels");
}
inline int filter_size(const Conv2dShape& s) {
  return extent(std::int64_t{s.r} * s.s * s.c, "conv2d: weights of a filter");
}

// The patches of x, one for each output pixel: what fprop and wgrad gather.
template <class Element>
PatchesOf<Element> patches_of_x(const Conv2dShape& s, const Element* x) {
  return {.image = x,
          .h = s.h,
          .w = s.w,
          .c = s.c,
          .image_size = extent(std::int64_t{s.h} * s.w * s.c, "conv2d: floats of an image"),
          .stride_h = s.stride_h,
          .stride_w = s.stride_w,
          .first_h = -s.pad_h,
          .first_w = -s.pad_w,
          .step = 1,
          .positions = positions(s),
          .taps = filter_size(s),
          .by_grid = Divisor(s.p() * s.q()),
          .by_grid_w = Divisor(s.q()),
          .by_channels = Divisor(s.c),
          .by_taps_w = Divisor(s.s)};
}

}  // namespace gemel::GEMEL_DEVICE::gemm
