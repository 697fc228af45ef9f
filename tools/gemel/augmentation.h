// SPDX-License-Identifier: MIT
//
// How training pictures are changed, from the command line: a preset by name, and single values over it.
#pragma once

#include <optional>
#include <string>

#include "tools/gemel/command.h"

namespace gemel::cli {

struct AugmentationFlags {
  std::string preset = "none";
  std::optional<float> rotate, shear, shift, probability, flip, brightness, contrast, noise;
  std::string scale;  // "0.8:1.2"; empty: the preset's

  void add_to(CLI::App& command);
  Augmentation resolve() const;  // throws InputError for a scale that is not "LOW:HIGH"
  std::string describe() const;  // "" without any
};

}  // namespace gemel::cli
