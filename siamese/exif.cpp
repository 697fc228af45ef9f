// SPDX-License-Identifier: MIT
//
// libexif finds the tag; the rest is a permutation of pixels.
#include "siamese/exif.h"

#include <libexif/exif-data.h>

#include <algorithm>
#include <limits>
#include <memory>

namespace gemel {

int exif_orientation(std::span<const std::uint8_t> file) {
  const auto size = std::min<std::size_t>(file.size(), std::numeric_limits<unsigned>::max());
  const std::unique_ptr<ExifData, void (*)(ExifData*)> data(
      exif_data_new_from_data(file.data(), static_cast<unsigned>(size)), exif_data_unref);
  if (!data) return 1;
  const ExifEntry* entry = exif_content_get_entry(data->ifd[EXIF_IFD_0], EXIF_TAG_ORIENTATION);
  if (entry == nullptr || entry->format != EXIF_FORMAT_SHORT || entry->components < 1 || entry->size < 2) return 1;
  const int orientation = exif_get_short(entry->data, exif_data_get_byte_order(data.get()));
  return orientation >= 1 && orientation <= 8 ? orientation : 1;
}

Image upright(const Image& image, int orientation) {
  if (orientation <= 1) return image;
  const int h = image.height, w = image.width;
  const bool transposed = orientation >= 5;
  Image result{transposed ? w : h, transposed ? h : w, image.channels, {}};
  result.pixels.resize(image.pixels.size());
  // Where row y and column x of the result are stored. `down` and `right` count along the stored sides.
  const bool from_bottom = orientation == 3 || orientation == 4 || orientation == 6 || orientation == 7;
  const bool from_right = orientation == 2 || orientation == 3 || orientation == 7 || orientation == 8;
  const auto channels = static_cast<std::size_t>(image.channels);
  std::uint8_t* to = result.pixels.data();
  for (int y = 0; y < result.height; ++y) {
    for (int x = 0; x < result.width; ++x, to += channels) {
      const int down = transposed ? x : y, right = transposed ? y : x;
      const int row = from_bottom ? h - 1 - down : down, column = from_right ? w - 1 - right : right;
      std::copy_n(&image.pixels[(static_cast<std::size_t>(row) * w + column) * channels], channels, to);
    }
  }
  return result;
}

}  // namespace gemel
