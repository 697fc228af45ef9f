// SPDX-License-Identifier: MIT
//
// The header is read event by event (nlohmann's SAX interface) rather than into a document: whatever does not belong
// is refused where it stands, duplicate names are seen, and deep or wide nonsense costs no memory.
#include "engine/tensor_header.h"

#include <algorithm>
#include <limits>
#include <nlohmann/json.hpp>
#include <optional>
#include <set>

#include "engine/error.h"

namespace gemel {
namespace {

constexpr std::string_view kMetadata = "__metadata__";

// Follows the one structure that is allowed: {name: {dtype, shape: [..], data_offsets: [..]}, __metadata__: {k: v}}.
class HeaderReader final : public nlohmann::json_sax<nlohmann::json> {
 public:
  HeaderReader(TensorHeader& header, std::string file) : header_(header), file_(std::move(file)) {}

  bool start_object(std::size_t) override {
    switch (place_) {
      case Place::start:
        place_ = Place::file;
        return true;
      case Place::file:
        if (key_ == kMetadata) {
          place_ = Place::metadata;
        } else {
          place_ = Place::tensor;
          tensor_ = {};
          tensor_.name = key_;
        }
        return true;
      default:
        return unexpected();
    }
  }

  bool key(string_t& key) override {
    if (place_ == Place::file && !names_.insert(key).second) fail(concat(quoted_name(key), " appears twice"));
    if (place_ == Place::metadata && header_.metadata.count(key) != 0) {
      fail(concat("the metadata ", quoted_name(key), " appears twice"));
    }
    key_ = std::move(key);
    return true;
  }

  bool end_object() override {
    if (place_ == Place::tensor) {
      finish_tensor();
      place_ = Place::file;
    } else {
      place_ = place_ == Place::metadata ? Place::file : Place::end;
    }
    return true;
  }

  bool start_array(std::size_t) override {
    if (place_ == Place::tensor && key_ == "shape" && !tensor_.shape) {
      place_ = Place::shape;
      tensor_.shape.emplace();
    } else if (place_ == Place::tensor && key_ == "data_offsets" && !tensor_.offsets) {
      place_ = Place::offsets;
      tensor_.offsets.emplace();
    } else {
      return unexpected();
    }
    return true;
  }

  bool end_array() override {
    place_ = Place::tensor;
    return true;
  }

  bool number_unsigned(std::uint64_t value) override {
    if (value > static_cast<std::uint64_t>(std::numeric_limits<std::int64_t>::max())) {
      fail(concat("tensor ", quoted_name(tensor_.name), ": the number ", value, " is too large"));
    }
    if (place_ == Place::shape) {
      tensor_.shape->push_back(static_cast<std::int64_t>(value));
    } else if (place_ == Place::offsets) {
      tensor_.offsets->push_back(static_cast<std::int64_t>(value));
    } else {
      return unexpected();
    }
    return true;
  }

  bool string(string_t& value) override {
    if (place_ == Place::metadata) {
      header_.metadata.emplace(key_, std::move(value));
      return true;
    }
    if (place_ != Place::tensor || key_ != "dtype" || tensor_.has_type) return unexpected();
    if (value != "F32") {
      fail(concat("tensor ", quoted_name(tensor_.name), " is of type ", quoted_name(value),
                  "; only F32 can be read: convert it and save it again"));
    }
    return tensor_.has_type = true;
  }

  bool number_integer(std::int64_t) override {  // the unsigned go to number_unsigned
    if (place_ != Place::shape && place_ != Place::offsets) return unexpected();
    fail(concat("tensor ", quoted_name(tensor_.name), ": a negative number in ", key_));
  }
  bool null() override { return unexpected(); }
  bool boolean(bool) override { return unexpected(); }
  bool number_float(double, const string_t&) override { return unexpected(); }
  bool binary(nlohmann::json::binary_t&) override { return unexpected(); }
  bool parse_error(std::size_t position, const std::string&, const nlohmann::json::exception&) override {
    fail(concat("the header is no valid JSON at byte ", position));
  }

 private:
  enum class Place { start, file, metadata, tensor, shape, offsets, end };
  struct PartialTensor {
    std::string name;
    bool has_type = false;
    std::optional<std::vector<std::int64_t>> shape, offsets;
  };

  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(file_, ": ", what)); }

  [[noreturn]] bool unexpected() const {
    fail(place_ == Place::start ? std::string("the header is no JSON object")
                                : concat("unexpected header field at ", quoted_name(key_)));
  }

  void finish_tensor() {
    const std::string tensor = concat("tensor ", quoted_name(tensor_.name));
    if (!tensor_.has_type) fail(concat(tensor, " has no dtype"));
    if (!tensor_.shape) fail(concat(tensor, " has no shape"));
    if (!tensor_.offsets || tensor_.offsets->size() != 2) fail(concat(tensor, " needs two data_offsets"));
    const auto begin = static_cast<std::size_t>((*tensor_.offsets)[0]);
    const auto end = static_cast<std::size_t>((*tensor_.offsets)[1]);
    header_.tensors.push_back({std::move(tensor_.name), std::move(*tensor_.shape), begin, end});
  }

  TensorHeader& header_;
  std::string file_;
  Place place_ = Place::start;
  std::string key_;  // of the value at hand
  std::set<std::string> names_;
  PartialTensor tensor_;
};

// Bytes of a tensor of that shape; empty when 63 bits cannot hold them.
std::optional<std::size_t> bytes_of(const std::vector<std::int64_t>& shape) {
  if (std::find(shape.begin(), shape.end(), 0) != shape.end()) return 0;
  constexpr std::int64_t kMost = std::numeric_limits<std::int64_t>::max() / std::int64_t{sizeof(float)};
  std::int64_t count = 1;
  for (std::int64_t dim : shape) {
    if (dim > kMost / count) return std::nullopt;
    count *= dim;
  }
  return static_cast<std::size_t>(count) * sizeof(float);
}

}  // namespace

TensorHeader parse_tensor_header(std::string_view text, std::size_t data_bytes, const std::string& file) {
  if (text.empty() || text.front() != '{') throw InputError(concat(file, ": the header does not start with '{'"));
  TensorHeader header;
  HeaderReader reader(header, file);
  nlohmann::json::sax_parse(text.begin(), text.end(), &reader);

  auto& tensors = header.tensors;
  std::sort(tensors.begin(), tensors.end(), [](const auto& a, const auto& b) {
    return std::tie(a.begin, a.end, a.name) < std::tie(b.begin, b.end, b.name);
  });
  std::size_t covered = 0;
  for (const auto& tensor : tensors) {
    const auto fail = [&](const std::string& what) {
      throw InputError(concat(file, ": tensor ", quoted_name(tensor.name), " ", what));
    };
    if (tensor.end < tensor.begin) fail("ends before it begins");
    if (tensor.end > data_bytes) fail(concat("ends at byte ", tensor.end, " of ", data_bytes, " bytes of data"));
    const auto bytes = bytes_of(tensor.shape);
    if (!bytes) fail("has a shape of more elements than memory has addresses");
    if (*bytes != tensor.end - tensor.begin) {
      fail(concat("has ", tensor.end - tensor.begin, " bytes, but its shape asks for ", *bytes));
    }
    if (tensor.begin < covered) fail("overlaps another tensor");
    if (tensor.begin > covered) fail("leaves a gap before it");
    covered = tensor.end;
  }
  if (covered != data_bytes) {
    throw InputError(concat(file, ": ", data_bytes - covered, " bytes after the last tensor belong to none"));
  }
  return header;
}

std::string quoted_name(std::string_view name) {
  constexpr std::size_t kLongest = 80;
  std::string text(name.substr(0, kLongest));
  if (name.size() > kLongest) text += "...";
  return nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

}  // namespace gemel
