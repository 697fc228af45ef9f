// SPDX-License-Identifier: MIT
//
// An evaluation as text, as JSON and as rows for the report; and what its health means.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "siamese/evaluate.h"
#include "tools/gemel/command.h"

namespace gemel::cli {

// How the model's own threshold does on the evaluated pairs: d <= threshold is "same".
struct AtThreshold {
  double threshold = 0, tar = 0, far = 0, accuracy = 0;  // accuracy: (TAR + 1 - FAR) / 2
};
AtThreshold at_threshold(const Evaluation& evaluation, double threshold);

struct Metric {
  std::string name, value, meaning;
};
std::vector<Metric> metrics(const Evaluation& evaluation);

// Metrics as an aligned table, then the health line and, after a collapse, the advice.
std::string summary_text(const Evaluation& evaluation);
Json summary_json(const Evaluation& evaluation);

// "same 0.41, different 1.22, spread 0.93, effective rank 14.2 of 64"
std::string health_line(const Evaluation& evaluation);
// Empty while the embeddings are healthy.
std::string collapse_warning(const EmbeddingHealth& health);

}  // namespace gemel::cli
