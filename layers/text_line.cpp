// SPDX-License-Identifier: MIT
//
// Reading the words of one line of a network file.
#include "layers/text_line.h"

#include <algorithm>
#include <charconv>

#include "engine/error.h"

namespace gemel {

std::string size_text(int h, int w) { return h == w ? std::to_string(h) : concat(h, "x", w); }

std::string real_text(float value) {
  char text[32];
  return {text, std::to_chars(text, text + sizeof text, value).ptr};
}

std::string printable(std::string_view word) {
  constexpr std::size_t kLongest = 40;
  std::string shown(word.substr(0, kLongest));
  for (char& letter : shown) {
    if (static_cast<unsigned char>(letter) < 0x20 || letter == 0x7f) letter = '?';
  }
  return word.size() > kLongest ? shown + "..." : shown;
}

TextLine::TextLine(std::string place, std::vector<std::string_view> words)
    : place_(std::move(place)), words_(std::move(words)) {}

void TextLine::fail(const std::string& problem) const {
  throw InputError(concat(place_, ": ", printable(keyword()), ": ", problem, "; write: ", usage_));
}

std::string_view TextLine::word(std::string_view what) {
  if (!more()) fail(concat("the ", what, " is missing"));
  return words_[next_++];
}

int TextLine::parse_number(std::string_view digits, std::string_view what, int lowest, int highest) const {
  int number = 0;
  const char* end = digits.data() + digits.size();
  const auto [stop, error] = std::from_chars(digits.data(), end, number);
  if (error != std::errc() || stop != end || number < lowest || number > highest) {
    fail(concat("the ", what, " must be a whole number from ", lowest, " to ", highest, ", not '", printable(digits),
                "'"));
  }
  return number;
}

int TextLine::number(std::string_view what, int lowest, int highest) {
  return parse_number(word(what), what, lowest, highest);
}

float TextLine::real(std::string_view what, float lowest, float highest) {
  const std::string_view digits = word(what);
  float number = 0;
  const auto [stop, error] = std::from_chars(digits.data(), digits.data() + digits.size(), number);
  const bool read = error == std::errc() && stop == digits.data() + digits.size();
  if (!read || !(number >= lowest && number <= highest)) {  // NaN is in no range
    fail(concat("the ", what, " must be a number from ", lowest, " to ", highest, ", not '", printable(digits), "'"));
  }
  return number;
}

Size2 TextLine::size(std::string_view what, int lowest, int highest) {
  const std::string_view text = word(what);
  const std::size_t cross = text.find('x');
  const int h = parse_number(text.substr(0, cross), what, lowest, highest);
  if (cross == std::string_view::npos) return {h, h};
  return {h, parse_number(text.substr(cross + 1), what, lowest, highest)};
}

std::vector<int> TextLine::sizes(std::string_view what, int count, int lowest, int highest) {
  const std::string_view text = word(what);
  if (std::count(text.begin(), text.end(), 'x') != count - 1) {
    fail(concat("the ", what, " must be ", count, " numbers with 'x' between them, not '", printable(text), "'"));
  }
  std::vector<int> numbers;
  for (std::string_view rest = text; static_cast<int>(numbers.size()) < count;) {
    const std::size_t cross = std::min(rest.find('x'), rest.size());
    numbers.push_back(parse_number(rest.substr(0, cross), what, lowest, highest));
    rest.remove_prefix(std::min(cross + 1, rest.size()));
  }
  return numbers;
}

std::string_view TextLine::option(std::initializer_list<std::string_view> known) {
  const std::string_view name = word("option");
  if (std::find(known.begin(), known.end(), name) == known.end()) {
    fail(concat("unknown option '", printable(name), "'"));
  }
  if (std::find(options_.begin(), options_.end(), name) != options_.end()) {
    fail(concat("option '", name, "' stands twice"));
  }
  options_.push_back(name);
  return name;
}

bool TextLine::take(std::string_view word) {
  if (!more() || words_[next_] != word) return false;
  ++next_;
  return true;
}

void TextLine::finish() const {
  if (more()) fail(concat("unexpected '", printable(words_[next_]), "'"));
}

}  // namespace gemel
