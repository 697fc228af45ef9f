// SPDX-License-Identifier: MIT
//
// image_to_float for the CPU. An item is one image. Traffic: 5 bytes an element. Replaces the executor's flat loop: 256
// images of 28x28 take 0.03 ms instead of 0.04 (Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
#include "kernels/cpu/image.h"

#include "kernels/cpu/parallel.h"

namespace gemel::GEMEL_DEVICE {

void image_to_float(Queue, const ImageShape& shape, const std::uint8_t* images, const std::int32_t* index,
                    const std::int32_t* cursor, float* y) {
  const Normalization norm(shape);
  const int pixels = shape.h * shape.w;
  const std::size_t elements = static_cast<std::size_t>(pixels) * shape.c;
  const std::int64_t first = cursor == nullptr ? 0 : std::int64_t{*cursor} * shape.n;
  with_channels("image_to_float", shape.c, [&](auto channels) {
    parallel(shape.n, [&](std::int64_t i, int) {
      const std::uint8_t* from = images + elements * static_cast<std::size_t>(index == nullptr ? i : index[first + i]);
      normalize_pixels<decltype(channels)::kCount>(from, pixels, norm, y + elements * static_cast<std::size_t>(i));
    });
  });
}

}  // namespace gemel::GEMEL_DEVICE
