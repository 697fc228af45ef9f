// SPDX-License-Identifier: MIT
//
// safetensors files (https://github.com/huggingface/safetensors): 8 bytes little-endian header length, a JSON header
// {"name": {"dtype": "F32", "shape": [..], "data_offsets": [begin, end]}, "__metadata__": {string: string}}, then the
// data.
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "engine/parameters.h"

namespace gemel {

struct TensorFile {
  struct Tensor {
    std::vector<std::int64_t> shape;
    std::vector<float> values;
  };
  std::map<std::string, Tensor> tensors;  // F32 only
  std::map<std::string, std::string> metadata;
};

// Throws InputError naming the file and what is wrong: missing, too short, a header longer than the file, offsets
// outside of it or overlapping, counts that do not fit the shape, another dtype. Allocates nothing that the file's own
// size does not justify.
TensorFile read_tensors(const std::filesystem::path& file);

// Writes to a temporary file beside it, flushes, then renames: a full disk or a crash leaves the old file whole. Throws
// InputError.
void write_tensors(const std::filesystem::path& file, const TensorFile& content);

// Parameters <-> file, by name. load: throws InputError that lists missing and mis-shaped names; names only in the file
// are an error as well unless `allow_extra`.
void save_parameters(Device&, Stream&, const Parameters&, TensorFile& into);
void load_parameters(Device&, Stream&, const TensorFile& from, Parameters&, const std::string& file_name,
                     bool allow_extra = false);

}  // namespace gemel
