// SPDX-License-Identifier: MIT
//
// One line of a network file as words, read from left to right, with errors that name the place and the line's syntax.
#pragma once

#include <initializer_list>
#include <string>
#include <string_view>
#include <vector>

namespace gemel {

// Largest numbers a network file may hold. They are far above anything useful and keep every product of sizes that the
// layers compute within 64 bits.
constexpr int kMaxChannels = 65536;  // channels, filters, features
constexpr int kMaxLength = 16384;    // height and width of an input
constexpr int kMaxWindow = 1024;     // filter and pooling windows, strides, padding

// Two numbers of one word: "5" is 5x5.
struct Size2 {
  int h, w;
};

// "5" for 5x5, "3x5" for the others.
std::string size_text(int h, int w);

// The shortest decimal number that reads back as `value`.
std::string real_text(float value);

class TextLine {
 public:
  // `words` without comments, the first one the keyword. `place`: "NAME:LINE".
  TextLine(std::string place, std::vector<std::string_view> words);

  const std::string& place() const { return place_; }
  std::string_view keyword() const { return words_.front(); }
  void set_usage(std::string_view usage) { usage_ = usage; }

  // The readers throw InputError "PLACE: KEYWORD: what is wrong; write: USAGE".
  bool more() const { return next_ < words_.size(); }
  std::string_view word(std::string_view what);
  int number(std::string_view what, int lowest, int highest);
  float real(std::string_view what, float lowest, float highest);
  Size2 size(std::string_view what, int lowest, int highest);                         // "N" or "NxN"
  std::vector<int> sizes(std::string_view what, int count, int lowest, int highest);  // "NxNxN"
  // The next word, which must be one of `known` and may stand on the line once.
  std::string_view option(std::initializer_list<std::string_view> known);
  bool take(std::string_view word);  // true, and past it, if the next word is this one
  void finish() const;               // nothing may follow

  [[noreturn]] void fail(const std::string& problem) const;

 private:
  int parse_number(std::string_view digits, std::string_view what, int lowest, int highest) const;

  std::string place_;
  std::vector<std::string_view> words_, options_;
  std::size_t next_ = 1;
  std::string_view usage_;
};

// A word from outside as it may stand in a message: at most 40 characters, no control characters.
std::string printable(std::string_view word);

}  // namespace gemel
