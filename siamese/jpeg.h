// SPDX-License-Identifier: MIT
//
// JPEG files by libjpeg. Published models of photographs have learnt from its pixels; another decoder's differ by a grey
// value here and there, which can move a landmark by a pixel and a face's descriptor by 0.05.
#pragma once

#include <cstdint>
#include <span>

#include "siamese/dataset.h"

namespace gemel {

// Size and channels (grey: 1, all others: 3), without pixels. Throws Error, saying why, where the bytes hold no whole
// header.
Image jpeg_header(std::span<const std::uint8_t> file);

// The picture as it is stored, whatever EXIF data say of its orientation; CMYK comes as RGB. Throws Error, saying why, for
// what is cut short or damaged, or has so many scans that decoding it would take for ever.
Image decode_jpeg(std::span<const std::uint8_t> file);

}  // namespace gemel
