// SPDX-License-Identifier: MIT
//
// What the sources that read bytes of pictures share: y = byte scale[c] + offset[c], scale = 1 / (255 deviation),
// offset = -mean / deviation, and the number of channels as a compile-time constant.
#pragma once

#include "kernels/cpu/checks.h"
#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Normalization {
  float scale[4] = {}, offset[4] = {};
  explicit Normalization(const ImageShape& shape) {
    for (int c = 0; c < min(shape.c, 4); ++c) {
      scale[c] = static_cast<float>(1.0 / (255.0 * shape.deviation[c]));
      offset[c] = static_cast<float>(-double{shape.mean[c]} / shape.deviation[c]);
    }
  }
};

template <int Channels>
void normalize_pixels(const std::uint8_t* __restrict from, int pixels, const Normalization& norm, float* __restrict y) {
  for (int i = 0; i < pixels; ++i) {
    for (int c = 0; c < Channels; ++c) {
      y[i * Channels + c] = static_cast<float>(from[i * Channels + c]) * norm.scale[c] + norm.offset[c];
    }
  }
}

template <int Channels>
struct ChannelCount {
  static constexpr int kCount = Channels;
};

// Calls f(ChannelCount<c>{}); throws LaunchError unless c is 1 to 4.
template <class F>
GEMEL_INLINE void with_channels(const char* entry, int c, const F& f) {
  if (c == 1) return f(ChannelCount<1>{});
  if (c == 2) return f(ChannelCount<2>{});
  if (c == 3) return f(ChannelCount<3>{});
  if (c == 4) return f(ChannelCount<4>{});
  throw_launch_error(entry, "images have 1 to 4 channels");
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
