// SPDX-License-Identifier: MIT
//
// Philox4x32-10 (Salmon et al., "Parallel random numbers: as easy as 1, 2, 3", SC 2011): one definition for the host, for
// kernels and for native code. Ten rounds of two 32x32 -> 64 bit multiplications over four counter words, with a key
// that a Weyl sequence advances (section 3.3; constants of table 2 and of the Random123 library).
#pragma once

#include <cstdint>

namespace gemel {

struct PhiloxBlock {
  std::uint32_t word[4];
};

// The seed is the key, `counter` the lower and `stream` the upper half of the 128-bit counter.
constexpr PhiloxBlock philox_block(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
  constexpr std::uint32_t kMultiplier0 = 0xD2511F53, kMultiplier1 = 0xCD9E8D57;
  constexpr std::uint32_t kWeyl0 = 0x9E3779B9, kWeyl1 = 0xBB67AE85;  // golden ratio, sqrt(3) - 1
  std::uint32_t x0 = static_cast<std::uint32_t>(counter), x1 = static_cast<std::uint32_t>(counter >> 32);
  std::uint32_t x2 = static_cast<std::uint32_t>(stream), x3 = static_cast<std::uint32_t>(stream >> 32);
  std::uint32_t key0 = static_cast<std::uint32_t>(seed), key1 = static_cast<std::uint32_t>(seed >> 32);
  for (int round = 0; round < 10; ++round) {
    const std::uint64_t product0 = std::uint64_t{kMultiplier0} * x0, product1 = std::uint64_t{kMultiplier1} * x2;
    x0 = static_cast<std::uint32_t>(product1 >> 32) ^ x1 ^ key0;
    x1 = static_cast<std::uint32_t>(product1);
    x2 = static_cast<std::uint32_t>(product0 >> 32) ^ x3 ^ key1;
    x3 = static_cast<std::uint32_t>(product0);
    key0 += kWeyl0;
    key1 += kWeyl1;
  }
  return {{x0, x1, x2, x3}};
}

// 32 random bits -> [0, 1), from the upper 24: every value is a multiple of 2^-24.
constexpr float unit_uniform(std::uint32_t bits) { return static_cast<float>(bits >> 8) * 0x1p-24f; }

}  // namespace gemel
