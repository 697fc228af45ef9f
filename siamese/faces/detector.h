// SPDX-License-Identifier: MIT
#pragma once
#include <memory>
#include <vector>
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"
#include "engine/device.h"
namespace gemel {
struct Detection { Box box; double score; };
class FaceDetector { public: FaceDetector(const DetectorModel& model, Device& device);
  std::vector<Detection> detect(const Image& picture, int min_face = 80); };
}
