// SPDX-License-Identifier: MIT
#pragma once
#include <span>
#include <string>
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
namespace gemel {
struct Annotation { Box box; Landmarks landmarks; std::string text; };
Image annotate(const Image& rgb, std::span<const Annotation> faces);
}
