// SPDX-License-Identifier: MIT
//
// One launch a chip: each may need another level of halving.
#include "siamese/faces/chip.h"

#include <algorithm>
#include <cmath>
#include <limits>

#include "engine/error.h"

namespace gemel {
namespace {

// An upright face's landmarks, the face's square being (0,0) to (1,1) (dlib/image_transforms/interpolation.h,
// get_face_chip_details), and what is around it.
constexpr Landmarks kTemplate{{{0.8595674595992, 0.2134981538014},
                               {0.6460604764104, 0.2289674387677},
                               {0.1205750620789, 0.2137274526848},
                               {0.3340850613712, 0.2290642403242},
                               {0.4901123135679, 0.6277975316475}}};
constexpr double kPadding = 0.25;

// Where a picture's pixel p is taken to be in its half-size copy: p / 2 less this (dlib/image_transforms/image_pyramid.h,
// pyramid_down<2>). By HalveShape it would be 1 and 1; but the network has learnt faces, and its threshold was found, on
// chips that were cut so.
constexpr double kHalfX = 1.25, kHalfY = 0.75;

// The pixels that one pixel of a half-size copy is made of, a side.
constexpr int kLeastHalved = 5;

struct Part {
  int top = 0, left = 0, rows = 0, columns = 0;
};

// How often a picture is halved before its chip is read: while the face still covers more of the copy's pixels than the
// chip has.
int halvings_for(const SimilarityMap& map, int size) {
  int halvings = 0;
  for (double side = map.scale() * (size - 1) / 2 + 1; side > size; side = (side - 1) / 2 + 1) ++halvings;
  return halvings;
}

// What of the picture is halved: the upright rectangle around the turned chip and some pixels more, which smoothing at
// its edges may spoil. dlib's (interpolation.h, extract_image_chips), to the pixel: which pixels a copy keeps depends on
// where it begins, and with them the chip's grey values by one or two.
Part surroundings(const SimilarityMap& map, int size, int height, int width) {
  double margin = 2;
  for (int i = halvings_for(map, size); i > 0; --i) margin = 2 * margin + 2;
  Box around{std::numeric_limits<double>::infinity(), std::numeric_limits<double>::infinity(),
             -std::numeric_limits<double>::infinity(), -std::numeric_limits<double>::infinity()};
  const double last = size - 1.0;
  for (const Point corner : {Point{0, 0}, Point{last, 0}, Point{0, last}, Point{last, last}}) {
    const Point p = map(corner);
    around = {std::min(around.left, p.x), std::min(around.top, p.y), std::max(around.right, p.x),
              std::max(around.bottom, p.y)};
  }
  const auto nearest = [](double edge, int limit) {
    return static_cast<int>(std::floor(std::clamp(edge, 0.0, limit - 1.0) + 0.5));
  };
  const int left = nearest(around.left - margin, width), right = nearest(around.right + margin, width);
  const int top = nearest(around.top - margin, height), bottom = nearest(around.bottom + margin, height);
  return {top, left, bottom - top + 1, right - left + 1};
}

}  // namespace

double SimilarityMap::scale() const { return std::hypot(a, b); }

SimilarityMap fit_similarity(std::span<const Point> from, std::span<const Point> to) {
  if (from.size() != to.size() || from.empty()) throw Error("fit_similarity: points without partners");
  const auto n = static_cast<double>(from.size());
  Point f, t;  // means
  for (std::size_t i = 0; i < from.size(); ++i) {
    f = {f.x + from[i].x / n, f.y + from[i].y / n};
    t = {t.x + to[i].x / n, t.y + to[i].y / n};
  }
  double along = 0, across = 0, spread = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    const double fx = from[i].x - f.x, fy = from[i].y - f.y, tx = to[i].x - t.x, ty = to[i].y - t.y;
    along += fx * tx + fy * ty;
    across += fx * ty - fy * tx;
    spread += fx * fx + fy * fy;
  }
  SimilarityMap best;
  if (spread > 0) {
    best.a = along / spread;
    best.b = across / spread;
  }
  best.tx = t.x - (best.a * f.x - best.b * f.y);
  best.ty = t.y - (best.b * f.x + best.a * f.y);
  return best;
}

// The fit takes the chip's square (0,0)-(size,size) to the picture; a square of so many of the picture's pixels has its
// corner pixels' centres one pixel nearer to each other, and these the chip's corner pixels are laid on.
SimilarityMap chip_to_picture(const Landmarks& landmarks, int size) {
  Landmarks places;
  for (std::size_t i = 0; i < places.size(); ++i) {
    places[i] = {(kPadding + kTemplate[i].x) / (2 * kPadding + 1) * size,
                 (kPadding + kTemplate[i].y) / (2 * kPadding + 1) * size};
  }
  const SimilarityMap square = fit_similarity(places, landmarks);
  const double scale = square.scale();
  if (!(scale > 0) || size < 2) return square;
  const double shrunk = (size * scale - 1) / ((size - 1) * scale);
  SimilarityMap map{.a = square.a * shrunk, .b = square.b * shrunk};
  const Point middle = square({size / 2.0, size / 2.0});
  const double half = (size - 1) / 2.0;
  map.tx = middle.x - (map.a * half - map.b * half);
  map.ty = middle.y - (map.b * half + map.a * half);
  return map;
}

std::vector<Image> ChipCutter::cut(const Image& picture, std::span<const Landmarks> faces, int size) {
  const Buffer pixels(device_, picture.pixels.size());
  device_.upload(stream_, pixels.data(), picture.pixels.data(), pixels.bytes());
  std::vector<Image> chips;
  for (const Landmarks& face : faces) {
    chips.push_back(cut(pixels, picture.height, picture.width, picture.channels, chip_to_picture(face, size), size));
  }
  return chips;
}

Image ChipCutter::cut(const Buffer& picture, int height, int width, int channels, const SimilarityMap& chip, int size) {
  SimilarityMap map = chip;
  const Buffer* source = &picture;
  Buffer half;
  Part part = surroundings(chip, size, height, width);
  for (int halvings = halvings_for(chip, size); halvings > 0; --halvings) {
    if (part.rows < kLeastHalved || part.columns < kLeastHalved) break;
    const HalveShape shape{height, width, channels, part.top, part.left, part.rows, part.columns};
    Buffer next(device_, static_cast<std::size_t>(shape.out_h()) * shape.out_w() * channels);
    device_.kernels().image_halve(device_.queue(stream_), shape, static_cast<const std::uint8_t*>(source->data()),
                                  static_cast<std::uint8_t*>(next.data()));
    stream_.synchronize();  // before what it reads goes
    half = std::move(next);
    source = &half;
    map = {map.a / 2, map.b / 2, (map.tx - part.left) / 2 - kHalfX, (map.ty - part.top) / 2 - kHalfY};
    height = shape.out_h();
    width = shape.out_w();
    part = {0, 0, height, width};
  }
  const std::array<float, 6> numbers{static_cast<float>(map.a), static_cast<float>(-map.b), static_cast<float>(map.tx),
                                     static_cast<float>(map.b), static_cast<float>(map.a),  static_cast<float>(map.ty)};
  Image image{size, size, channels, std::vector<std::uint8_t>(static_cast<std::size_t>(size) * size * channels)};
  const Buffer maps(device_, sizeof(numbers)), out(device_, image.pixels.size());
  device_.upload(stream_, maps.data(), numbers.data(), sizeof(numbers));
  device_.kernels().image_chips(device_.queue(stream_), {1, size, size, height, width, channels}, maps.f32(),
                                static_cast<const std::uint8_t*>(source->data()),
                                static_cast<std::uint8_t*>(out.data()));
  device_.download(stream_, image.pixels.data(), out.data(), out.bytes());
  return image;
}

}  // namespace gemel
