// SPDX-License-Identifier: MIT
//
// Parameters: the named tensors of a network in flat blocks of device memory, values and gradients of equal layout, so
// that an optimizer is one kernel over everything.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/random.h"

namespace gemel {

// How a parameter starts. fan_in and fan_out are the connections into and out of one unit: R*S*C and R*S*K for filters,
// In and Out for a linear layer. N(0, s) is normal with standard deviation s, U(a) uniform in [-a, a).
//   he_normal       N(0, sqrt(2 / fan_in))              He et al. 2015, eq. 10
//   he_uniform      U(sqrt(6 / fan_in))                 the same variance
//   glorot_uniform  U(sqrt(6 / (fan_in + fan_out)))     Glorot & Bengio 2010, eq. 16
//   caffe_xavier    U(sqrt(3 / fan_in))                 Caffe's "xavier" filler: variance 1 / fan_in
//   normal          N(mean, value)
struct Initializer {
  enum class Kind { zero, constant, he_normal, he_uniform, glorot_uniform, caffe_xavier, normal } kind = Kind::zero;
  float value = 0;  // constant: the value; normal: the standard deviation
  float mean = 0;   // normal
  int fan_in = 0, fan_out = 0;
};

using ParamId = int;

class Parameters {
 public:
  struct Entry {
    std::string name;  // "conv1.weight": stable, checkpoints match by it
    Shape shape;
    std::size_t offset;  // floats from the block's start, a multiple of 64; known after allocate()
    Initializer initializer;
    bool trainable;  // false: a buffer (running statistics), at the end of the block, outside the optimizer's range
    bool frozen = false;  // at the start of the block, outside the optimizer's range
  };

  // Before allocate(). Throws Error on a duplicate name.
  ParamId declare(std::string name, Shape shape, Initializer initializer, bool trainable = true);
  // Before allocate(). The `entries` declared first keep their values: no optimizer touches them.
  void freeze(std::size_t entries);
  // Once. Allocates both blocks (gradients zero) and fills the values from `seed`: same seed, same bits on every
  // device.
  void allocate(Device& device, Stream& stream, std::uint64_t seed);

  const float* value(ParamId id) const { return values_.f32() + entries_[static_cast<std::size_t>(id)].offset; }
  float* gradient(ParamId id) const { return gradients_.f32() + entries_[static_cast<std::size_t>(id)].offset; }
  const float* values() const { return values_.f32(); }
  // Grows with every writing of values: whoever derived something from them (packed filters) makes it anew.
  std::uint64_t version() const { return version_; }
  void count_writing() { ++version_; }
  // Grows with every writing that may have reached frozen values: all but an optimizer's.
  std::uint64_t frozen_version() const { return frozen_version_; }
  // To write to, now or in work that is queued next; it counts as one writing.
  float* writable(ParamId id) { return writable_values() + entries_[static_cast<std::size_t>(id)].offset; }
  float* writable_values() {
    count_writing();
    ++frozen_version_;
    return values_.f32();
  }
  // The optimizer's range alone: trainable_count() floats.
  float* writable_trainable() {
    count_writing();
    return values_.f32() + trainable_begin_;
  }
  float* trainable_gradients() const { return gradients_.f32() + trainable_begin_; }
  // A buffer's values, for a forward pass to write to (running statistics), which has the parameters const; it counts as
  // one writing. Throws Error for what is trainable.
  float* writable_buffer(ParamId id) const;
  float* gradients() const { return gradients_.f32(); }
  std::size_t count() const { return count_; }  // floats of a block, padding included
  // Floats the optimizer runs over: what is neither frozen nor a buffer.
  std::size_t trainable_count() const { return trainable_end_ - trainable_begin_; }
  std::size_t parameter_count() const;  // numbers without padding and buffers, frozen or not: what people quote
  const std::vector<Entry>& entries() const { return entries_; }
  const Entry* find(const std::string& name) const;
  ParamId id(const std::string& name) const;  // throws Error where there is none

 private:
  std::vector<Entry> entries_;
  std::map<std::string, ParamId> by_name_;
  bool allocated_ = false;
  mutable std::uint64_t version_ = 1;  // of device memory, which a const object may change
  std::uint64_t frozen_version_ = 1;
  std::size_t count_ = 0, trainable_begin_ = 0, trainable_end_ = 0;
  Buffer values_, gradients_;
};

}  // namespace gemel
