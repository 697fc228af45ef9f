// SPDX-License-Identifier: MIT
//
// What the pages that `gemel` writes share: one style, cards with a figure each, sections.
#pragma once

#include <string>

namespace gemel::cli {

extern const char* const kPageStyle;

std::string card(const std::string& name, const std::string& value, const std::string& below);
std::string section(const std::string& title, const std::string& body, const std::string& kind = "");

}  // namespace gemel::cli
