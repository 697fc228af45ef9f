// SPDX-License-Identifier: MIT
//
// FaceDetector: a photograph -> the boxes of its faces, by a sliding window over a pyramid of the picture (King 2015,
// "Max-margin object detection"). Scores and boxes are dlib's, of the same model.
#pragma once

#include <memory>
#include <vector>

#include "layers/network.h"
#include "siamese/dataset.h"
#include "siamese/faces/face.h"
#include "siamese/faces/face_model.h"
#include "siamese/faces/pyramid.h"

namespace gemel {

struct Detection {
  Box box;
  double score = 0;  // above 0
};

// Greedy non-maximum suppression: the detections that no better one overlaps by the rule of DetectorModel, best first.
// Areas are of whole pixels, edges included. Equal scores: the upper, then the left one first.
std::vector<Detection> without_overlaps(std::vector<Detection> detections, double iou, double covered);

class FaceDetector {
 public:
  // Pixels that the network works on at a time: of the published detector each takes 36 bytes. A larger canvas is cut
  // into tiles that overlap by what the network sees, so the scores are those of the canvas in one piece.
  static constexpr std::size_t kTilePixels = std::size_t{2} << 20;
  // Pixels that a picture may be enlarged to.
  static constexpr std::size_t kMostEnlarged = std::size_t{32} << 20;

  // Throws InputError where the model's network is no detector: convolutions without padding first, then such that keep
  // the size, one score a place.
  FaceDetector(const DetectorModel& model, Device& device, std::size_t tile_pixels = kTilePixels);
  ~FaceDetector();

  // The faces of at least `min_face` pixels in an RGB or grey picture, best first; boxes have whole numbers and may
  // reach beyond the picture. Below the model's window the picture is enlarged first, above it only its smaller copies
  // are looked at. Waits. Throws InputError for a min_face below 1, or where the picture would have more than
  // kMostEnlarged pixels.
  std::vector<Detection> detect(const Image& picture, int min_face = 80);

 private:
  // How the network's places lie in its input: place i reads the pixels from i * stride on, `field` of them, before
  // padding; zeros beyond the edges of the input reach `halo` places far.
  struct Geometry {
    int stride = 1, field = 1, halo = 0;
  };
  struct Tile;

  static Geometry geometry_of(const Network& network);
  int places(int pixels) const;  // along one side of an input
  void make_pyramid(const Image& picture, const std::vector<PyramidLevel>& levels);
  Tile& tile_of(int rows, int columns);
  void fill(Tile& tile, const Canvas& canvas, int top, int left);
  std::vector<Detection> windows(const Canvas& canvas);

  DetectorModel model_;
  TensorFile parameters_;
  Device& device_;
  Stream stream_;
  std::size_t tile_pixels_;
  Geometry geometry_;
  Buffer pyramid_;                    // its levels, one after the other
  std::vector<std::size_t> offsets_;  // of a level, by its number of reductions
  std::unique_ptr<Tile> tile_;        // the last one: pictures of one size share it
};

}  // namespace gemel
