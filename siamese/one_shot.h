// SPDX-License-Identifier: MIT
//
// N-way one-shot classification in the layout of Omniglot's official runs (Lake, Salakhutdinov, Tenenbaum 2015): which
// of N pictures, one a class, is of the class of a test picture?
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "siamese/bootstrap.h"

namespace gemel {

class TwinEncoder;

struct OneShotRun {
  std::string name;  // "run01"
  int ways = 0;      // pictures to choose from
  int trials = 0, right = 0;
  double accuracy() const { return static_cast<double>(right) / trials; }
};

struct OneShot {
  std::string source;
  std::vector<OneShotRun> runs;
  int trials = 0;
  double accuracy = 0;               // mean of the runs'
  std::optional<Interval> interval;  // 95 % of that mean: Student's t over the runs; none for a single run
};

// DIR/run*/class_labels.txt: a line "run01/test/item01.png run01/training/class08.png" a trial, paths below DIR; a run's
// choice is all its training pictures. A trial is right when the nearest of them is the named one and no other is as
// near: an encoder that says nothing scores nothing. Pictures are resized to the encoder's size. Throws InputError
// naming the file and the line: no runs, damaged lists, paths that lead out of DIR, fewer than two pictures to choose
// from, pictures that are missing or damaged.
OneShot one_shot(TwinEncoder& encoder, const std::string& folder, bool quiet = true);

// The 97.5 % quantile of Student's t distribution, `freedom` >= 1.
double student_t_975(int freedom);

}  // namespace gemel
