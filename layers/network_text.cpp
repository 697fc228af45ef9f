// SPDX-License-Identifier: MIT
//
// From the text of a network to layers. Lines are a cursor, and parse_layers reads them up to an end: a block of lines
// inside a layer is a call of the same function.
#include "layers/network_text.h"

#include <array>

#include "layers/conv2d.h"
#include "layers/elementwise.h"
#include "layers/linear.h"
#include "layers/locally_connected2d.h"
#include "layers/pool2d.h"
#include "layers/text_line.h"

namespace gemel {
namespace {

constexpr std::size_t kMostBytes = 1 << 20, kMostLayers = 1000;
constexpr std::string_view kInputUsage = "input HxWxC";

struct LayerSyntax {
  std::string_view keyword, usage;
  std::unique_ptr<Layer> (*parse)(TextLine& line);
};

constexpr std::array kLayers = {
    LayerSyntax{"avgpool", AvgPool2d::kUsage, AvgPool2d::parse},
    LayerSyntax{"conv", Conv2d::kUsage, Conv2d::parse},
    LayerSyntax{"flatten", Flatten::kUsage, Flatten::parse},
    LayerSyntax{"l2normalize", L2Normalize::kUsage, L2Normalize::parse},
    LayerSyntax{"linear", Linear::kUsage, Linear::parse},
    LayerSyntax{"local", LocallyConnected2d::kUsage, LocallyConnected2d::parse},
    LayerSyntax{"maxpool", MaxPool2d::kUsage, MaxPool2d::parse},
    LayerSyntax{"relu", ActivationLayer::kReluUsage, ActivationLayer::parse},
    LayerSyntax{"sigmoid", ActivationLayer::kSigmoidUsage, ActivationLayer::parse},
};

std::vector<std::string_view> split(std::string_view text, std::string_view separators) {
  std::vector<std::string_view> words;
  while (true) {
    const std::size_t begin = text.find_first_not_of(separators);
    if (begin == std::string_view::npos) return words;
    text.remove_prefix(begin);
    const std::size_t end = std::min(text.find_first_of(separators), text.size());
    words.push_back(text.substr(0, end));
    text.remove_prefix(end);
  }
}

// The lines that hold words, in order.
class Lines {
 public:
  Lines(std::string_view text, const std::string& name) {
    for (int number = 1; !text.empty(); ++number) {
      const std::size_t end = std::min(text.find('\n'), text.size());
      const std::string_view line = text.substr(0, end);
      std::vector<std::string_view> words = split(line.substr(0, line.find('#')), " \t\r");
      if (!words.empty()) lines_.emplace_back(concat(name, ":", number), std::move(words));
      text.remove_prefix(std::min(end + 1, text.size()));
    }
  }
  TextLine* next() { return next_ < lines_.size() ? &lines_[next_++] : nullptr; }

 private:
  std::vector<TextLine> lines_;
  std::size_t next_ = 0;
};

[[noreturn]] void fail_unknown_layer(const TextLine& line) {
  std::string known;
  for (const LayerSyntax& syntax : kLayers) known += concat(known.empty() ? "" : ", ", syntax.keyword);
  throw InputError(concat(line.place(), ": unknown layer '", printable(line.keyword()), "'; known: ", known));
}

ParsedLayer parse_layer(TextLine& line) {
  for (const LayerSyntax& syntax : kLayers) {
    if (syntax.keyword != line.keyword()) continue;
    line.set_usage(syntax.usage);
    ParsedLayer parsed{syntax.parse(line), line.place()};
    line.finish();
    return parsed;
  }
  fail_unknown_layer(line);
}

std::vector<ParsedLayer> parse_layers(Lines& lines) {
  std::vector<ParsedLayer> layers;
  while (TextLine* line = lines.next()) {
    if (line->keyword() == "input") throw InputError(concat(line->place(), ": a second 'input' line"));
    if (layers.size() == kMostLayers) {
      throw InputError(concat(line->place(), ": more than ", kMostLayers, " layers"));
    }
    layers.push_back(parse_layer(*line));
  }
  return layers;
}

Shape parse_input(TextLine& line) {
  line.set_usage(kInputUsage);
  const std::vector<int> sizes = line.sizes("input size", 3, 1, kMaxLength);
  line.finish();
  return {sizes[0], sizes[1], sizes[2]};
}

}  // namespace

ParsedNetwork parse_network_text(std::string_view text, const std::string& name) {
  if (text.size() > kMostBytes) throw InputError(concat(name, ": longer than ", kMostBytes, " bytes; not a network"));
  constexpr std::string_view kByteOrderMark = "\xEF\xBB\xBF";  // some editors write it
  if (text.substr(0, kByteOrderMark.size()) == kByteOrderMark) text.remove_prefix(kByteOrderMark.size());

  Lines lines(text, name);
  TextLine* first = lines.next();
  if (first == nullptr) throw InputError(concat(name, ": empty; a network starts with '", kInputUsage, "'"));
  if (first->keyword() != "input") {
    throw InputError(concat(first->place(), ": a network starts with '", kInputUsage, "', not with '",
                            printable(first->keyword()), "'"));
  }
  ParsedNetwork network;
  network.input = parse_input(*first);
  network.layers = parse_layers(lines);
  if (network.layers.empty()) throw InputError(concat(name, ": no layers after the 'input' line"));
  return network;
}

}  // namespace gemel
