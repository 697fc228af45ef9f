// SPDX-License-Identifier: MIT
//
// LandmarkFinder: the five points of faces whose boxes are known.
#pragma once

#include <span>
#include <vector>

#include "engine/buffer.h"
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"

namespace gemel {

class LandmarkFinder {
 public:
  // Uploads the cascade. Throws InputError unless it is one of five points.
  LandmarkFinder(const LandmarkModel& model, Device& device);
  // Of each box in an RGB or grey picture, on whole pixels, as the published models were trained and are used. Waits.
  std::vector<Landmarks> find(const Image& picture, std::span<const Box> boxes);

 private:
  Device& device_;
  Stream stream_;
  Buffer mean_shape_, anchors_, offsets_, pairs_, thresholds_, leaves_;
  Cascade cascade_;
};

}  // namespace gemel
