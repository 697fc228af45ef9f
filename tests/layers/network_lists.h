// SPDX-License-Identifier: MIT
//
// A network's parameters and shapes as lists of text, to compare with.
#pragma once

#include <string>
#include <vector>

#include "layers/network.h"

namespace gemel {

// "conv1.weight 20x5x5x1"
inline std::vector<std::string> parameter_list(const Network& network) {
  std::vector<std::string> list;
  for (const Parameters::Entry& entry : network.parameters().entries())
    list.push_back(entry.name + " " + entry.shape.str());
  return list;
}

// "28x28x1": the input, and what comes behind each layer.
inline std::vector<std::string> shape_list(const Network& network) {
  std::vector<std::string> list;
  for (const Shape& shape : network.shapes()) list.push_back(shape.str());
  return list;
}

}  // namespace gemel
