// SPDX-License-Identifier: MIT
//
// Reading small text files of unknown origin.
#include "siamese/text_lines.h"

#include <fstream>
#include <sstream>
#include <system_error>

#include "engine/error.h"

namespace gemel {
namespace {

constexpr std::uintmax_t kMaxBytes = std::uintmax_t{64} << 20;

std::vector<std::string> words_of(const std::string& line) {
  std::vector<std::string> words;
  if (line.find('\t') == std::string::npos) {
    std::istringstream in(line);
    for (std::string word; in >> word;) words.push_back(word);
    return words;
  }
  std::istringstream in(line);
  for (std::string word; std::getline(in, word, '\t');) words.push_back(word);
  return words;
}

}  // namespace

std::vector<std::vector<std::string>> read_words(const std::filesystem::path& file) {
  namespace fs = std::filesystem;
  auto fail = [&](const std::string& what) { throw InputError(concat(file.string(), ": ", what)); };
  std::error_code error;
  const fs::file_status status = fs::status(file, error);
  if (!fs::exists(status)) fail("no such file");
  if (!fs::is_regular_file(status)) fail("is not a file; a list in a text file was expected");
  if (fs::file_size(file, error) > kMaxBytes) fail("is larger than 64 MiB; not taken for a list");
  std::ifstream in(file, std::ios::binary);
  if (!in) fail("cannot be opened; check its permissions");
  std::vector<std::vector<std::string>> lines;
  for (std::string line; std::getline(in, line);) {
    if (line.find('\0') != std::string::npos)
      fail(concat("is not text: line ", lines.size() + 1, " holds a zero byte"));
    if (!line.empty() && line.back() == '\r') line.pop_back();
    lines.push_back(words_of(line));
  }
  if (in.bad()) fail("cannot be read to its end");
  return lines;
}

}  // namespace gemel
