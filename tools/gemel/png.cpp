// SPDX-License-Identifier: MIT
//
// The one place where stb_image_write is compiled, with internal linkage.
#include "tools/gemel/png.h"

#include "engine/error.h"

#if defined(__GNUC__)
#pragma GCC diagnostic ignored "-Wunused-function"
#pragma GCC diagnostic ignored "-Wmissing-field-initializers"
#endif
#define STB_IMAGE_WRITE_STATIC
#define STB_IMAGE_WRITE_IMPLEMENTATION
#include <stb/stb_image_write.h>

namespace gemel::cli {

std::string png(std::span<const std::uint8_t> pixels, int height, int width, int channels) {
  std::string bytes;
  auto append = [](void* context, void* data, int size) {
    static_cast<std::string*>(context)->append(static_cast<const char*>(data), static_cast<std::size_t>(size));
  };
  if (!stbi_write_png_to_func(append, &bytes, width, height, channels, pixels.data(), width * channels)) {
    throw Error(concat("cannot encode a picture of ", height, "x", width, "x", channels, " as PNG"));
  }
  return bytes;
}

std::string base64(const std::string& bytes) {
  constexpr char kAlphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    auto byte = [&](std::size_t j) {
      return i + j < bytes.size() ? std::uint32_t{static_cast<std::uint8_t>(bytes[i + j])} : 0u;
    };
    std::uint32_t group = byte(0) << 16 | byte(1) << 8 | byte(2);
    for (std::size_t j = 0; j < 4; ++j) {
      text += i + j <= bytes.size() ? kAlphabet[group >> (18 - 6 * j) & 63] : '=';
    }
  }
  return text;
}

std::string png_uri(std::span<const std::uint8_t> pixels, int height, int width, int channels) {
  return "data:image/png;base64," + base64(png(pixels, height, width, channels));
}

}  // namespace gemel::cli
