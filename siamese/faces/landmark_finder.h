// SPDX-License-Identifier: MIT
#pragma once
#include <span>
#include <vector>
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"
#include "engine/device.h"
namespace gemel {
class LandmarkFinder { public: LandmarkFinder(const LandmarkModel& model, Device& device);
  std::vector<Landmarks> find(const Image& picture, std::span<const Box> boxes); };
}
