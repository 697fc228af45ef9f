// SPDX-License-Identifier: MIT
//
// Internal: the JSON header of a safetensors file, read from untrusted bytes.
#pragma once

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace gemel {

struct TensorHeader {
  struct Tensor {
    std::string name;
    std::vector<std::int64_t> shape;
    std::size_t begin, end;  // bytes of the data section
    std::size_t count() const { return (end - begin) / sizeof(float); }
  };
  std::vector<Tensor> tensors;  // in the order of their data
  std::map<std::string, std::string> metadata;
};

// Throws InputError "FILE: what is wrong" unless every tensor is F32, its bytes are those its shape asks for, and the
// tensors cover the `data_bytes` after the header without gap or overlap. Memory is in proportion to text's.
TensorHeader parse_tensor_header(std::string_view text, std::size_t data_bytes, const std::string& file);

// A name from a file as an error message may show it: quoted, control characters escaped, cut when long.
std::string quoted_name(std::string_view name);

}  // namespace gemel
