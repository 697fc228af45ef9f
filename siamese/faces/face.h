// SPDX-License-Identifier: MIT
//
// A face in a photograph: where it is, and the five points by which it is turned upright.
#pragma once

#include <array>

namespace gemel {

// In pixels of the photograph; the centre of its first pixel is (0, 0).
struct Point {
  double x = 0, y = 0;
};

// Edges belong to the box: width = right - left + 1. It may reach beyond the photograph.
struct Box {
  double left = 0, top = 0, right = 0, bottom = 0;
};

// Of a person facing the camera: corners of the eye on the picture's right, outer and inner; of the one on its left,
// outer and inner; the point below the nose.
using Landmarks = std::array<Point, 5>;

struct Face {
  Box box;
  double score = 0;  // of the detector; above 0
  Landmarks landmarks;
};

}  // namespace gemel
