// SPDX-License-Identifier: MIT
//
// What the convolution's sources share: bands of rows, and the buffers their input windows are copied to.
#pragma once

#include "kernels/cpu/checks.h"
#include "kernels/cpu/implicit_gemm.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"

namespace gemel::GEMEL_DEVICE {

std::size_t conv_block_forward_scratch(const ConvBlock&);

namespace {

// As Conv2dShape::p() and q(), which must not be called here (see isa.h).
constexpr int output_rows(const Conv2dShape& s) { return (s.h + 2 * s.pad_h - s.r) / s.stride_h + 1; }
constexpr int output_columns(const Conv2dShape& s) { return (s.w + 2 * s.pad_w - s.s) / s.stride_w + 1; }

struct Bands {
  int rows = 0, count = 0;                  // rows of a full band, bands an image
  int window_rows = 0, window_columns = 0;  // input pixels that a full band reads
  bool in_place = false;                    // all windows lie inside the image: no copy
  float* buffer = nullptr;
  std::size_t slot_floats = 0;

  void take_buffers(Carver& carver, int slots, int channels) {
    if (!in_place) slot_floats = (static_cast<std::size_t>(window_rows) * window_columns * channels + 63) / 64 * 64;
    buffer = carver.take<float>(slots * slot_floats);
  }
  float* slot(int i) const { return buffer + i * slot_floats; }
};

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
