// SPDX-License-Identifier: MIT
//
// A picture and smaller and smaller copies of it, each 5/6 of the one before, laid out on one canvas so that a network
// sees all of them in one pass. Sizes, places and the way back to the picture are dlib's (compute_tiled_image_pyramid_details
// and pyramid_down<6> in dlib/image_transforms/image_pyramid.h; dlib/dnn/input.h): the published detector was trained on
// such canvases, and near the edge of a level it sees the neighbouring one.
#pragma once

#include <vector>

#include "siamese/faces/face.h"

namespace gemel {

struct PyramidLevel {
  int height, width;
  int top, left;   // on the canvas
  int reductions;  // of the picture
};

struct Canvas {
  int height = 0, width = 0;
  std::vector<PyramidLevel> levels;  // each made from the one before

  // The level that a place is in or, outside of all, nearest to; of several the largest.
  const PyramidLevel& level_at(Point place) const;
};

// Sizes of the levels of a picture of height x width, `reductions` from 0 on, until one would be empty or less than five
// rows high.
std::vector<PyramidLevel> pyramid_levels(int height, int width);

// Lays out levels of which the first is the largest. Small ones that would meet the first are left out.
Canvas lay_out(std::vector<PyramidLevel> levels);

// A place on the canvas as one of the picture that the pyramid was made of: by dlib's rule, p -> 1.2 p + 0.3 a reduction.
Point to_picture(const PyramidLevel& level, Point on_canvas);

}  // namespace gemel
