// SPDX-License-Identifier: MIT
//
// Pictures by name, folder or data set.
#include "tools/gemel/inputs.h"

#include <cstdio>
#include <numeric>

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

void append(Inputs& all, const std::string& input, const Dataset& data, const std::string& rows_text) {
  std::vector<int> rows(static_cast<std::size_t>(data.size()));
  std::iota(rows.begin(), rows.end(), 0);
  if (!rows_text.empty()) rows = parse_rows(rows_text, data.size());
  for (int row : rows) {
    auto i = static_cast<std::size_t>(row);
    all.names.push_back(data.files.empty() ? concat(input, "#", row) : data.files[i]);
    all.labels.push_back(data.identities[static_cast<std::size_t>(data.labels[i])]);
    auto pixels = data.image(row);
    all.pixels.insert(all.pixels.end(), pixels.begin(), pixels.end());
  }
}

// A folder as a data set of whatever pictures it holds: identities are not asked for.
Dataset load_any_folder(const std::string& folder, const Preprocessing& preprocessing) {
  Dataset data;
  data.source = folder;
  for (const PictureFolder& found : find_pictures(folder)) {
    for (const fs::path& file : found.files) {
      data.files.push_back(file.string());
      data.labels.push_back(static_cast<std::int32_t>(data.identities.size()));
    }
    data.identities.push_back(found.name);
  }
  load_pictures(data, load_options_for(preprocessing));
  return data;
}

}  // namespace

Inputs read_inputs(const std::vector<std::string>& inputs, const std::string& rows,
                   const Preprocessing& preprocessing) {
  Inputs all;
  for (const std::string& input : inputs) {
    if (input.starts_with("idx:")) {
      append(all, input, load_for_model(input, preprocessing), rows);
    } else if (fs::is_directory(input)) {
      append(all, input, load_any_folder(input, preprocessing), rows);
    } else {
      Image image = load_picture(input, preprocessing);
      all.names.push_back(input);
      all.labels.emplace_back();
      all.pixels.insert(all.pixels.end(), image.pixels.begin(), image.pixels.end());
    }
  }
  return all;
}

std::string csv_cell(const std::string& text) {
  if (text.find_first_of(",\"\r\n") == std::string::npos) return text;
  std::string quoted = "\"";
  for (char c : text) quoted += c == '"' ? "\"\"" : std::string(1, c);
  return quoted + "\"";
}

std::string shortest(float value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.9g", value);
  return text;
}

}  // namespace gemel::cli
