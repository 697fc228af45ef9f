// SPDX-License-Identifier: MIT
//
// A photograph in device memory: detector, landmarks and chips read the same copy.
#pragma once

#include <cstdint>

#include "engine/buffer.h"
#include "siamese/dataset.h"

namespace gemel {

struct DevicePicture {
  int height = 0, width = 0, channels = 0;
  Buffer pixels;  // (H,W,C), bytes; none of an empty picture

  // Copies, and waits.
  DevicePicture(Device& device, const Image& image)
      : height(image.height), width(image.width), channels(image.channels) {
    if (image.pixels.empty()) return;
    pixels = Buffer(device, image.pixels.size());
    Stream stream = device.make_stream();
    device.upload(stream, pixels.data(), image.pixels.data(), pixels.bytes());
    stream.synchronize();
  }
  const std::uint8_t* bytes() const { return static_cast<const std::uint8_t*>(pixels.data()); }
};

}  // namespace gemel
