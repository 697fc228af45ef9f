// SPDX-License-Identifier: MIT
//
// What the commands of `gemel` share. A command is one file with one function add_NAME: it describes its options to
// CLI11 and leaves its work in `action`, which runs after parsing and returns the exit status:
//   0  done, or "same"
//   1  a negative answer: "different", a failed check, a batch that could not be learnt
//   2  usage, input or any other error (main.cpp turns exceptions into it)
#pragma once

#include <CLI/CLI.hpp>
#include <filesystem>
#include <functional>
#include <memory>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/device.h"
#include "siamese/dataset.h"
#include "siamese/model.h"

namespace gemel::cli {

using Action = std::function<int()>;
using Json = nlohmann::ordered_json;

void add_train(CLI::App& program, Action& action);
void add_eval(CLI::App& program, Action& action);
void add_verify(CLI::App& program, Action& action);
void add_embed(CLI::App& program, Action& action);
void add_enroll(CLI::App& program, Action& action);
void add_identify(CLI::App& program, Action& action);
void add_search(CLI::App& program, Action& action);
void add_oneshot(CLI::App& program, Action& action);
void add_extract(CLI::App& program, Action& action);
void add_import(CLI::App& program, Action& action);
void add_info(CLI::App& program, Action& action);
void add_check(CLI::App& program, Action& action);
void add_profile(CLI::App& program, Action& action);
void add_bench(CLI::App& program, Action& action);
void add_devices(CLI::App& program, Action& action);

// --math fp32|tf32|tf32x3|bf16.
void add_math(CLI::App& command, Math& math, const std::string& help);

// --device, --threads, --math, --no-fuse and --no-winograd.
struct DeviceOptions {
  std::string device = "auto";
  int threads = 0;  // 0: all
  Math math = Math::fp32;
  bool no_fuse = false, no_winograd = false;

  void add_to(CLI::App& command);
  std::unique_ptr<Device> open() const;
};

// A line on stderr: "gemel: note: TEXT".
void note(const std::string& text);

bool terminal_on_stderr();

// Throws InputError when `file` cannot be written later: its folder is missing or closed, or it is no regular file.
// Called before long work, so that an hour of training is not lost to a typing mistake.
void check_writable(const std::filesystem::path& file);

// Writes beside `file` and renames: a full disk or a crash leaves what was there before. Throws InputError.
void write_file(const std::filesystem::path& file, const std::string& content);

// For pictures in the size that a model takes, with progress where a terminal is.
LoadOptions load_options_for(const Preprocessing& preprocessing);

// A picture in the size that a model takes; says on stderr when it had to be resized.
Image load_picture(const std::filesystem::path& file, const Preprocessing& preprocessing);

// The largest distance that is "same": `asked`, else the model's. Throws InputError for what is no finite number, and
// naming `file` where the model has none.
double threshold_for(const Model& model, const std::string& file, std::optional<double> asked);

// "3,17,40:50" -> 3, 17, 40..49. Throws InputError for what is not a row of a data set of `size` rows.
std::vector<int> parse_rows(const std::string& text, int size);

// "28x28" or "28" -> height, width. Throws InputError.
std::pair<int, int> parse_size(const std::string& text);

// Lines of cells as columns, the first column aligned to the left and the others to the right.
std::string align(const std::vector<std::vector<std::string>>& rows);

// JSON as text, on one line where indent is -1; names in it that are no UTF-8 are made so.
std::string dump(const Json& json, int indent = 2);

std::string fixed(double value, int digits);
std::string percent(double share, int digits = 2);  // "97.65 %"
std::string thousands(long long value);             // "170,000"

}  // namespace gemel::cli
