// SPDX-License-Identifier: MIT
//
// TwinEncoder: one network, one pass over 2N rows. Rows i and i + N are a pair; weight sharing is an absence of code,
// and the shared gradient is summed by the ordinary reduction over the batch.
#pragma once

#include <memory>
#include <span>
#include <vector>

#include "engine/optimizer.h"
#include "layers/network.h"
#include "siamese/dataset.h"
#include "siamese/loss.h"
#include "siamese/metric.h"

namespace gemel {

class TwinEncoder {
 public:
  // The network's parameters must be allocated on `device`, the metric's among them. Throws ShapeError when the
  // network's input is not the preprocessing's size, or its output is no embedding.
  TwinEncoder(Network& network, Device& device, Preprocessing preprocessing,
              Metric::Kind metric = Metric::Kind::euclidean);

  // Embeddings (count, D) of images as bytes (count, H,W,C) already in the preprocessing's size; batches of at most
  // `batch`, on which the result does not depend. Waits. Throws ShapeError on another size.
  std::vector<float> embed(std::span<const std::uint8_t> images, int count, int batch = 256);
  std::vector<float> embed(const Dataset& data, int batch = 256);
  // Row i of a with row i of b, (n,D) each: distances (n) by the metric. Waits. Throws ShapeError when the sizes differ.
  std::vector<float> distances(std::span<const float> a, std::span<const float> b);

  Network& network() { return network_; }
  Device& device() { return device_; }
  Stream& stream() { return stream_; }
  const Preprocessing& preprocessing() const { return preprocessing_; }
  const Metric& metric() const { return metric_; }

 private:
  Network& network_;
  Device& device_;
  Stream stream_;
  Preprocessing preprocessing_;
  Metric metric_;
  std::unique_ptr<Plan> plan_;  // inference
  Buffer bytes_;                // (plan_->rows(), H,W,C)
};

}  // namespace gemel
