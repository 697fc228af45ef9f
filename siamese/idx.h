// SPDX-License-Identifier: MIT
//
// IDX files, the format of MNIST and its relatives (http://yann.lecun.com/exdb/mnist): big-endian magic 00 00 08 RANK,
// RANK sizes of 32 bits, then unsigned bytes. Plain or gzip.
#pragma once

#include <cstdint>
#include <filesystem>
#include <vector>

#include "siamese/dataset.h"

namespace gemel {

struct IdxImages {
  int count = 0, height = 0, width = 0;
  std::vector<std::uint8_t> pixels;  // (count, height, width)
};

// Both throw InputError naming the file: missing, wrong magic (saying so where images and labels are swapped), no images,
// cut short, longer than its header says, damaged gzip data. Nothing is allocated that the file's own size could not hold
// (deflate shrinks by 1032 at most).
IdxImages read_idx_images(const std::filesystem::path& file);
std::vector<std::uint8_t> read_idx_labels(const std::filesystem::path& file);

// "IMAGES,LABELS", "DIR", "DIR:train", "DIR:test" (without the leading "idx:"). Throws InputError as load_dataset.
Dataset load_idx(const std::string& source, const LoadOptions& options);

}  // namespace gemel
