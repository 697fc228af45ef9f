// SPDX-License-Identifier: MIT
//
// Which images meet in a batch. Samplers write row numbers of a data set; the same seed gives the same batches
// everywhere.
#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/random.h"

namespace gemel {

class Sampler {
 public:
  virtual ~Sampler() = default;
  virtual int rows() const = 0;                          // of a batch
  virtual int alike() const = 0;                         // at most so many rows of a batch are of one identity
  virtual void next(std::span<std::int32_t> index) = 0;  // rows() numbers
  virtual std::string describe() const = 0;
};

// `pairs` pairs, rows i and i + pairs, half of them of one identity (same and different take turns, also from batch to
// batch). Anchors walk through shuffled epochs, one over all images for different pairs, one over the images that have
// a partner for same pairs, so each is an anchor equally often and none is ever paired with itself; a different pair's
// second identity is uniform over the others. Throws InputError with fewer than two identities, or no identity of two
// images.
std::unique_ptr<Sampler> balanced_pairs(std::span<const std::int32_t> labels, int pairs, std::uint64_t seed);

// P identities x K images of each (rows i * K .. i * K + K - 1 are one identity), without repetition while an identity
// has enough images (P x K batches, Hermans 2017). Identities walk through a shuffled epoch; no batch holds one twice.
// Throws InputError with fewer than P identities, or no identity of two images.
std::unique_ptr<Sampler> identities_by_images(std::span<const std::int32_t> labels, int p, int k, std::uint64_t seed);

}  // namespace gemel
