// SPDX-License-Identifier: MIT
//
// Reading trusts nothing: the header's length is compared with the file's before memory is taken for it, and the header
// with the data behind it (tensor_header.h) before memory is taken for a tensor.
#include "engine/checkpoint.h"

#include <algorithm>
#include <bit>
#include <nlohmann/json.hpp>

#include "engine/atomic_file.h"
#include "engine/input_file.h"
#include "engine/tensor_header.h"

namespace gemel {
namespace {

namespace fs = std::filesystem;

static_assert(std::endian::native == std::endian::little, "safetensors files are little-endian, and so is this reader");

constexpr std::size_t kLengthBytes = sizeof(std::uint64_t);
constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;  // the format's own limit

// The header's length, bounded by the file's.
std::size_t read_header_length(InputFile& file) {
  if (file.size() < kLengthBytes) {
    throw InputError(concat(file.name(), ": ", file.size(), " bytes are too short for a safetensors file"));
  }
  std::uint64_t length = 0;
  file.read(&length, sizeof(length));
  if (length > kMaxHeaderBytes || length > file.size() - kLengthBytes) {
    throw InputError(concat(file.name(), ": claims a header of ", length, " bytes in a file of ", file.size(),
                            "; it is cut off or no safetensors file"));
  }
  return static_cast<std::size_t>(length);
}

// The header, padded with spaces so that the data starts at a multiple of 8 bytes.
std::string header_text(const TensorFile& content, const fs::path& file) {
  nlohmann::ordered_json header = nlohmann::ordered_json::object();
  if (!content.metadata.empty()) header["__metadata__"] = content.metadata;
  std::size_t offset = 0;
  for (const auto& [name, tensor] : content.tensors) {
    if (name == "__metadata__") throw InputError(concat(file.string(), ": no tensor can be named ", name));
    const std::size_t end = offset + tensor.values.size() * sizeof(float);
    header[name] = {{"dtype", "F32"}, {"shape", tensor.shape}, {"data_offsets", {offset, end}}};
    offset = end;
  }
  std::string text;
  try {
    text = header.dump();
  } catch (const nlohmann::json::type_error&) {
    throw InputError(concat(file.string(), ": a name or its metadata is no valid UTF-8"));
  }
  text.resize((text.size() + 7) / 8 * 8, ' ');
  if (text.size() > kMaxHeaderBytes) {
    throw InputError(concat(file.string(), ": its names and metadata take ", text.size(),
                            " bytes; a safetensors file holds at most ", kMaxHeaderBytes));
  }
  return text;
}

std::vector<std::int64_t> dims(const Shape& shape) {
  std::vector<std::int64_t> dims;
  for (int i = 0; i < shape.rank(); ++i) dims.push_back(shape[i]);
  return dims;
}

std::string spelled(const std::vector<std::int64_t>& dims) {
  std::string text;
  for (std::int64_t dim : dims) text.append(text.empty() ? "" : "x").append(std::to_string(dim));
  return dims.empty() ? "scalar" : text;
}

// "a, b, c and 12 more".
std::string listed(const std::vector<std::string>& items) {
  constexpr std::size_t kMost = 6;
  std::string text;
  for (std::size_t i = 0; i < std::min(items.size(), kMost); ++i) text.append(i == 0 ? "" : ", ").append(items[i]);
  return items.size() > kMost ? concat(text, " and ", items.size() - kMost, " more") : text;
}

}  // namespace

TensorFile read_tensors(const fs::path& path) {
  InputFile file(path);
  std::string text(read_header_length(file), '\0');
  file.read(text.data(), text.size());
  TensorHeader header = parse_tensor_header(text, file.size() - kLengthBytes - text.size(), file.name());
  TensorFile content;
  content.metadata = std::move(header.metadata);
  for (auto& tensor : header.tensors) {  // in the order of their data, which follows the header without a gap
    TensorFile::Tensor& into = content.tensors[tensor.name];
    into.values.resize(tensor.count());
    file.read(into.values.data(), into.values.size() * sizeof(float));
    into.shape = std::move(tensor.shape);
  }
  return content;
}

void write_tensors(const fs::path& file, const TensorFile& content) {
  for (const auto& [name, tensor] : content.tensors) {
    std::size_t count = 1;
    for (std::int64_t dim : tensor.shape) count *= static_cast<std::size_t>(dim);
    if (count != tensor.values.size()) {
      throw InputError(concat(file.string(), ": tensor ", name, " has ", tensor.values.size(), " values, but shape ",
                              spelled(tensor.shape)));
    }
  }
  const std::string header = header_text(content, file);
  const std::uint64_t length = header.size();
  AtomicFile out(file);
  out.write(&length, sizeof(length));
  out.write(header.data(), header.size());
  for (const auto& [name, tensor] : content.tensors) {
    out.write(tensor.values.data(), tensor.values.size() * sizeof(float));
  }
  out.commit();
}

void save_parameters(Device& device, Stream& stream, const Parameters& parameters, TensorFile& into) {
  const std::vector<float> block = download(device, stream, parameters.values(), parameters.count());
  for (const Parameters::Entry& entry : parameters.entries()) {
    const float* values = block.data() + entry.offset;
    into.tensors[entry.name] = {dims(entry.shape), {values, values + entry.shape.count()}};
  }
}

void load_parameters(Device& device, Stream& stream, const TensorFile& from, Parameters& parameters,
                     const std::string& file_name, bool allow_extra) {
  std::vector<std::string> missing, misshaped, extra;
  std::vector<float> block(parameters.count());
  for (const Parameters::Entry& entry : parameters.entries()) {
    const auto found = from.tensors.find(entry.name);
    if (found == from.tensors.end()) {
      missing.push_back(entry.name);
    } else if (found->second.shape != dims(entry.shape) || found->second.values.size() != entry.shape.count()) {
      misshaped.push_back(
          concat(entry.name, " (", spelled(found->second.shape), " instead of ", entry.shape.str(), ")"));
    } else {
      std::copy(found->second.values.begin(), found->second.values.end(),
                block.begin() + static_cast<std::ptrdiff_t>(entry.offset));
    }
  }
  for (const auto& [name, tensor] : from.tensors) {
    if (!allow_extra && parameters.find(name) == nullptr) extra.push_back(quoted_name(name));
  }
  std::string wrong;
  if (!missing.empty()) wrong += concat("; missing: ", listed(missing));
  if (!misshaped.empty()) wrong += concat("; of another shape: ", listed(misshaped));
  if (!extra.empty()) wrong += concat("; unknown: ", listed(extra));
  if (!wrong.empty()) throw InputError(concat(file_name, ": does not fit the network", wrong));
  device.upload(stream, parameters.writable_values(), block.data(), block.size() * sizeof(float));
}

}  // namespace gemel
