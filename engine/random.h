// SPDX-License-Identifier: MIT
//
// Random numbers as a function of (seed, stream, counter), without state, so that any order and any device gives the
// same ones: Philox, kernels/philox.h.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>

#include "kernels/philox.h"

namespace gemel {

// The seed is the key, the counter the lower and the stream the upper half of Philox's 128-bit counter.
std::array<std::uint32_t, 4> philox4x32(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter);

// 64 random bits -> two independent standard normal numbers (Box & Muller 1958), |z| < 6.7; computed in double.
std::array<float, 2> box_muller(std::uint32_t bits0, std::uint32_t bits1);

// The stream of a name (FNV-1a, 64 bits: Fowler, Noll, Vo): what is drawn for one tensor or layer does not depend on
// what others there are.
std::uint64_t stream_of(std::string_view name);

// A cursor over one Philox stream, with the distributions the engine needs.
class Random {
 public:
  explicit Random(std::uint64_t seed, std::uint64_t stream = 0) : seed_(seed), stream_(stream) {}
  std::uint32_t bits();
  float uniform();                       // [0, 1), 24 bits
  float uniform(float low, float high);  // rounding may reach `high`
  float normal();                        // Box-Muller; takes two words of bits
  int below(int bound);                  // [0, bound), without bias; bound > 0

 private:
  std::uint64_t seed_, stream_, counter_ = 0;
  std::array<std::uint32_t, 4> block_{};
  int left_ = 0;
};

}  // namespace gemel
