// SPDX-License-Identifier: MIT
//
// The json library knows what is valid; it replaces the rest.
#include "siamese/utf8.h"

#include <nlohmann/json.hpp>

namespace gemel {

std::string valid_utf8(const std::string& text) {
  using nlohmann::json;
  return json::parse(json(text).dump(-1, ' ', false, json::error_handler_t::replace)).get<std::string>();
}

}  // namespace gemel
