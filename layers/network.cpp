// SPDX-License-Identifier: MIT
//
// Network: building layers in order, names of parameters, text, table.
#include "layers/network.h"

#include <algorithm>
#include <fstream>
#include <iomanip>
#include <iterator>
#include <map>
#include <sstream>

#include "layers/layer_checks.h"
#include "layers/linear.h"
#include "layers/network_text.h"
#include "layers/residual.h"

namespace gemel {
namespace {

// "conv 20 5x5" -> "conv": the layer's kind, from which its parameters are named.
std::string keyword_of(const Layer& layer) {
  const std::string text = layer.text();
  return text.substr(0, text.find_first_of(" \n"));
}

// Calls f(layer, indent) for each layer; those of a residual block stand two spaces further in than its ends.
template <class F>
void for_each_indented(const std::vector<std::unique_ptr<Layer>>& layers, const F& f) {
  std::size_t depth = 0;
  for (const std::unique_ptr<Layer>& layer : layers) {
    const int change = nesting(*layer);
    if (change < 0) --depth;
    f(*layer, std::string(2 * depth, ' '));
    if (change > 0) ++depth;
  }
}

std::vector<std::unique_ptr<Layer>> take_layers(ParsedNetwork& parsed, std::vector<std::string>& places) {
  std::vector<std::unique_ptr<Layer>> layers;
  for (ParsedLayer& entry : parsed.layers) {
    layers.push_back(std::move(entry.layer));
    places.push_back(std::move(entry.place));
  }
  return layers;
}

const Preset* find_preset(const std::string& name) {
  const std::vector<Preset>& presets = network_presets();
  const auto found = std::find_if(presets.begin(), presets.end(), [&](const Preset& p) { return p.name == name; });
  return found == presets.end() ? nullptr : &*found;
}

// Throws ShapeError unless blocks lie inside each other, each with its own end.
void check_nesting(const std::vector<std::unique_ptr<Layer>>& layers) {
  std::vector<const Layer*> open;
  for (const std::unique_ptr<Layer>& layer : layers) {
    if (nesting(*layer) > 0) open.push_back(layer.get());
    const auto* end = dynamic_cast<const ResidualEnd*>(layer.get());
    if (end == nullptr) continue;
    if (open.empty() || open.back() != &end->start()) {
      throw ShapeError("Network: a ResidualEnd does not belong to the innermost Residual");
    }
    open.pop_back();
  }
  if (!open.empty()) throw ShapeError("Network: a Residual has no ResidualEnd");
}

std::string read_preset_or_file(const std::string& preset_or_file) {
  if (const Preset* preset = find_preset(preset_or_file)) return preset->text;
  std::ifstream file(preset_or_file, std::ios::binary);
  // A directory opens on some systems and fails at the first read; a file may be empty.
  if (file) file.peek();
  if (!file.is_open() || file.bad() || (file.fail() && !file.eof())) {
    throw InputError(concat(preset_or_file, ": cannot be read as a network file, and is not a preset (",
                            Network::preset_list(), ")"));
  }
  constexpr std::size_t kEnough = (1 << 20) + 1;  // one more than the parser takes
  file.clear();
  std::string text(kEnough, '\0');
  file.read(text.data(), static_cast<std::streamsize>(kEnough));
  text.resize(static_cast<std::size_t>(file.gcount()));
  return text;
}

}  // namespace

Network Network::make(const Shape& input, std::vector<std::unique_ptr<Layer>> layers) {
  return Network(input, std::move(layers), std::vector<std::string>());
}

Network::Network(const Shape& input, std::vector<std::unique_ptr<Layer>> layers, const std::vector<std::string>& places)
    : input_(input), layers_(std::move(layers)) {
  check_image("Network", input_);
  check_count("Network", "input", input_);
  if (layers_.empty()) throw ShapeError("Network: no layers");
  check_nesting(layers_);
  std::map<std::string, int> numbers;
  Shape shape = input_;
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    shapes_.push_back(shape);
    const std::size_t earlier = parameters_.parameter_count();
    entries_before_.push_back(parameters_.entries().size());
    const std::string keyword = keyword_of(*layers_[i]);
    try {
      shape = layers_[i]->build(shape, keyword + std::to_string(++numbers[keyword]), parameters_);
    } catch (const ShapeError& error) {
      if (places.empty()) throw;
      throw ShapeError(concat(places[i], ": ", error.what()));
    }
    layer_parameters_.push_back(parameters_.parameter_count() - earlier);
  }
  shapes_.push_back(shape);
  output_ = shape;
  last_place_ = places.empty() ? "Network" : places.back();
}

int Network::embedding_size() const {
  if (output_.rank() != 1) {
    throw ShapeError(concat(last_place_, ": the last layer's output is ", output_.str(),
                            ", an embedding is one row of numbers; end with 'linear N' or 'flatten'"));
  }
  return output_[0];
}

Network Network::parse(std::string_view text, const std::string& name) {
  ParsedNetwork parsed = parse_network_text(text, name);
  std::vector<std::string> places;
  std::vector<std::unique_ptr<Layer>> layers = take_layers(parsed, places);
  return Network(parsed.input, std::move(layers), places);
}

Network Network::load(const std::string& preset_or_file) {
  return parse(read_preset_or_file(preset_or_file), preset_or_file);
}

Network Network::for_input(const std::string& preset_or_file, const Shape& input, int embedding) {
  return parse_for_input(read_preset_or_file(preset_or_file), preset_or_file, input, embedding);
}

Network Network::parse_for_input(std::string_view text, const std::string& name, const Shape& input, int embedding) {
  if (embedding < 0 || embedding > kMaxChannels) {
    throw InputError(
        concat("the embedding size must be 1 to ", kMaxChannels, ", or 0 for the network's own, not ", embedding));
  }
  ParsedNetwork parsed = parse_network_text(text, name);
  std::vector<std::string> places;
  std::vector<std::unique_ptr<Layer>> layers = take_layers(parsed, places);
  if (embedding != 0) {
    const auto last = std::find_if(layers.rbegin(), layers.rend(), [](const std::unique_ptr<Layer>& layer) {
      return dynamic_cast<const Linear*>(layer.get()) != nullptr;
    });
    if (last == layers.rend()) {
      throw InputError(concat(name, ": no linear layer whose width could be set to ", embedding));
    }
    *last = dynamic_cast<const Linear&>(**last).with_features(embedding);
  }
  return Network(input, std::move(layers), places);
}

void Network::freeze(int layers) {
  std::vector<std::size_t> with_parameters;  // their places in layers_
  for (std::size_t i = 0; i < layers_.size(); ++i) {
    if (layer_parameters_[i] > 0) with_parameters.push_back(i);
  }
  const int all = static_cast<int>(with_parameters.size());
  const int count = layers < 0 ? all + layers : layers;
  if (count < 0 || count >= all) {
    throw InputError(concat("cannot freeze ", layers < 0 ? "all but " : "", std::abs(layers), " of a network's ", all,
                            " layers with parameters"));
  }
  if (count == 0) return;
  const std::size_t next = with_parameters[static_cast<std::size_t>(count)];
  std::size_t outside = 0;    // the last place up to `next` that is in no residual block
  int depth = 0, before = 0;  // before: layers with parameters before that place
  for (std::size_t i = 0, seen = 0; i < next; ++i) {
    depth += nesting(*layers_[i]);
    seen += layer_parameters_[i] > 0;
    if (depth > 0) continue;
    outside = i + 1;
    before = static_cast<int>(seen);
  }
  if (before < count) {
    throw InputError(
        concat("cannot freeze ", count, " layers: that ends inside a residual block, before which are ", before));
  }
  frozen_layers_ = static_cast<int>(outside);
  parameters_.freeze(entries_before_[outside]);
}

std::vector<std::string> Network::presets() {
  std::vector<std::string> names;
  for (const Preset& preset : network_presets()) names.push_back(preset.name);
  return names;
}

std::string Network::preset_list() {
  std::string names;
  for (const Preset& preset : network_presets()) names += concat(names.empty() ? "" : ", ", preset.name);
  return names;
}

std::string Network::preset_text(const std::string& preset) {
  const Preset* found = find_preset(preset);
  if (found == nullptr) throw InputError(concat("unknown preset '", preset, "'; known: ", Network::preset_list()));
  return found->text;
}

std::string Network::text() const {
  std::string text = "input " + input_.str() + "\n";
  for_each_indented(layers_,
                    [&](const Layer& layer, const std::string& indent) { text += concat(indent, layer.text(), "\n"); });
  return text;
}

double Network::flops() const {
  double sum = 0;
  for (const auto& layer : layers_) sum += layer->flops();
  return sum;
}

std::string Network::table() const {
  std::ostringstream out;
  const auto row = [&](const std::string& number, const std::string& layer, const std::string& output,
                       const std::string& parameters, const std::string& mflop) {
    out << std::setw(3) << number << "  " << std::left << std::setw(40) << layer << std::right << std::setw(16)
        << output << std::setw(14) << parameters << std::setw(12) << mflop << "\n";
  };
  const auto mflop = [](double flops) {
    std::ostringstream number;
    number << std::fixed << std::setprecision(3) << flops / 1e6;
    return number.str();
  };
  row("", "layer", "output", "parameters", "MFLOP");
  row("", "input", input_.str(), "", "");
  std::size_t i = 0;
  int number = 0;
  for_each_indented(layers_, [&](const Layer& layer, const std::string& indent) {
    const std::size_t count = layer_parameters_[i];
    row(count > 0 ? std::to_string(++number) : "", indent + layer.describe(), shapes_[i + 1].str(),
        std::to_string(layer_parameters_[i]), mflop(layer.flops()));
    ++i;
  });
  row("", "total", output_.str(), std::to_string(parameters_.parameter_count()), mflop(flops()));
  return out.str();
}

}  // namespace gemel
