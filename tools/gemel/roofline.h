// SPDX-License-Identifier: MIT
//
// The roofline (Williams, Waterman, Patterson 2009) as a picture: operations a second over operations a byte, both
// logarithmic, under what memory and arithmetic allow.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gemel::cli {

struct RooflinePoint {
  double intensity;   // FLOP a byte
  double flops;       // a second
  std::string color;  // of CSS
  std::string label;  // beside the point; may be empty
  std::string title;  // shown under the pointer; may be empty
  double below = 4;   // pixels from the point down to its label
};

struct Roofline {
  double flops, bytes;  // at most, a second
  std::vector<RooflinePoint> points;
  std::vector<std::pair<std::string, std::string>> legend;  // name, color
};

// SVG. Points outside of the picture, which shows intensities from 0.01 to 1000, stand at its edge.
std::string roofline_picture(const Roofline& roofline);

}  // namespace gemel::cli
