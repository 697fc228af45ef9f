// SPDX-License-Identifier: MIT
//
// What the folder loader needs of pictures besides read_image and resize (siamese/dataset.h).
#pragma once

#include <filesystem>

#include "siamese/dataset.h"

namespace gemel {

// Width, height and channels (1 or 3, alpha not counted) by the file's header, nothing decoded; `pixels` stays empty.
// Throws InputError as read_image does.
Image read_image_header(const std::filesystem::path& file);

// To 1 (luma) or 3 channels; 0 keeps them.
Image to_channels(Image image, int channels);

// Whether the name ends like a picture that read_image can decode; letter case is ignored.
bool has_image_ending(const std::filesystem::path& file);

}  // namespace gemel
