// SPDX-License-Identifier: MIT
//
// The report: one HTML file that holds everything it shows, for people who decide whether a model is good enough.
#pragma once

#include <string>
#include <vector>

#include "siamese/trainer.h"
#include "tools/gemel/summary.h"

namespace gemel::cli {

struct Report {
  std::string title;  // "faces.safetensors"
  const Network& network;
  const ModelInfo& info;
  const Dataset& data;  // what was evaluated: the pictures of the hardest pairs
  const Evaluation& evaluation;
  const std::vector<TrainReport>& history;  // empty: no loss curve
  Protocols protocols = {};                 // those that were run
};

std::string report_html(const Report& report);

}  // namespace gemel::cli
