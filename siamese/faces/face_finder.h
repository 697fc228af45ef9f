// SPDX-License-Identifier: MIT
//
// FaceFinder: a photograph -> its faces, each as an upright chip of the size that the embedding network takes.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "siamese/dataset.h"
#include "siamese/faces/chip.h"
#include "siamese/faces/detector.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"
#include "siamese/faces/landmark_finder.h"

namespace gemel {

struct FoundFace {
  Face face;
  Image chip;  // (size,size,3)
};

class FaceFinder {
 public:
  // `size`: of the chips, in pixels. Throws InputError where the model's landmarks are not five.
  FaceFinder(const FaceModel& model, Device& device, int size);

  // The faces of at least `min_face` pixels in an RGB or grey picture, the largest box first. Finding smaller ones than
  // the detector's window (DetectorModel) takes the longer, the smaller they are. Waits.
  std::vector<FoundFace> find(const Image& picture, int min_face);
  int window() const { return window_; }  // smallest face that the picture is not enlarged for

 private:
  FaceDetector detector_;
  LandmarkFinder landmarks_;
  ChipCutter cutter_;
  int window_, size_;
};

// A folder with one sub-folder a person, of photographs, as a data set of chips: the largest face of each picture.
// Pictures without a face are left out; `on_picture`, if given, is told of each picture how many faces it has. Throws
// InputError as load_dataset, and where fewer than two people are left.
Dataset load_face_dataset(const std::string& folder, FaceFinder& finder, int min_face, int limit = 0,
                          const std::function<void(const std::string& file, int faces)>& on_picture = {});

}  // namespace gemel
