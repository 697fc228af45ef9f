// SPDX-License-Identifier: MIT
//
// A model is one safetensors file: named tensors, and in its metadata the network's text, the preprocessing, the
// distance and the calibrated threshold, so that `verify` needs nothing else.
#pragma once

#include <filesystem>
#include <memory>
#include <string>

#include "engine/checkpoint.h"
#include "siamese/twin_encoder.h"

namespace gemel {

struct ModelInfo {
  std::string network;  // text
  Preprocessing preprocessing;
  float threshold = 0;        // d <= threshold: same; means nothing while calibrated_on is empty
  std::string calibrated_on;  // "accuracy 0.93 on 10,000 pairs of idx:..."; empty: not calibrated
  std::string trained;        // one line: data, loss, steps, seed, device
};

class Model {
 public:
  // A new one: the network with fresh parameters. Throws ShapeError as TwinEncoder.
  Model(Network network, Preprocessing preprocessing, Device& device, std::uint64_t seed,
        Metric::Kind metric = Metric::Kind::euclidean);
  // A new one to be trained with `loss` on `classes` identities: with the loss's metric and head as well.
  Model(Network network, Preprocessing preprocessing, Device& device, std::uint64_t seed, const EmbeddingLoss& loss,
        int classes);
  // A copy of `other`'s network to be trained on: with this loss's metric and head, the first `frozen` layers as they are
  // (Network::freeze).
  Model(Model& other, Device& device, std::uint64_t seed, const EmbeddingLoss& loss, int classes, int frozen);
  // Throws InputError naming the file and what is wrong with it; allocates nothing that the file's size does not
  // justify.
  static Model load(const std::filesystem::path& file, Device& device);
  // Without the loss's head: what embeds and measures distances, and nothing else. Throws InputError.
  void save(const std::filesystem::path& file);
  // 16 hexadecimal digits of all that decides an embedding and a distance: network, preprocessing, metric, parameters,
  // and what finds faces. Neither the threshold nor the device changes it.
  std::string fingerprint();

  ModelInfo info;
  // What finds faces in photographs (FaceModel), or nothing; it goes with the model from file to file. Not looked into.
  TensorFile faces;
  TwinEncoder& encoder() { return *encoder_; }
  Network& network() { return *network_; }

 private:
  Model() = default;
  // Parameters are declared: allocates, and makes the encoder.
  void start(Preprocessing preprocessing, Device& device, std::uint64_t seed, Metric::Kind metric);
  std::unique_ptr<Network> network_;  // its address must not change: the encoder borrows it
  std::unique_ptr<TwinEncoder> encoder_;
};

}  // namespace gemel
