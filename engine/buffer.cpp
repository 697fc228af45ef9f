// SPDX-License-Identifier: MIT
//
// Shapes count in size_t; an Arena is one Buffer cut into pieces.
#include "engine/buffer.h"

#include <limits>

namespace gemel {
namespace {

constexpr std::size_t kPieceAlignment = 256;

}  // namespace

Shape::Shape(std::initializer_list<int> dims) {
  if (dims.size() > dims_.size())
    throw ShapeError(concat("a shape of ", dims.size(), " dimensions; ", dims_.size(), " are possible"));
  for (int dim : dims) dims_[static_cast<std::size_t>(rank_++)] = dim;
  std::size_t count = 1;
  for (int dim : dims) {
    if (dim < 1) throw ShapeError(concat("shape ", str(), ": each dimension must be 1 or more"));
    if (count > std::numeric_limits<std::ptrdiff_t>::max() / sizeof(float) / static_cast<std::size_t>(dim)) {
      throw ShapeError(concat("shape ", str(), ": more elements than memory has addresses"));
    }
    count *= static_cast<std::size_t>(dim);
  }
}

std::size_t Shape::count() const {
  std::size_t count = 1;
  for (int dim : dims_) count *= static_cast<std::size_t>(dim);
  return count;
}

std::string Shape::str() const {
  if (rank_ == 0) return "scalar";
  std::string text = std::to_string((*this)[0]);
  for (int i = 1; i < rank_; ++i) text.append("x").append(std::to_string((*this)[i]));
  return text;
}

Buffer::Buffer(Device& device, std::size_t bytes) : device_(&device), data_(device.allocate(bytes)), bytes_(bytes) {}

Buffer::~Buffer() {
  if (device_ != nullptr) device_->free(data_);
}

Arena::Piece Arena::plan(std::size_t bytes) {
  if (buffer_.data() != nullptr) throw Error("Arena: plan after allocate");
  const std::size_t room = std::numeric_limits<std::size_t>::max() - kPieceAlignment - planned_;
  if (bytes > room) throw DeviceError(concat("a plan of more memory than has addresses: ", bytes, " bytes"));
  const Piece piece{planned_, bytes};
  planned_ += (bytes + kPieceAlignment - 1) / kPieceAlignment * kPieceAlignment;
  return piece;
}

void Arena::allocate(Device& device) {
  if (buffer_.data() != nullptr) throw Error("Arena: allocated twice");
  buffer_ = Buffer(device, planned_);
}

void* Arena::data(Piece piece) const {
  if (piece.bytes == 0) return nullptr;
  if (buffer_.data() == nullptr) throw Error("Arena: a piece is used before allocate");
  return static_cast<std::byte*>(buffer_.data()) + piece.offset;
}

std::vector<float> download(Device& device, Stream& stream, const float* from, std::size_t count) {
  std::vector<float> values(count);
  device.download(stream, values.data(), from, count * sizeof(float));
  return values;
}

}  // namespace gemel
