// SPDX-License-Identifier: MIT
//
// Text from outside as UTF-8: metadata and JSON must be, names of files need not.
#pragma once

#include <string>

namespace gemel {

// Each byte that belongs to no valid sequence becomes U+FFFD.
std::string valid_utf8(const std::string& text);

}  // namespace gemel
