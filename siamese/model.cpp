// SPDX-License-Identifier: MIT
//
// Models to and from files.
#include "siamese/model.h"

#include <array>
#include <charconv>
#include <cmath>
#include <cstdio>
#include <nlohmann/json.hpp>

#include "engine/error.h"
#include "siamese/faces/face_model.h"
#include "siamese/utf8.h"

namespace gemel {
namespace {

constexpr const char* kFormat = "1";

std::string float_text(float value) {
  std::array<char, 32> text{};
  const auto result = std::to_chars(text.data(), text.data() + text.size(), value);
  return {text.data(), result.ptr};
}

// FNV-1a, 64 bits (Fowler, Noll, Vo 1991): not against forgery, but no two models meet by chance.
class Hash {
 public:
  void add(const void* data, std::size_t bytes) {
    const auto* byte = static_cast<const unsigned char*>(data);
    for (std::size_t i = 0; i < bytes; ++i) value_ = (value_ ^ byte[i]) * 1099511628211U;
  }
  void add(const std::string& text) {
    add(text.c_str(), text.size() + 1);
  }  // its end as well: "ab", "c" is not "a", "bc"
  void add(const TensorFile& content) {
    for (const auto& [key, value] : content.metadata) {
      add(key);
      add(value);
    }
    for (const auto& [name, tensor] : content.tensors) {
      add(name);
      add(tensor.values.data(), tensor.values.size() * sizeof(float));
    }
  }
  std::string text() const {
    std::array<char, 17> digits{};
    std::snprintf(digits.data(), digits.size(), "%016llx", static_cast<unsigned long long>(value_));
    return digits.data();
  }

 private:
  std::uint64_t value_ = 14695981039346656037U;
};

// The metadata of a model file; errors name the file.
class Metadata {
 public:
  Metadata(const std::map<std::string, std::string>& values, const std::string& file) : values_(values), file_(file) {}

  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(file_, ": ", what)); }

  const std::string& get(const std::string& key) const {
    const auto found = values_.find(key);
    if (found == values_.end()) {
      fail(concat("is not a model of gemel's: its metadata has no ", key, "; train one with 'gemel train'"));
    }
    return found->second;
  }

  float number(const std::string& key) const {
    const std::string& text = get(key);
    float value = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), value);
    if (result.ec != std::errc() || result.ptr != text.data() + text.size() || !std::isfinite(value)) {
      fail(concat("its ", key, " is not a number; the file is damaged"));
    }
    return value;
  }

  Metric::Kind metric() const {
    try {
      return Metric::parse(get("gemel.distance"));
    } catch (const InputError& error) {
      fail(concat("measures distance by an ", error.what()));
    }
  }

 private:
  const std::map<std::string, std::string>& values_;
  const std::string& file_;
};

// Before the parameters are allocated: a network text that was tampered with must not ask for memory at will.
void check_count(const Network& network, const TensorFile& content, const Metadata& metadata) {
  std::size_t wanted = 0, held = 0;
  for (const Parameters::Entry& entry : network.parameters().entries()) wanted += entry.shape.count();
  for (const auto& [name, tensor] : content.tensors) held += tensor.values.size();
  if (wanted != held) {
    metadata.fail(concat("holds ", held, " numbers, its network takes ", wanted, "; the file is damaged"));
  }
}

// Moves what finds faces out of a file's content.
TensorFile take_faces(TensorFile& content) {
  TensorFile faces;
  const auto take = [](auto& from, auto& into) {
    for (auto at = from.lower_bound(kFacesPrefix); at != from.end() && at->first.starts_with(kFacesPrefix);) {
      into.insert(from.extract(at++));
    }
  };
  take(content.metadata, faces.metadata);
  take(content.tensors, faces.tensors);
  return faces;
}

void allocate(Network& network, Device& device, std::uint64_t seed) {
  Stream stream = device.make_stream();
  network.parameters().allocate(device, stream, seed);
  stream.synchronize();
}

}  // namespace

Model::Model(Network network, Preprocessing preprocessing, Device& device, std::uint64_t seed, Metric::Kind metric)
    : network_(std::make_unique<Network>(std::move(network))) {
  Metric::declare(metric, network_->embedding_size(), network_->parameters());
  start(std::move(preprocessing), device, seed, metric);
}

Model::Model(Network network, Preprocessing preprocessing, Device& device, std::uint64_t seed,
             const EmbeddingLoss& loss, int classes)
    : network_(std::make_unique<Network>(std::move(network))) {
  loss.declare(network_->parameters(), network_->embedding_size(), classes);
  start(std::move(preprocessing), device, seed, loss.metric());
}

Model::Model(Model& other, Device& device, std::uint64_t seed, const EmbeddingLoss& loss, int classes, int frozen)
    : network_(std::make_unique<Network>(Network::parse(other.network().text(), "model"))) {
  network_->freeze(frozen);
  loss.declare(network_->parameters(), network_->embedding_size(), classes);
  faces = other.faces;
  start(other.info.preprocessing, device, seed, loss.metric());
  TensorFile content, known;
  save_parameters(device, encoder_->stream(), network_->parameters(), content);
  save_parameters(other.encoder().device(), other.encoder().stream(), other.network().parameters(), known);
  for (auto& [name, tensor] : content.tensors) {
    if (const auto found = known.tensors.find(name); found != known.tensors.end()) tensor = found->second;
  }
  load_parameters(device, encoder_->stream(), content, network_->parameters(), "model");
}

void Model::start(Preprocessing preprocessing, Device& device, std::uint64_t seed, Metric::Kind metric) {
  allocate(*network_, device, seed);
  info.network = network_->text();
  info.preprocessing = preprocessing;
  encoder_ = std::make_unique<TwinEncoder>(*network_, device, std::move(preprocessing), metric);
}

Model Model::load(const std::filesystem::path& path, Device& device) {
  const std::string file = path.string();
  TensorFile content = read_tensors(path);
  TensorFile faces = take_faces(content);
  const Metadata metadata(content.metadata, file);
  if (const std::string& format = metadata.get("gemel.format"); format != kFormat) {
    metadata.fail(concat("has model format '", format, "'; this build reads format ", kFormat));
  }
  const Metric::Kind metric = metadata.metric();
  Model model;
  try {
    model.network_ = std::make_unique<Network>(Network::parse(metadata.get("gemel.network"), file));
    Metric::declare(metric, model.network_->embedding_size(), model.network_->parameters());
    check_count(*model.network_, content, metadata);
    model.start(Preprocessing::parse(metadata.get("gemel.preprocessing"), file), device, 0, metric);
  } catch (const ShapeError& error) {
    metadata.fail(concat("its network does not fit together (", error.what(), "); the file is damaged"));
  }
  model.info.threshold = metadata.number("gemel.threshold");
  model.info.calibrated_on = metadata.get("gemel.calibrated_on");
  model.info.trained = metadata.get("gemel.trained");
  load_parameters(device, model.encoder_->stream(), content, model.network_->parameters(), file);
  model.faces = std::move(faces);
  return model;
}

void Model::save(const std::filesystem::path& file) {
  TensorFile content;
  content.metadata = {{"gemel.format", kFormat},
                      {"gemel.network", network_->text()},
                      {"gemel.preprocessing", encoder_->preprocessing().text()},
                      {"gemel.distance", Metric::name(encoder_->metric().kind())},
                      {"gemel.threshold", float_text(info.threshold)},
                      {"gemel.calibrated_on", valid_utf8(info.calibrated_on)},
                      {"gemel.trained", valid_utf8(info.trained)}};
  save_parameters(encoder_->device(), encoder_->stream(), network_->parameters(), content);
  std::erase_if(content.tensors, [](const auto& tensor) { return tensor.first.starts_with(kHeadPrefix); });
  content.metadata.insert(faces.metadata.begin(), faces.metadata.end());
  content.tensors.insert(faces.tensors.begin(), faces.tensors.end());
  write_tensors(file, content);
}

std::string Model::fingerprint() {
  Hash hash;
  hash.add(network_->text());
  hash.add(encoder_->preprocessing().text());
  hash.add(Metric::name(encoder_->metric().kind()));
  TensorFile content;
  save_parameters(encoder_->device(), encoder_->stream(), network_->parameters(), content);
  hash.add(content);
  hash.add(faces);
  return hash.text();
}

}  // namespace gemel
