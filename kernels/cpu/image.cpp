// SPDX-License-Identifier: MIT
//
// image_to_float for the CPU: y = byte scale[c] + offset[c], scale = 1 / (255 deviation), offset = -mean / deviation.
// An item is one image. Traffic: 5 bytes an element. Replaces the executor's flat loop: 256 images of 28x28 take 0.03
// ms instead of 0.04 (Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
#include "kernels/cpu/checks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Normalization {
  float scale[4], offset[4];
};

template <int Channels>
void convert(const std::uint8_t* __restrict from, int pixels, const Normalization& norm, float* __restrict y) {
  for (int i = 0; i < pixels; ++i) {
    for (int c = 0; c < Channels; ++c) {
      y[i * Channels + c] = static_cast<float>(from[i * Channels + c]) * norm.scale[c] + norm.offset[c];
    }
  }
}

}  // namespace

void image_to_float(Queue, const ImageShape& shape, const std::uint8_t* images, const std::int32_t* index,
                    const std::int32_t* cursor, float* y) {
  if (shape.c < 1 || shape.c > 4) throw_launch_error("image_to_float", "images have 1 to 4 channels");
  Normalization norm{};
  for (int c = 0; c < shape.c; ++c) {
    norm.scale[c] = static_cast<float>(1.0 / (255.0 * shape.deviation[c]));
    norm.offset[c] = static_cast<float>(-double{shape.mean[c]} / shape.deviation[c]);
  }
  const int pixels = shape.h * shape.w;
  const std::size_t elements = static_cast<std::size_t>(pixels) * shape.c;
  const std::int64_t first = cursor == nullptr ? 0 : std::int64_t{*cursor} * shape.n;
  parallel(shape.n, [&](std::int64_t i, int) {
    const std::uint8_t* from = images + elements * static_cast<std::size_t>(index == nullptr ? i : index[first + i]);
    float* to = y + elements * static_cast<std::size_t>(i);
    switch (shape.c) {
      case 1:
        return convert<1>(from, pixels, norm, to);
      case 2:
        return convert<2>(from, pixels, norm, to);
      case 3:
        return convert<3>(from, pixels, norm, to);
      default:
        return convert<4>(from, pixels, norm, to);
    }
  });
}

}  // namespace gemel::GEMEL_DEVICE
