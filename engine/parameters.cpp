// SPDX-License-Identifier: MIT
//
// Layout: frozen tensors, trainable ones, then the buffers, each in order of declaration and from a multiple of 64 floats (256 bytes, so
// that a tensor starts as aligned as an allocation does). The padding holds zeros, which every optimizer leaves alone.
//
// Element i of a tensor is a function of (seed, stream of the tensor's name, i): adding or resizing one layer leaves all
// others' values as they were.
#include "engine/parameters.h"

#include <cmath>
#include <span>

namespace gemel {
namespace {

constexpr std::size_t kAlignment = 64;  // floats

// A Philox block of four words gives four elements.
void fill_uniform(std::span<float> values, float bound, std::uint64_t seed, std::uint64_t stream) {
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const auto words = philox4x32(seed, stream, i / 4);
    for (std::size_t j = 0; j < 4 && i + j < values.size(); ++j) {
      values[i + j] = bound * (2 * unit_uniform(words[j]) - 1);
    }
  }
}

void fill_normal(std::span<float> values, float mean, float deviation, std::uint64_t seed, std::uint64_t stream) {
  for (std::size_t i = 0; i < values.size(); i += 4) {
    const auto words = philox4x32(seed, stream, i / 4);
    const auto first = box_muller(words[0], words[1]), second = box_muller(words[2], words[3]);
    const std::array<float, 4> normals{first[0], first[1], second[0], second[1]};
    for (std::size_t j = 0; j < 4 && i + j < values.size(); ++j) values[i + j] = mean + deviation * normals[j];
  }
}

// sqrt(numerator / connections).
float spread(float numerator, int connections, const std::string& name) {
  if (connections < 1) throw Error(concat("parameter ", name, ": its initializer needs the number of connections"));
  return std::sqrt(numerator / static_cast<float>(connections));
}

void fill(const Parameters::Entry& entry, std::span<float> values, std::uint64_t seed) {
  const Initializer& how = entry.initializer;
  const std::uint64_t stream = stream_of(entry.name);
  switch (how.kind) {
    case Initializer::Kind::zero:
      return;
    case Initializer::Kind::constant:
      return std::fill(values.begin(), values.end(), how.value);
    case Initializer::Kind::he_normal:
      return fill_normal(values, 0, spread(2, how.fan_in, entry.name), seed, stream);
    case Initializer::Kind::he_uniform:
      return fill_uniform(values, spread(6, how.fan_in, entry.name), seed, stream);
    case Initializer::Kind::glorot_uniform:
      return fill_uniform(values, spread(6, how.fan_in + how.fan_out, entry.name), seed, stream);
    case Initializer::Kind::caffe_xavier:
      return fill_uniform(values, spread(3, how.fan_in, entry.name), seed, stream);
    case Initializer::Kind::normal:
      return fill_normal(values, how.mean, how.value, seed, stream);
  }
  throw Error(concat("parameter ", entry.name, ": unknown initializer"));
}

}  // namespace

ParamId Parameters::declare(std::string name, Shape shape, Initializer initializer, bool trainable) {
  if (allocated_) throw Error(concat("parameter ", name, ": declared after allocate"));
  const auto id = static_cast<ParamId>(entries_.size());
  if (!by_name_.emplace(name, id).second) throw Error(concat("parameter ", name, ": declared twice"));
  entries_.push_back({std::move(name), shape, 0, initializer, trainable});
  return id;
}

void Parameters::freeze(std::size_t entries) {
  if (allocated_) throw Error("Parameters: frozen after allocate");
  for (std::size_t i = 0; i < entries; ++i) entries_.at(i).frozen = true;
}

void Parameters::allocate(Device& device, Stream& stream, std::uint64_t seed) {
  if (allocated_) throw Error("Parameters: allocated twice");
  count_ = 0;
  const auto place = [this](auto&& belongs) {
    for (Entry& entry : entries_) {
      if (!belongs(entry)) continue;
      entry.offset = count_;
      count_ += (entry.shape.count() + kAlignment - 1) / kAlignment * kAlignment;
    }
    return count_;
  };
  trainable_begin_ = place([](const Entry& entry) { return entry.trainable && entry.frozen; });
  trainable_end_ = place([](const Entry& entry) { return entry.trainable && !entry.frozen; });
  place([](const Entry& entry) { return !entry.trainable; });
  std::vector<float> values(count_);
  for (const Entry& entry : entries_) {
    fill(entry, std::span(values).subspan(entry.offset, entry.shape.count()), seed);
  }
  values_ = Buffer(device, count_ * sizeof(float));
  gradients_ = Buffer(device, count_ * sizeof(float));
  device.upload(stream, values_.data(), values.data(), values_.bytes());
  device.fill_zero(stream, gradients_.data(), gradients_.bytes());
  allocated_ = true;
}

float* Parameters::writable_buffer(ParamId id) const {
  const Entry& entry = entries_[static_cast<std::size_t>(id)];
  if (entry.trainable) throw Error(concat("parameter ", entry.name, ": is trained, and no forward pass may write it"));
  ++version_;
  return values_.f32() + entry.offset;
}

std::size_t Parameters::parameter_count() const {
  std::size_t count = 0;
  for (const Entry& entry : entries_) count += entry.trainable ? entry.shape.count() : 0;
  return count;
}

const Parameters::Entry* Parameters::find(const std::string& name) const {
  const auto found = by_name_.find(name);
  return found == by_name_.end() ? nullptr : &entries_[static_cast<std::size_t>(found->second)];
}

ParamId Parameters::id(const std::string& name) const {
  const auto found = by_name_.find(name);
  if (found == by_name_.end()) throw Error(concat("parameter ", name, ": not declared"));
  return found->second;
}

}  // namespace gemel
