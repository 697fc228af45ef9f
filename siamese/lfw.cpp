// SPDX-License-Identifier: MIT
//
// pairs.txt, line by line.
#include "siamese/lfw.h"

#include <charconv>
#include <cstdio>
#include <map>
#include <utility>

#include "engine/error.h"
#include "siamese/image.h"
#include "siamese/text_lines.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

constexpr int kMostFolds = 1000, kMostPairs = 10'000'000;

class PairsReader {
 public:
  PairsReader(const fs::path& list, const std::string& folder)
      : list_(list.string()), folder_(folder), lines_(read_words(list)) {
    while (!lines_.empty() && lines_.back().empty()) lines_.pop_back();
    result_.data.source = folder + " (pairs of " + list_ + ")";
  }

  ListedPairs read() {
    if (lines_.empty() || lines_[0].empty() || lines_[0].size() > 2) {
      fail("its first line must be the number of folds, a tab, and the number N of pairs of either kind in each");
    }
    const bool has_folds = lines_[0].size() == 2;
    if (has_folds) result_.folds = number(lines_[0][0], 1, kMostFolds);
    const int n = number(lines_[0].back(), 1, kMostPairs);
    const std::uint64_t wanted = 2ULL * static_cast<std::uint64_t>(n) * static_cast<std::uint64_t>(result_.folds);
    if (lines_.size() - 1 != wanted) {
      fail(concat("has ", lines_.size() - 1, " lines of pairs, its first line asks for ", result_.folds, " x 2 x ", n,
                  " = ", wanted));
    }
    for (at_ = 1; at_ < lines_.size(); ++at_) read_pair(static_cast<int>(at_ - 1) / n);
    return std::move(result_);
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(list_, ":", at_ + 1, ": ", what)); }

  int number(const std::string& text, int lowest, int highest) const {
    int value = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), value);
    if (error != std::errc() || end != text.data() + text.size() || value < lowest || value > highest) {
      fail(concat("'", text, "' is not a number from ", lowest, " to ", highest));
    }
    return value;
  }

  // `half` counts the runs of N lines: even ones hold same pairs, odd ones different pairs.
  void read_pair(int half) {
    const std::vector<std::string>& words = lines_[at_];
    const bool same = half % 2 == 0;
    if (words.size() != (same ? 3u : 4u)) {
      fail(same ? "a pair of one person was expected: name, number, number"
                : "a pair of two people was expected: name, number, name, number");
    }
    const std::string& other = same ? words[0] : words[2];
    if (!same && other == words[0]) fail(concat("a pair of two people was expected; both are '", other, "'"));
    result_.pairs.a.push_back(row(words[0], number(words[1], 1, 9'999'999)));
    result_.pairs.b.push_back(row(other, number(words.back(), 1, 9'999'999)));
    if (result_.pairs.a.back() == result_.pairs.b.back()) fail("a picture is paired with itself");
    result_.pairs.same.push_back(same ? 1 : 0);
    result_.fold.push_back(half / 2);
  }

  // The picture's row; a picture is looked for once.
  std::int32_t row(const std::string& name, int picture) {
    const auto [known, is_new] = rows_.try_emplace({name, picture}, static_cast<std::int32_t>(rows_.size()));
    if (!is_new) return known->second;
    Dataset& data = result_.data;
    const auto [person, is_new_person] = people_.try_emplace(name, static_cast<std::int32_t>(people_.size()));
    if (is_new_person) {
      if (name.empty() || name.front() == '.' || name.find('/') != std::string::npos) {
        fail(concat("'", name, "' is no person's name: it must be a folder in ", folder_));
      }
      data.identities.push_back(name);
    }
    data.labels.push_back(person->second);
    data.files.push_back(find(name, picture).string());
    return known->second;
  }

  fs::path find(const std::string& name, int picture) const {
    char digits[16];
    std::snprintf(digits, sizeof digits, "%04d", picture);
    const fs::path folder = fs::path(folder_) / name;
    const std::string stem = concat(name, "_", digits);
    std::error_code error;
    if (fs::path usual = folder / (stem + ".jpg"); fs::exists(usual, error)) return usual;
    for (const fs::directory_entry& entry : fs::directory_iterator(folder, error)) {
      if (has_image_ending(entry.path()) && entry.path().stem() == stem) return entry.path();
    }
    fail(concat("there is no picture ", (folder / stem).string(),
                " with an ending that is known (.jpg, .png, .pgm, ...)"));
  }

  std::string list_, folder_;
  std::vector<std::vector<std::string>> lines_;
  std::size_t at_ = 0;
  ListedPairs result_;
  std::map<std::pair<std::string, int>, std::int32_t> rows_;
  std::map<std::string, std::int32_t> people_;
};

}  // namespace

ListedPairs load_listed_pairs(const fs::path& list, const std::string& folder, const LoadOptions& options) {
  ListedPairs listed = PairsReader(list, folder).read();
  load_pictures(listed.data, options);
  return listed;
}

}  // namespace gemel
