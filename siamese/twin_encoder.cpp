// SPDX-License-Identifier: MIT
//
// Embedding in batches.
#include "siamese/twin_encoder.h"

#include <algorithm>

#include "engine/error.h"

namespace gemel {

TwinEncoder::TwinEncoder(Network& network, Device& device, Preprocessing preprocessing, Metric::Kind metric)
    : network_(network),
      device_(device),
      stream_(device.make_stream()),
      preprocessing_(std::move(preprocessing)),
      metric_(metric, network.parameters()) {
  const Preprocessing& p = preprocessing_;
  const Shape images{p.height, p.width, p.channels};
  static_cast<void>(network_.embedding_size());
  if (!(network_.input() == images)) {
    throw ShapeError(
        concat("the network takes images of ", network_.input().str(), ", the preprocessing makes ", images.str()));
  }
}

std::vector<float> TwinEncoder::embed(std::span<const std::uint8_t> images, int count, int batch) {
  const Preprocessing& p = preprocessing_;
  const std::size_t image_bytes = static_cast<std::size_t>(p.height) * p.width * p.channels;
  if (count < 0 || images.size() != static_cast<std::size_t>(count) * image_bytes) {
    throw ShapeError(concat("embed: ", images.size(), " bytes are not ", count, " images of ", p.height, "x", p.width,
                            "x", p.channels));
  }
  if (batch < 1) throw Error(concat("embed: a batch has at least 1 image, not ", batch));
  const auto d = static_cast<std::size_t>(network_.embedding_size());
  std::vector<float> embeddings(static_cast<std::size_t>(count) * d);
  if (count == 0) return embeddings;

  const int rows = std::min(batch, count);
  if (!plan_ || plan_->rows() < rows) {
    plan_ = std::make_unique<Plan>(network_, device_, rows, Plan::Mode::inference);
    bytes_ = Buffer(device_, static_cast<std::size_t>(rows) * image_bytes);
  }
  for (int first = 0; first < count; first += rows) {
    const int n = std::min(rows, count - first);
    const std::size_t begin = static_cast<std::size_t>(first) * image_bytes;
    device_.upload(stream_, bytes_.data(), images.data() + begin, static_cast<std::size_t>(n) * image_bytes);
    device_.kernels().image_to_float(plan_->queue(stream_), p.shape(n), static_cast<const std::uint8_t*>(bytes_.data()),
                                     nullptr, nullptr, plan_->input());
    plan_->forward(stream_, n);
    device_.download(stream_, embeddings.data() + static_cast<std::size_t>(first) * d, plan_->output(),
                     static_cast<std::size_t>(n) * d * sizeof(float));
  }
  return embeddings;
}

std::vector<float> TwinEncoder::embed(const Dataset& data, int batch) {
  const Preprocessing& p = preprocessing_;
  if (data.height != p.height || data.width != p.width || data.channels != p.channels) {
    throw ShapeError(concat(data.source, ": its images are ", data.height, "x", data.width, "x", data.channels,
                            ", the encoder takes ", p.height, "x", p.width, "x", p.channels,
                            "; load them in that size"));
  }
  return embed(data.pixels, data.size(), batch);
}

std::vector<float> TwinEncoder::distances(std::span<const float> a, std::span<const float> b) {
  const auto d = static_cast<std::size_t>(network_.embedding_size());
  if (a.size() != b.size() || a.size() % d != 0) {
    throw ShapeError(concat("distances: ", a.size(), " and ", b.size(), " numbers are not pairs of rows of ", d));
  }
  const std::size_t n = a.size() / d;
  const Buffer device_a(device_, a.size_bytes()), device_b(device_, b.size_bytes());
  const Buffer distance(device_, n * sizeof(float));
  std::vector<float> distances(n);
  device_.upload(stream_, device_a.data(), a.data(), a.size_bytes());
  device_.upload(stream_, device_b.data(), b.data(), b.size_bytes());
  metric_.paired(device_.kernels(), device_.queue(stream_), static_cast<int>(n), static_cast<int>(d), device_a.f32(),
                 device_b.f32(), distance.f32());
  device_.download(stream_, distances.data(), distance.f32(), distance.bytes());
  return distances;
}

}  // namespace gemel
