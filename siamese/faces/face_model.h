// SPDX-License-Identifier: MIT
//
// FaceModel: what finds faces and their landmarks, as numbers: the part of a model file that stands before the embedding
// network. Its tensors' names and metadata keys begin with "faces." (kFacesPrefix).
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/checkpoint.h"

namespace gemel {

inline constexpr const char* kFacesPrefix = "faces.";

// A sliding-window detector (King 2015, "Max-margin object detection"): a fully convolutional network, image (H,W,3) ->
// scores (P,Q,1). A score above 0 is a face in a window of window_width x window_height pixels about that place.
struct DetectorModel {
  std::string network;                                   // text; its input size is of no matter
  std::map<std::string, TensorFile::Tensor> parameters;  // by the network's names
  std::vector<float> mean, deviation;                    // per channel, of pixels / 255
  int window_width = 0, window_height = 0;
  // Two windows are of one face, and the one with the lower score goes, if their intersection is more than
  // `iou` of the smallest box around both or more than `covered` of either.
  double iou = 0, covered = 0;
};

// A cascade of regression trees (Kazemi, Sullivan 2014, sec. 2). Each stage samples grey values at `features` places,
// given relative to landmarks of the mean shape, and sends them through `trees` complete binary trees of `depth` splits;
// the leaves' offsets are added to the shape. Shapes are in units of the face's box: (0,0) its left top, (1,1) its right
// bottom corner.
struct LandmarkModel {
  int points = 0, stages = 0, trees = 0, depth = 0, features = 0;
  std::vector<float> mean_shape;      // (points, 2): x, y
  std::vector<std::int32_t> anchors;  // (stages, features): the landmark nearest to the place
  std::vector<float> offsets;         // (stages, features, 2): from there, in the mean shape's frame
  std::vector<std::int32_t> pairs;    // (stages, trees, 2^depth - 1, 2): two places; nodes in breadth-first order
  std::vector<float> thresholds;      // (stages, trees, 2^depth - 1): left child if value[0] - value[1] > threshold
  std::vector<float> leaves;          // (stages, trees, 2^depth, points, 2)
};

struct FaceModel {
  DetectorModel detector;
  LandmarkModel landmarks;

  // Throws InputError naming the file: a part that is missing, counts that do not fit, indices out of range.
  static FaceModel from(const TensorFile& content, const std::string& file);
  void add_to(TensorFile& content) const;
};

}  // namespace gemel
