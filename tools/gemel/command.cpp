// SPDX-License-Identifier: MIT
//
// What the commands of `gemel` share: opening devices, reading data in a model's size, writing files whole.
#include "tools/gemel/command.h"

#include <unistd.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <iostream>
#include <map>
#include <string_view>
#include <system_error>

#include "engine/atomic_file.h"
#include "kernels/cpu/switches.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::cli {
namespace fs = std::filesystem;
namespace {

int parse_int(std::string_view text, const std::string& what) {
  int value = 0;
  auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (error != std::errc() || end != text.data() + text.size()) {
    throw InputError(concat("'", text, "' is not a whole number (", what, ")"));
  }
  return value;
}

}  // namespace

void add_math(CLI::App& command, Math& math, const std::string& help) {
  static const std::map<std::string, Math> names{
      {"fp32", Math::fp32}, {"tf32", Math::tf32}, {"tf32x3", Math::tf32x3}, {"bf16", Math::bf16}};
  command.add_option("--math", math, help)
      ->transform(CLI::CheckedTransformer(names))
      ->default_str("fp32")
      ->type_name("fp32|tf32|tf32x3|bf16");
}

void DeviceOptions::add_to(CLI::App& command) {
  command.add_option("--device", device, "auto, cuda, cuda:N, cpu or simt; auto is cuda where a GPU works, else cpu")
      ->capture_default_str();
  command.add_option("--threads", threads, "threads of the CPU devices (default: all)")->check(CLI::Range(1, 1024));
  add_math(command, math, "products of cuda and simt: fp32; on tensor cores tf32, bf16, or tf32x3, as exact as fp32");
  command.add_flag("--no-fuse", no_fuse,
                   "compute every layer by itself: no convolution with ReLU and pool in one pass");
  command.add_flag("--no-winograd", no_winograd, "no Winograd convolutions on the cpu device: plain sums, slower");
}

std::unique_ptr<Device> DeviceOptions::open() const {
  if (threads > 0) ThreadPool::instance().set_threads(threads);
  if (no_winograd) cpu::use_winograd(false);
  std::unique_ptr<Device> opened = open_device(device);
  opened->fuse = !no_fuse;
  opened->math = math;
  if (opened->math != Math::fp32 && opened->name() == "cpu")
    note("the cpu device computes in fp32, whatever --math says");
  return opened;
}

void note(const std::string& text) { std::cerr << "gemel: note: " << text << std::endl; }

bool terminal_on_stderr() { return ::isatty(STDERR_FILENO) == 1; }

void check_writable(const fs::path& file) {
  std::error_code error;
  fs::path folder = file.has_parent_path() ? file.parent_path() : fs::path(".");
  if (!fs::is_directory(folder, error)) {
    throw InputError(concat(file.string(), ": the folder ", folder.string(), " does not exist; create it first"));
  }
  AtomicFile probe(file);  // never committed: it opens, and leaves nothing
}

void write_file(const fs::path& file, const std::string& content) {
  AtomicFile out(file);
  out.write(content.data(), content.size());
  out.commit();
}

LoadOptions load_options_for(const Preprocessing& preprocessing) {
  LoadOptions options;
  options.height = preprocessing.height;
  options.width = preprocessing.width;
  options.channels = preprocessing.channels;
  options.quiet = !terminal_on_stderr();
  return options;
}

Image load_picture(const fs::path& file, const Preprocessing& preprocessing) {
  Image image = read_image(file, preprocessing.channels);
  if (image.height == preprocessing.height && image.width == preprocessing.width) return image;
  note(concat(file.string(), " is ", image.height, "x", image.width, "; resized to the model's ", preprocessing.height,
              "x", preprocessing.width));
  return resize(image, preprocessing.height, preprocessing.width);
}

double threshold_for(const Model& model, const std::string& file, std::optional<double> asked) {
  if (asked && !std::isfinite(*asked)) throw InputError(concat("the threshold must be a number, not ", *asked));
  if (asked) return *asked;
  if (model.info.calibrated_on.empty()) {
    throw InputError(concat(file, ": has no calibrated threshold; give one with --threshold"));
  }
  return model.info.threshold;
}

std::vector<int> parse_rows(const std::string& text, int size) {
  const std::string what = "rows are numbers and ranges: 3,17,40:50";
  std::vector<int> rows;
  std::string_view rest = text;
  while (true) {
    std::string_view part = rest.substr(0, rest.find(','));
    auto colon = part.find(':');
    int first = parse_int(part.substr(0, colon), what);
    int end = colon == std::string_view::npos ? first + 1 : parse_int(part.substr(colon + 1), what);
    if (first < 0 || end <= first || end > size) {
      throw InputError(concat("rows '", part, "': the data set has rows 0 to ", size - 1));
    }
    for (int row = first; row < end; ++row) rows.push_back(row);
    if (part.size() == rest.size()) return rows;
    rest.remove_prefix(part.size() + 1);
  }
}

std::pair<int, int> parse_size(const std::string& text) {
  auto by = text.find('x');
  int height = parse_int(std::string_view(text).substr(0, by), "a size is HEIGHTxWIDTH: 64x64");
  int width = by == std::string::npos
                  ? height
                  : parse_int(std::string_view(text).substr(by + 1), "a size is HEIGHTxWIDTH: 64x64");
  if (height < 1 || width < 1 || height > 4096 || width > 4096) {
    throw InputError(concat("size '", text, "': height and width must be between 1 and 4096"));
  }
  return {height, width};
}

std::string align(const std::vector<std::vector<std::string>>& rows) {
  // Columns are counted in code points: a cell may hold a non-ASCII sign.
  auto width_of = [](const std::string& cell) {
    return static_cast<std::size_t>(std::count_if(cell.begin(), cell.end(), [](char c) { return (c & 0xC0) != 0x80; }));
  };
  std::vector<std::size_t> widths;
  for (const auto& row : rows) {
    widths.resize(std::max(widths.size(), row.size()));
    for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], width_of(row[i]));
  }
  std::string text;
  for (const auto& row : rows) {
    std::string line;
    for (std::size_t i = 0; i < row.size(); ++i) {
      std::string padding(widths[i] - width_of(row[i]), ' ');
      if (i > 0) line += "  ";
      line += i == 0 ? row[i] + padding : padding + row[i];
    }
    line.erase(line.find_last_not_of(' ') + 1);
    text += line + "\n";
  }
  return text;
}

std::string dump(const Json& json, int indent) { return json.dump(indent, ' ', false, Json::error_handler_t::replace); }

std::string percent(double share, int digits) { return fixed(100 * share, digits) + " %"; }

std::string fixed(double value, int digits) {
  char text[64];
  std::snprintf(text, sizeof text, "%.*f", digits, value);
  return text;
}

std::string thousands(long long value) {
  std::string digits = std::to_string(value < 0 ? -value : value);
  for (int i = static_cast<int>(digits.size()) - 3; i > 0; i -= 3) digits.insert(static_cast<std::size_t>(i), ",");
  return value < 0 ? "-" + digits : digits;
}

}  // namespace gemel::cli
