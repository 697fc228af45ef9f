// SPDX-License-Identifier: MIT
//
// gemel extract: rows of a data set as PNG files, to look at them or to hand them to other programs.
#include <algorithm>
#include <cstdio>
#include <iostream>

#include "tools/gemel/command.h"
#include "tools/gemel/png.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

struct ExtractFlags {
  std::string data, rows, folder;
  bool by_identity = false;
};

// An identity's name may hold slashes (nested folders) and more that a file name cannot.
std::string file_name_part(std::string name) {
  std::replace_if(
      name.begin(), name.end(), [](char c) { return c == '/' || c == '\\' || c == ':' || c == '\0'; }, '_');
  return name == "." || name == ".." ? "_" : name;
}

int extract(const ExtractFlags& options) {
  Dataset data = load_dataset(options.data);
  std::vector<int> rows = parse_rows(options.rows, data.size());
  fs::path folder = options.folder;
  for (int row : rows) {
    std::string identity =
        file_name_part(data.identities[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(row)])]);
    char number[16];
    std::snprintf(number, sizeof number, "%06d", row);
    fs::path file = options.by_identity ? folder / identity / concat(number, ".png")
                                        : folder / concat(number, "_", identity, ".png");
    std::error_code error;
    fs::create_directories(file.parent_path(), error);
    if (error) throw InputError(concat(file.parent_path().string(), ": cannot be created: ", error.message()));
    write_file(file, png(data.image(row), data.height, data.width, data.channels));
    std::cout << file.string() << "\n";
  }
  return 0;
}

}  // namespace

void add_extract(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("extract", "Write rows of a data set as PNG files");
  auto options = std::make_shared<ExtractFlags>();
  command->add_option("DATA", options->data, "a data set")->required();
  command->add_option("--rows", options->rows, "3,17,40:50")->type_name("ROWS")->required();
  command->add_option("-o,--output", options->folder, "the folder to write into")->type_name("DIR")->required();
  command->add_flag("--by-identity", options->by_identity, "one sub-folder an identity: itself a data set");
  command->footer(
      "Prints the names of the files: ROW_IDENTITY.png.\n"
      "Example:\n"
      "  gemel extract idx:/usr/share/datasets/fashion-mnist:test --rows 0,4 -o out/");
  command->callback([options, &action] { action = [options] { return extract(*options); }; });
}

}  // namespace gemel::cli
