// SPDX-License-Identifier: MIT
//
// Philox4x32-10: ten rounds of two 32x32 -> 64 bit multiplications over four counter words, with a key that a Weyl
// sequence advances (Salmon et al., SC 2011, section 3.3; constants of table 2 and of the Random123 library).
#include "engine/random.h"

#include <cmath>
#include <numbers>

namespace gemel {
namespace {

constexpr int kRounds = 10;
constexpr std::uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1

constexpr std::uint32_t low_word(std::uint64_t x) { return static_cast<std::uint32_t>(x); }
constexpr std::uint32_t high_word(std::uint64_t x) { return static_cast<std::uint32_t>(x >> 32); }

}  // namespace

std::array<std::uint32_t, 4> philox4x32(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
  std::array<std::uint32_t, 4> x{low_word(counter), high_word(counter), low_word(stream), high_word(stream)};
  std::uint32_t key0 = low_word(seed), key1 = high_word(seed);
  for (int round = 0; round < kRounds; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * x[0];
    const std::uint64_t product1 = std::uint64_t{kMultiplier1} * x[2];
    x = {high_word(product1) ^ x[1] ^ key0, low_word(product1), high_word(product0) ^ x[3] ^ key1, low_word(product0)};
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return x;
}

float unit_uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

std::array<float, 2> box_muller(std::uint32_t bits0, std::uint32_t bits1) {
  const double u = (bits0 + 1.0) * 0x1p-32;  // (0, 1]: its logarithm is finite
  const double angle = 2 * std::numbers::pi * (bits1 * 0x1p-32);
  const double radius = std::sqrt(-2 * std::log(u));
  return {static_cast<float>(radius * std::cos(angle)), static_cast<float>(radius * std::sin(angle))};
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
  } while (low_word(product) < rejected);
  return static_cast<int>(high_word(product));
}

}  // namespace gemel
