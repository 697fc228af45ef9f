// SPDX-License-Identifier: MIT
//
// A picture with what was found in it drawn on top.
#pragma once

#include <span>
#include <string>

#include "siamese/dataset.h"
#include "siamese/faces/face.h"

namespace gemel {

struct Annotation {
  Box box;
  Landmarks landmarks;
  std::string text;  // below the box, or above it where there is no room; may be empty
};

// A copy of an RGB picture with boxes, landmarks and texts, in a size that fits the picture's. What lies outside of it is
// cut off. Letters are ASCII's; others become '?'.
Image annotate(const Image& rgb, std::span<const Annotation> faces);

}  // namespace gemel
