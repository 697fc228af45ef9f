// SPDX-License-Identifier: MIT
//
// The pictures that a command is given, and how the commands that list them write a line.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "tools/gemel/faces.h"

namespace gemel::cli {

struct Inputs {
  std::vector<std::string> names;  // a file, once for each of its faces, or "idx:DIR#ROW"
  std::vector<std::string>
      labels;  // the sub-folder or the IDX label; empty: single pictures, and those in no sub-folder
  std::vector<std::optional<Face>> faces;  // where in the picture; none where no faces are looked for
  std::vector<std::uint8_t> pixels;        // (N,H,W,C), the size that the model takes
  int size() const { return static_cast<int>(names.size()); }
};

// Each input is a picture, a folder or "idx:...". `rows` (parse_rows) picks from every data set; empty: all. What is no
// picture by its ending is passed over in a folder, a damaged picture is an error. Where faces are looked for, each face
// is a row, and pictures without one are noted on stderr. Throws InputError; never empty.
Inputs read_inputs(const std::vector<std::string>& inputs, const std::string& rows, PictureReader& reader);

// RFC 4180: quoted where it holds a comma, a quote or a line break.
std::string csv_cell(const std::string& text);

// Enough digits to read back the same float.
std::string shortest(float value);

}  // namespace gemel::cli
