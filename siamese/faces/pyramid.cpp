// SPDX-License-Identifier: MIT
//
// The canvas of a pyramid: a column of levels from the top down at the left, then the small ones from the bottom up at
// the right.
#include "siamese/faces/pyramid.h"

#include <algorithm>
#include <cmath>

namespace gemel {
namespace {

constexpr int kBetween = 10, kAround = 11;  // pixels between levels, and about all of them
constexpr int kLeastHeight = 5;

bool meet(const PyramidLevel& a, const PyramidLevel& b) {
  return a.left < b.left + b.width && b.left < a.left + a.width && a.top < b.top + b.height && b.top < a.top + a.height;
}

}  // namespace

std::vector<PyramidLevel> pyramid_levels(int height, int width) {
  std::vector<PyramidLevel> levels;
  if (height < 1 || width < 1) return levels;
  do {
    levels.push_back({height, width, 0, 0, static_cast<int>(levels.size())});
    height = height * 5 / 6;
    width = width * 5 / 6;
  } while (width > 0 && height >= kLeastHeight);
  return levels;
}

Canvas lay_out(std::vector<PyramidLevel> levels) {
  Canvas canvas;
  if (levels.empty()) return canvas;
  const int first_height = levels[0].height, first_width = levels[0].width;
  int total = -2 * kBetween;
  for (const PyramidLevel& level : levels) total += level.height + kBetween;

  // The left column ends where the next level fits beside the last one, and half of what is below the first level is in it.
  int height = 0, last_width = 0;
  std::size_t in_column = 0;
  for (; in_column < levels.size(); ++in_column) {
    PyramidLevel& level = levels[in_column];
    if (level.width <= first_width - last_width - kBetween && (height - first_height) * 2 >= total - first_height)
      break;
    level.top = kAround + height;
    level.left = kAround;
    height += level.height + kBetween;
    last_width = level.width;
  }
  height -= kBetween;
  canvas.height = height + 2 * kAround;
  canvas.width = first_width + 2 * kAround;

  int bottom = kAround + height;
  std::size_t placed = in_column;
  for (; placed < levels.size(); ++placed) {
    PyramidLevel& level = levels[placed];
    level.top = bottom - level.height;
    level.left = kAround + first_width - level.width;
    if (meet(level, levels[0])) break;
    bottom -= level.height + kBetween;
  }
  levels.resize(placed);
  canvas.levels = std::move(levels);
  return canvas;
}

const PyramidLevel& Canvas::level_at(Point place) const {
  const auto distance = [&](const PyramidLevel& level) {
    const double x = std::clamp(place.x, double(level.left), double(level.left + level.width - 1)) - place.x;
    const double y = std::clamp(place.y, double(level.top), double(level.top + level.height - 1)) - place.y;
    return x * x + y * y;
  };
  return *std::min_element(levels.begin(), levels.end(),
                           [&](const PyramidLevel& a, const PyramidLevel& b) { return distance(a) < distance(b); });
}

Point to_picture(const PyramidLevel& level, Point p) {
  p = {p.x - level.left, p.y - level.top};
  for (int i = 0; i < level.reductions; ++i) p = {p.x * 1.2 + 0.3, p.y * 1.2 + 0.3};
  return p;
}

}  // namespace gemel
