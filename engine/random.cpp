// SPDX-License-Identifier: MIT
//
// Random numbers for the host: a cursor over Philox blocks, and the distributions.
#include "engine/random.h"

#include <cmath>
#include <numbers>

namespace gemel {

std::array<std::uint32_t, 4> philox4x32(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
  const PhiloxBlock block = philox_block(seed, stream, counter);
  return {block.word[0], block.word[1], block.word[2], block.word[3]};
}

std::array<float, 2> box_muller(std::uint32_t bits0, std::uint32_t bits1) {
  const double u = (bits0 + 1.0) * 0x1p-32;  // (0, 1]: its logarithm is finite
  const double angle = 2 * std::numbers::pi * (bits1 * 0x1p-32);
  const double radius = std::sqrt(-2 * std::log(u));
  return {static_cast<float>(radius * std::cos(angle)), static_cast<float>(radius * std::sin(angle))};
}

std::uint64_t stream_of(std::string_view name) {
  std::uint64_t hash = 0xCBF29CE484222325;
  for (const char letter : name) hash = (hash ^ static_cast<unsigned char>(letter)) * 0x100000001B3;
  return hash;
}

std::uint32_t Random::bits() {
  if (left_ == 0) {
    block_ = philox4x32(seed_, stream_, counter_++);
    left_ = 4;
  }
  return block_[static_cast<std::size_t>(4 - left_--)];
}

float Random::uniform() { return unit_uniform(bits()); }

float Random::uniform(float low, float high) { return low + (high - low) * uniform(); }

float Random::normal() {
  const std::uint32_t bits0 = bits(), bits1 = bits();
  return box_muller(bits0, bits1)[0];
}

// Lemire, "Fast random integer generation in an interval", 2019, algorithm 5: the high word of bits * bound, where the
// low word is not among the 2^32 mod bound smallest.
int Random::below(int bound) {
  const auto range = static_cast<std::uint32_t>(bound);
  const std::uint32_t rejected = (0 - range) % range;
  std::uint64_t product;
  do {
    product = std::uint64_t{bits()} * range;
  } while (static_cast<std::uint32_t>(product) < rejected);
  return static_cast<int>(product >> 32);
}

}  // namespace gemel
