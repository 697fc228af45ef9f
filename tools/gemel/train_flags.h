// SPDX-License-Identifier: MIT
//
// What `gemel train` can be told, and what it means for a Trainer.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "siamese/trainer.h"
#include "tools/gemel/augmentation.h"
#include "tools/gemel/faces.h"

namespace gemel::cli {

struct TrainFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::string data, net = "small", from, validation, output, report, size;
  int freeze = 0;      // layers, with `from`
  double holdout = 0;  // 0: not given
  int channels = 0, limit = 0, embedding = 0;
  LossOptions loss{.name = "triplet"};
  bool unsquared = false;
  int steps = 0;  // 0: from epochs, or the default
  double epochs = 0;
  int pairs = 64, p = 32, k = 4;
  std::string optimizer = "adam";
  float rate = 0, momentum = 0.9f, weight_decay = 0;  // rate 0: the optimizer's usual one
  Schedule schedule{.kind = Schedule::Kind::cosine};
  std::uint64_t seed = 1;
  std::size_t eval_pairs = 20000;
  std::vector<std::string> identities;  // empty: all
  AugmentationFlags augmentation;
  bool quarter_turns = false;
  int validate_every = 0, patience = 0;
  bool overfit = false, json = false;

  void add_to(CLI::App& command);
  TrainOptions train_options(const Dataset& data) const;
};

}  // namespace gemel::cli
