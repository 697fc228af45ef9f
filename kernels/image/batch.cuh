// SPDX-License-Identifier: MIT
//
// What the kernels that take batches out of a data set share: which row, and the map from bytes to floats.
#pragma once

#include "kernels/kernels.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

// y = byte * scale[c] + offset[c]
struct Normalization {
  float scale[4] = {}, offset[4] = {};
  explicit Normalization(const ImageShape& shape) {
    for (int c = 0; c < shape.c && c < 4; ++c) {
      scale[c] = static_cast<float>(1.0 / (255.0 * shape.deviation[c]));
      offset[c] = static_cast<float>(-double{shape.mean[c]} / shape.deviation[c]);
    }
  }
};

// The row of the data set that is row i of the batch; index null: the same, cursor null: 0.
__device__ __forceinline__ std::size_t source_row(int n, int i, const std::int32_t* index, const std::int32_t* cursor) {
  if (index == nullptr) return i;
  const std::size_t first = cursor == nullptr ? 0 : std::size_t(*cursor) * n;
  return index[first + i];
}

}  // namespace gemel::GEMEL_DEVICE
