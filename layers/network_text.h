// SPDX-License-Identifier: MIT
//
// The text of a network, taken apart: its input and its layers, not yet built. Network::parse builds them.
//
// A file is lines of words. '#' starts a comment. The first line is `input HxWxC`; each other line is a layer's keyword
// and its options, in the layer's own syntax (its kUsage, read by its static parse). The layers of a residual block
// stand between its `residual` and its `end`, indented or not. A new layer is one entry of the table in
// network_text.cpp.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layers/layer.h"

namespace gemel {

struct ParsedLayer {
  std::unique_ptr<Layer> layer;
  std::string place;  // "NAME:LINE"
};

struct ParsedNetwork {
  Shape input;  // (H,W,C)
  std::vector<ParsedLayer> layers;
};

// Throws InputError "NAME:LINE: ...". At most 1 MiB and 1000 layers.
ParsedNetwork parse_network_text(std::string_view text, const std::string& name);

// The networks that come with the library.
struct Preset {
  std::string name, text;
};
const std::vector<Preset>& network_presets();

}  // namespace gemel
