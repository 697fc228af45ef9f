// SPDX-License-Identifier: MIT
//
// Buffer owns device memory; View borrows a shaped piece of it; Arena plans many pieces as one allocation.
#pragma once

#include <array>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "engine/device.h"

namespace gemel {

// Up to four dimensions, row-major. Activations: (N,H,W,C) or (N,D).
class Shape {
 public:
  Shape() = default;
  Shape(std::initializer_list<int> dims);
  int rank() const { return rank_; }
  int operator[](int i) const { return dims_[static_cast<std::size_t>(i)]; }
  std::size_t count() const;
  std::string str() const;  // "28x28x1"
  bool operator==(const Shape&) const = default;

 private:
  std::array<int, 6> dims_{1, 1, 1, 1, 1, 1};
  int rank_ = 0;
};

// Owns device bytes. Moves, never copies; must not outlive its device.
class Buffer {
 public:
  Buffer() = default;
  Buffer(Device& device, std::size_t bytes);
  Buffer(Buffer&& other) noexcept { swap(other); }
  Buffer& operator=(Buffer&& other) noexcept {
    Buffer moved(std::move(other));
    swap(moved);
    return *this;
  }
  ~Buffer();
  void* data() const { return data_; }
  float* f32() const { return static_cast<float*>(data_); }
  std::size_t bytes() const { return bytes_; }

 private:
  void swap(Buffer& other) noexcept {
    std::swap(device_, other.device_);
    std::swap(data_, other.data_);
    std::swap(bytes_, other.bytes_);
  }
  Device* device_ = nullptr;
  void* data_ = nullptr;
  std::size_t bytes_ = 0;
};

// Plans sizes first, allocates once, then hands out 256-byte aligned pieces.
//   Arena arena; auto a = arena.plan(bytes); ... arena.allocate(device); float* p = arena.f32(a);
class Arena {
 public:
  struct Piece {
    std::size_t offset = 0, bytes = 0;
  };
  Piece plan(std::size_t bytes);
  void allocate(Device& device);  // once, after all planning
  void* data(Piece piece) const;  // null for a piece of 0 bytes
  float* f32(Piece piece) const { return static_cast<float*>(data(piece)); }
  std::size_t bytes() const { return planned_; }

 private:
  std::size_t planned_ = 0;
  Buffer buffer_;
};

// Host copies of device data, for tests, evaluation and checkpoints.
std::vector<float> download(Device&, Stream&, const float* from, std::size_t count);

}  // namespace gemel
