// SPDX-License-Identifier: MIT
//
// RocSweep: the figures of a ROC curve in one pass over groups of equal distance. Counts are whole numbers, of pairs or
// of their weights in a resample.
#pragma once

#include <cstdint>

namespace gemel {

struct RocPoint {
  double far, tar;  // false accept rate, true accept rate when d <= threshold is "same"
  float threshold;
};

struct RocFigures {
  double auc = 0;  // P(d_same < d_different) + P(equal)/2: ties count half
  double eer = 0;  // where FAR = 1 - TAR, interpolated
  float eer_threshold = 0;
  double best_accuracy = 0;                       // largest (TAR + 1 - FAR) / 2 over thresholds
  float best_threshold = 0;                       // midway between the neighbouring distances; the lowest of equals
  double tar_at_far_1e2 = 0, tar_at_far_1e3 = 0;  // largest TAR with FAR <= 1e-2, 1e-3
};

class RocSweep {
 public:
  // Of that many same and different pairs, none of them 0. `below`: a threshold that accepts none of them.
  RocSweep(std::int64_t same, std::int64_t different, float below)
      : same_(same), different_(different), point_{0, 0, below} {
    figures_.best_threshold = below;
  }

  // The pairs of the next larger distance; `threshold` accepts them and none of those to come.
  void add(std::int64_t same, std::int64_t different, float threshold) {
    area_ += static_cast<double>(different) * (static_cast<double>(accepted_same_) + static_cast<double>(same) / 2);
    accepted_same_ += same;
    accepted_different_ += different;
    const RocPoint before = point_;
    point_ = {static_cast<double>(accepted_different_) / static_cast<double>(different_),
              static_cast<double>(accepted_same_) / static_cast<double>(same_), threshold};
    if (point_.far <= 1e-2) figures_.tar_at_far_1e2 = point_.tar;
    if (point_.far <= 1e-3) figures_.tar_at_far_1e3 = point_.tar;
    if (!crossed_ && gap(point_) <= 0) {
      crossed_ = true;
      // On the straight line between the two points around the crossing.
      const double share = gap(before) / (gap(before) - gap(point_));
      figures_.eer = before.far + share * (point_.far - before.far);
      figures_.eer_threshold = static_cast<float>(before.threshold + share * (threshold - before.threshold));
    }
    // TAR - FAR times both counts, in whole numbers: equals are equal.
    const std::int64_t advantage = accepted_same_ * different_ - accepted_different_ * same_;
    if (advantage > best_) {
      best_ = advantage;
      figures_.best_threshold = threshold;
    }
  }

  const RocPoint& point() const { return point_; }
  // After all groups.
  RocFigures figures() const {
    RocFigures figures = figures_;
    const double products = static_cast<double>(same_) * static_cast<double>(different_);
    figures.auc = area_ / products;
    figures.best_accuracy = (1 + static_cast<double>(best_) / products) / 2;
    return figures;
  }

 private:
  static double gap(const RocPoint& p) { return (1 - p.tar) - p.far; }  // from 1 at the start down to -1 at the end

  std::int64_t same_, different_, accepted_same_ = 0, accepted_different_ = 0, best_ = 0;
  double area_ = 0;  // pairs of a same and a different pair in the right order, ties counting half
  bool crossed_ = false;
  RocPoint point_;
  RocFigures figures_;
};

}  // namespace gemel
