// SPDX-License-Identifier: MIT
//
// Which way up a camera was held, as it wrote into the picture's EXIF data.
#pragma once

#include <cstdint>
#include <span>

#include "siamese/dataset.h"

namespace gemel {

// 1 to 8 (EXIF 2.32, tag 0x0112: where the stored picture's first row and column belong); 1, as it is, where a file's
// bytes have no such tag or nothing sensible in it.
int exif_orientation(std::span<const std::uint8_t> file);

// The picture as it was seen; from 5 on height and width change places.
Image upright(const Image& image, int orientation);

}  // namespace gemel
