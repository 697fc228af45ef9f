// SPDX-License-Identifier: MIT
//
// An evaluation as text, as JSON and as rows for the report; and what its health means.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "siamese/evaluate.h"
#include "siamese/k_fold.h"
#include "siamese/one_shot.h"
#include "tools/gemel/command.h"

namespace gemel::cli {

// How the model's own threshold does on the evaluated pairs: d <= threshold is "same".
struct AtThreshold {
  double threshold = 0, tar = 0, far = 0, accuracy = 0;  // accuracy: (TAR + 1 - FAR) / 2
};
AtThreshold at_threshold(const Evaluation& evaluation, double threshold);

struct Metric {
  std::string name, value, interval, meaning;  // interval: "0.9650 to 0.9771", or empty
};
std::vector<Metric> metrics(const Evaluation& evaluation);
std::string percent_interval(const Interval& interval);
// "95 % intervals: 400 draws of 40 identities": what they were computed from, and for whom they hold.
std::string intervals_line(const Intervals& intervals);

// Further protocols, where they were run.
struct Protocols {
  std::optional<KFold> k_fold;
  std::optional<OneShot> one_shot;
};
// "97.35 % +- 0.42 % (standard error) over 10 folds ..."
std::string k_fold_line(const KFold& result);
std::string one_shot_line(const OneShot& result);
Json k_fold_json(const KFold& result);
Json one_shot_json(const OneShot& result);

// Metrics as an aligned table, then the health line and, after a collapse, the advice.
std::string summary_text(const Evaluation& evaluation);
Json summary_json(const Evaluation& evaluation);

// "same 0.41, different 1.22, spread 0.93, effective rank 14.2 of 64"
std::string health_line(const Evaluation& evaluation);
// Empty while the embeddings are healthy.
std::string collapse_warning(const EmbeddingHealth& health);

}  // namespace gemel::cli
