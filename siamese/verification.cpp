// SPDX-License-Identifier: MIT
//
// The ROC curve of distances, exactly: pairs are sorted and taken in groups of equal distance, so that a point of the curve
// is one threshold between two neighbouring distances, and ties are drawn as the slope they are.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.h"
#include "siamese/evaluate.h"

namespace gemel {
namespace {

constexpr std::size_t kMaxRocPoints = 500;

// Above `low`, below `high`: accepts low and not high, whatever the rounding.
float midway(float low, float high) {
  const float middle = low + (high - low) / 2;
  return middle < high ? middle : low;
}

// Keeps the corners of the curve (points inside a straight run along an axis carry nothing), then evenly spaced ones.
std::vector<RocPoint> thin(const std::vector<RocPoint>& points) {
  std::vector<RocPoint> corners;
  for (std::size_t i = 0; i < points.size(); ++i) {
    const bool inside = i > 0 && i + 1 < points.size();
    if (inside && points[i - 1].far == points[i + 1].far) continue;
    if (inside && points[i - 1].tar == points[i + 1].tar) continue;
    corners.push_back(points[i]);
  }
  if (corners.size() <= kMaxRocPoints) return corners;
  std::vector<RocPoint> kept;
  for (std::size_t i = 0; i < kMaxRocPoints; ++i) {
    kept.push_back(corners[i * (corners.size() - 1) / (kMaxRocPoints - 1)]);
  }
  return kept;
}

}  // namespace

Verification verify_pairs(std::span<const float> distances, std::span<const std::uint8_t> same) {
  if (distances.size() != same.size()) {
    throw Error(concat("verification: ", distances.size(), " distances, ", same.size(), " answers"));
  }
  if (!std::all_of(distances.begin(), distances.end(), [](float d) { return std::isfinite(d); })) {
    throw Error("verification: a distance is not finite; the model's embeddings are not usable");
  }
  Verification result;
  result.same = static_cast<std::size_t>(std::count_if(same.begin(), same.end(), [](auto s) { return s != 0; }));
  result.different = same.size() - result.same;
  if (result.same == 0) throw Error("verification: no pair is of one identity; identities need two images or more");
  if (result.different == 0) throw Error("verification: no pair is of two identities; at least two are needed");

  std::vector<std::size_t> order(distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::sort(order.begin(), order.end(), [&](std::size_t a, std::size_t b) { return distances[a] < distances[b]; });

  const float nearest = distances[order.front()];
  RocSweep sweep(static_cast<std::int64_t>(result.same), static_cast<std::int64_t>(result.different),
                 nearest > 0 ? nearest / 2 : nearest - 1);
  std::vector<RocPoint> points{sweep.point()};
  for (std::size_t begin = 0, end = 0; begin < order.size(); begin = end) {
    const float distance = distances[order[begin]];
    std::int64_t group_same = 0;
    for (; end < order.size() && distances[order[end]] == distance; ++end) group_same += same[order[end]] != 0 ? 1 : 0;
    sweep.add(group_same, static_cast<std::int64_t>(end - begin) - group_same,
              end < order.size() ? midway(distance, distances[order[end]]) : distance);
    points.push_back(sweep.point());
  }
  static_cast<RocFigures&>(result) = sweep.figures();
  result.roc = thin(points);
  return result;
}

}  // namespace gemel
