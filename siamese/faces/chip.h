// SPDX-License-Identifier: MIT
//
// Chips: faces cut out of a photograph, upright and of one size, as an embedding network takes them.
#pragma once

#include <array>
#include <span>
#include <vector>

#include "engine/buffer.h"
#include "siamese/dataset.h"
#include "siamese/faces/face.h"

namespace gemel {

// A similarity: (x, y) -> (a x - b y + tx, b x + a y + ty).
struct SimilarityMap {
  double a = 1, b = 0, tx = 0, ty = 0;
  Point operator()(Point p) const { return {a * p.x - b * p.y + tx, b * p.x + a * p.y + ty}; }
  double scale() const;
};

// The one that takes `from` to `to` best, by least squares (Umeyama 1991, eqs. 40 to 43, without mirroring). All points
// of `from` equal: a shift.
SimilarityMap fit_similarity(std::span<const Point> from, std::span<const Point> to);

// From a chip's pixels to the photograph's, for a chip of size x size pixels in which an upright face's landmarks are
// where the published embedding network has learnt them, with a quarter of the face's size around it.
SimilarityMap chip_to_picture(const Landmarks& landmarks, int size);

class ChipCutter {
 public:
  explicit ChipCutter(Device& device) : device_(device), stream_(device.make_stream()) {}
  // The chips (size,size,C) of the faces in a picture, bilinear; what lies outside of the picture is 0. Faces much larger
  // than a chip are read from a half-size copy of their surroundings, or a half-size copy of that, so that no detail is
  // skipped. Waits.
  std::vector<Image> cut(const Image& picture, std::span<const Landmarks> faces, int size);

 private:
  Image cut(const Buffer& picture, int height, int width, int channels, const SimilarityMap& map, int size);

  Device& device_;
  Stream stream_;
};

}  // namespace gemel
