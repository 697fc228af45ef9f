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

namespace gemel {

class TwinEncoder {
 public:
  // The network's parameters must be allocated on `device`. Throws ShapeError when the network's input is not the
  // preprocessing's size.
  TwinEncoder(Network& network, Device& device, Preprocessing preprocessing);

  // Embeddings (count, D) of images as bytes (count, H,W,C) already in the preprocessing's size; batches of at most
  // `batch`, on which the result does not depend. Waits. Throws ShapeError on another size.
  std::vector<float> embed(std::span<const std::uint8_t> images, int count, int batch = 256);
  std::vector<float> embed(const Dataset& data, int batch = 256);

  Network& network() { return network_; }
  Device& device() { return device_; }
  Stream& stream() { return stream_; }
  const Preprocessing& preprocessing() const { return preprocessing_; }

 private:
  Network& network_;
  Device& device_;
  Stream stream_;
  Preprocessing preprocessing_;
  std::unique_ptr<Plan> plan_;  // inference
  Buffer bytes_;                // (plan_->rows(), H,W,C)
};

}  // namespace gemel
