// SPDX-License-Identifier: MIT
//
// Lists in text files (pairs of pictures, trials) as words, a line each.
#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace gemel {

// Lines as words between tabs where the line has one, else between spaces; empty lines give no words, and a line's end
// may be CR LF. Throws InputError naming the file: missing, no regular file, larger than 64 MiB, not text.
std::vector<std::vector<std::string>> read_words(const std::filesystem::path& file);

}  // namespace gemel
