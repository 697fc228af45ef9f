// SPDX-License-Identifier: MIT
//
// Pictures by name, folder or data set.
#include "tools/gemel/inputs.h"

#include <cstdio>
#include <numeric>

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

void append(Inputs& all, std::string name, std::string label, std::span<const std::uint8_t> pixels,
            std::optional<Face> face = {}) {
  all.names.push_back(std::move(name));
  all.labels.push_back(std::move(label));
  all.faces.push_back(face);
  all.pixels.insert(all.pixels.end(), pixels.begin(), pixels.end());
}

// parse_rows; an empty text is all rows.
std::vector<int> chosen_rows(const std::string& text, int size) {
  if (!text.empty()) return parse_rows(text, size);
  std::vector<int> rows(static_cast<std::size_t>(size));
  std::iota(rows.begin(), rows.end(), 0);
  return rows;
}

void append(Inputs& all, const std::string& input, const Dataset& data, const std::string& rows) {
  for (int row : chosen_rows(rows, data.size())) {
    auto i = static_cast<std::size_t>(row);
    append(all, data.files.empty() ? concat(input, "#", row) : data.files[i],
           data.identities[static_cast<std::size_t>(data.labels[i])], data.image(row));
  }
}

// A folder as a data set of whatever pictures it holds, not read yet: identities are not asked for.
Dataset any_folder(const std::string& folder) {
  Dataset data;
  data.source = folder;
  for (const PictureFolder& found : find_pictures(folder)) {
    for (const fs::path& file : found.files) {
      data.files.push_back(file.string());
      data.labels.push_back(static_cast<std::int32_t>(data.identities.size()));
    }
    data.identities.push_back(found.name);
  }
  return data;
}

}  // namespace

Inputs read_inputs(const std::vector<std::string>& inputs, const std::string& rows, PictureReader& reader) {
  Inputs all;
  const auto add_picture = [&](const std::string& file, const std::string& label) {
    const std::vector<Portrait> portraits = reader.read(file);
    for (const Portrait& portrait : portraits) append(all, file, label, portrait.image.pixels, portrait.face);
    if (portraits.empty()) note(concat(file, ": ", reader.no_face()));
  };
  for (const std::string& input : inputs) {
    if (input.starts_with("idx:")) {
      append(all, input, reader.read_dataset(input), rows);
    } else if (!fs::is_directory(input)) {
      add_picture(input, "");
    } else if (Dataset data = any_folder(input); reader.finds_faces()) {
      for (const int row : chosen_rows(rows, data.size())) {
        const auto i = static_cast<std::size_t>(row);
        add_picture(data.files[i], data.identities[static_cast<std::size_t>(data.labels[i])]);
      }
    } else {
      load_pictures(data, load_options_for(reader.preprocessing()));
      append(all, input, data, rows);
    }
  }
  if (all.size() == 0) throw InputError(concat(inputs.front(), ": ", reader.no_face()));
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
