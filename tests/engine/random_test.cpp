// SPDX-License-Identifier: MIT
//
// Philox against the known answers of its authors, and the distributions against their moments.
#include "engine/random.h"

#include <gtest/gtest.h>

#include <array>
#include <cmath>
#include <cstdint>
#include <vector>

namespace gemel {
namespace {

using Words = std::array<std::uint32_t, 4>;

// Random123's tests/kat_vectors, "philox4x32 10": counter, key, result.
TEST(Philox, KnownAnswers) {
  EXPECT_EQ(philox4x32(0, 0, 0), (Words{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  EXPECT_EQ(philox4x32(~0ull, ~0ull, ~0ull), (Words{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
  // counter 243f6a88 85a308d3 13198a2e 03707344, key a4093822 299f31d0: the digits of pi
  EXPECT_EQ(philox4x32(0x299f31d0a4093822, 0x0370734413198a2e, 0x85a308d3243f6a88),
            (Words{0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1}));
}

TEST(Random, IsAFunctionOfSeedAndStream) {
  Random a(7, 3), same(7, 3), other_seed(8, 3), other_stream(7, 4);
  int equal_seed = 0, equal_stream = 0;
  for (int i = 0; i < 101; ++i) {
    const std::uint32_t bits = a.bits();
    EXPECT_EQ(bits, same.bits());
    equal_seed += bits == other_seed.bits() ? 1 : 0;
    equal_stream += bits == other_stream.bits() ? 1 : 0;
  }
  EXPECT_EQ(equal_seed, 0);
  EXPECT_EQ(equal_stream, 0);
}

// FNV-1a's published values for "" and "a".
TEST(Random, StreamsOfNames) {
  EXPECT_EQ(stream_of(""), 0xcbf29ce484222325u);
  EXPECT_EQ(stream_of("a"), 0xaf63dc4c8601ec8cu);
}

TEST(Random, BitsAreTheBlocksInOrder) {
  Random random(5, 9);
  for (std::uint64_t counter = 0; counter < 3; ++counter) {
    for (std::uint32_t word : philox4x32(5, 9, counter)) EXPECT_EQ(random.bits(), word);
  }
}

// Mean and variance of n samples lie within 5 standard errors of what the distribution says.
void expect_moments(const std::vector<double>& samples, double mean, double variance, double fourth_moment) {
  const double n = static_cast<double>(samples.size());
  double sum = 0, squares = 0;
  for (double x : samples) sum += x;
  for (double x : samples) squares += (x - mean) * (x - mean);
  EXPECT_TRUE(std::abs(sum / n - mean) <= 5 * std::sqrt(variance / n)) << sum / n;
  EXPECT_TRUE(std::abs(squares / n - variance) <= 5 * std::sqrt((fourth_moment - variance * variance) / n))
      << squares / n;
}

TEST(Random, UniformHasItsMomentsAndRange) {
  Random random(1);
  std::vector<double> samples;
  for (int i = 0; i < 100003; ++i) {
    const float x = random.uniform();
    ASSERT_TRUE(x >= 0 && x < 1) << x;
    samples.push_back(x);
  }
  expect_moments(samples, 0.5, 1.0 / 12, 1.0 / 80);
  for (int i = 0; i < 1009; ++i) {
    const float x = random.uniform(-3, 2);
    ASSERT_TRUE(x >= -3 && x <= 2) << x;
  }
}

TEST(Random, UnitUniformNeverReachesOne) {
  EXPECT_EQ(unit_uniform(0), 0);
  EXPECT_EQ(unit_uniform(0xFFFFFFFF), 1 - 0x1p-24f);
}

TEST(Random, NormalHasItsMoments) {
  Random random(2);
  std::vector<double> samples, cubes;
  for (int i = 0; i < 100003; ++i) {
    samples.push_back(random.normal());
    cubes.push_back(std::pow(samples.back(), 3));
  }
  expect_moments(samples, 0, 1, 3);
  expect_moments(cubes, 0, 15, 10395);
}

TEST(Random, BoxMullerPairsAreIndependentAndFinite) {
  Random random(3);
  std::vector<double> products;
  for (int i = 0; i < 50021; ++i) {
    const auto [a, b] = box_muller(random.bits(), random.bits());
    products.push_back(double{a} * b);
  }
  expect_moments(products, 0, 1, 9);
  for (std::uint32_t bits : {0u, 0xFFFFFFFFu}) {
    for (float x : box_muller(bits, bits)) EXPECT_TRUE(std::abs(x) < 6.7f) << x;
  }
}

TEST(Random, BelowIsUniformOverItsRange) {
  Random random(4);
  constexpr int kBound = 7, kSamples = 70001;
  std::array<int, kBound> counts{};
  for (int i = 0; i < kSamples; ++i) {
    const int x = random.below(kBound);
    ASSERT_TRUE(x >= 0 && x < kBound) << x;
    ++counts[static_cast<std::size_t>(x)];
  }
  double chi_squared = 0;
  for (int count : counts) chi_squared += std::pow(count - kSamples / 7.0, 2) / (kSamples / 7.0);
  EXPECT_TRUE(chi_squared <= 22.46) << chi_squared;  // 6 degrees of freedom, p = 0.001
  EXPECT_EQ(random.below(1), 0);
}

// 2^32 / bound is 2.67: without rejection each value would come up 2 or 3 times in 2^32, in a pattern of period 3.
TEST(Random, BelowHasNoBiasForLargeBounds) {
  Random random(5);
  constexpr int kBound = 3 << 29, kSamples = 30011;
  std::array<int, 3> residues{};
  for (int i = 0; i < kSamples; ++i) ++residues[static_cast<std::size_t>(random.below(kBound) % 3)];
  const double deviation = std::sqrt(kSamples * (1.0 / 3) * (2.0 / 3));
  for (int count : residues) EXPECT_TRUE(std::abs(count - kSamples / 3.0) <= 5 * deviation) << count;
}

}  // namespace
}  // namespace gemel
