// SPDX-License-Identifier: MIT
//
// From the text of a network to layers. Lines are a cursor; a block of lines starts with `residual` and ends with `end`,
// which the layers between know nothing of.
#include "layers/network_text.h"

#include <array>

#include "layers/affine.h"
#include "layers/batch_norm.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/elementwise.h"
#include "layers/linear.h"
#include "layers/locally_connected2d.h"
#include "layers/pool2d.h"
#include "layers/prelu.h"
#include "layers/residual.h"
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
    LayerSyntax{"affine", Affine::kUsage, Affine::parse},
    LayerSyntax{"avgpool", AvgPool2d::kUsage, AvgPool2d::parse},
    LayerSyntax{"batchnorm", BatchNorm::kUsage, BatchNorm::parse},
    LayerSyntax{"conv", Conv2d::kUsage, Conv2d::parse},
    LayerSyntax{"dropout", Dropout::kUsage, Dropout::parse},
    LayerSyntax{"flatten", Flatten::kUsage, Flatten::parse},
    LayerSyntax{"globalavgpool", GlobalAvgPool2d::kUsage, GlobalAvgPool2d::parse},
    LayerSyntax{"l2normalize", L2Normalize::kUsage, L2Normalize::parse},
    LayerSyntax{"linear", Linear::kUsage, Linear::parse},
    LayerSyntax{"local", LocallyConnected2d::kUsage, LocallyConnected2d::parse},
    LayerSyntax{"maxpool", MaxPool2d::kUsage, MaxPool2d::parse},
    LayerSyntax{"prelu", PRelu::kUsage, PRelu::parse},
    LayerSyntax{"relu", ActivationLayer::kReluUsage, ActivationLayer::parse},
    LayerSyntax{"residual", Residual::kUsage, Residual::parse},
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

// A block that has no end yet.
struct OpenBlock {
  const Residual* start;
  std::string place;
  std::size_t first;  // layer inside
};

// The end of the innermost open block.
ParsedLayer parse_end(TextLine& line, std::vector<OpenBlock>& open, std::size_t layers) {
  line.set_usage(ResidualEnd::kUsage);
  line.finish();
  if (open.empty()) throw InputError(concat(line.place(), ": 'end' without a 'residual'"));
  if (open.back().first == layers) {
    throw InputError(concat(line.place(), ": no layers between 'residual' and 'end'"));
  }
  ParsedLayer parsed{std::make_unique<ResidualEnd>(*open.back().start), line.place()};
  open.pop_back();
  return parsed;
}

std::vector<ParsedLayer> parse_layers(Lines& lines) {
  std::vector<ParsedLayer> layers;
  std::vector<OpenBlock> open;
  while (TextLine* line = lines.next()) {
    if (line->keyword() == "input") throw InputError(concat(line->place(), ": a second 'input' line"));
    if (layers.size() == kMostLayers) {
      throw InputError(concat(line->place(), ": more than ", kMostLayers, " layers"));
    }
    const bool ends = line->keyword() == ResidualEnd::kUsage;
    layers.push_back(ends ? parse_end(*line, open, layers.size()) : parse_layer(*line));
    if (const auto* start = dynamic_cast<const Residual*>(layers.back().layer.get())) {
      open.push_back({start, line->place(), layers.size()});
    }
  }
  if (!open.empty()) throw InputError(concat(open.back().place, ": this 'residual' has no 'end'"));
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
