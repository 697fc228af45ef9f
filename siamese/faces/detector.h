// SPDX-License-Identifier: MIT
//
// FaceDetector: where the faces of a photograph are. A sliding-window network (DetectorModel) looks at smaller and smaller
// copies of the picture, each 5/6 of the one before.
#pragma once

#include <memory>
#include <vector>

#include "layers/network.h"
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"

namespace gemel {

struct Detection {
  Box box;  // on whole pixels
  double score;
};

// What a fully convolutional network does to places: output o looks at the input about scale * o + offset, and padding
// with zeros reaches `margin` outputs far from an edge.
struct OutputGeometry {
  int scale = 1, offset = 0, margin = 0;
};

class FaceDetector {
 public:
  // Throws InputError where the network is not convolutional throughout, or has other parameters than the model.
  FaceDetector(const DetectorModel& model, Device& device);

  // RGB or grey picture; faces of `min_face` pixels or more, the best score first, after non-maximum suppression. For
  // faces smaller than the window the picture is enlarged. Memory for what the network works on does not grow with the
  // picture. Waits. Throws InputError where the enlarged picture would have more than 64 megapixels.
  std::vector<Detection> detect(const Image& picture, int min_face = 80);

 private:
  struct Level {
    int height, width;
    int top = 0, left = 0;  // on the canvas
    Buffer pixels;
  };
  struct Tile;  // a network planned for one size

  Image enlarged(const Image& rgb, int min_face) const;
  void build_levels(const Image& rgb, int min_face);
  void arrange();
  void scan(std::vector<Detection>& found);
  void collect(const std::vector<float>& scores, int row, int column, int first_row, int last_row, int first_column,
               int last_column, std::vector<Detection>& found) const;
  Detection at(int row, int column, float score) const;

  const DetectorModel model_;
  Device& device_;
  Stream stream_;
  OutputGeometry geometry_;
  ImageShape normalization_;  // mean and deviation
  std::vector<Level> levels_;
  int skipped_ = 0;  // levels above levels_.front()
  int canvas_height_ = 0, canvas_width_ = 0;
  std::shared_ptr<Tile> tile_;
};

// Greedy: a detection goes if one with a higher score is of the same face by DetectorModel's rule. The best score first.
std::vector<Detection> suppress(std::vector<Detection> found, double iou, double covered);

}  // namespace gemel
