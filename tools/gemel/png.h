// SPDX-License-Identifier: MIT
//
// Pictures as PNG: the bytes of a file, or a data URI for a page that holds its pictures itself.
#pragma once

#include <cstdint>
#include <span>
#include <string>

namespace gemel::cli {

// pixels (H,W,C) row-major; C 1 (grey) or 3 (RGB).
std::string png(std::span<const std::uint8_t> pixels, int height, int width, int channels);

std::string base64(const std::string& bytes);

// "data:image/png;base64,..."
std::string png_uri(std::span<const std::uint8_t> pixels, int height, int width, int channels);

}  // namespace gemel::cli
