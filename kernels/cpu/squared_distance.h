// SPDX-License-Identifier: MIT
//
// Squared distances in the register tile of the matrix products, at one multiply-add a term:
//
//   |a - b|^2 = (|a|^2 + |b|^2) - 2 ab          kept where it is at least kDirectBelow (|a|^2 + |b|^2)
//   |a - b|^2 = sum_k (a_k - b_k)^2             everywhere else
//
// The first form cancels for rows that are close by comparison with their length: what rounding left in its three sums
// stays, and what they measure goes. Where more than an eighth is left of |a|^2 + |b|^2, at most a factor of 8 is lost:
// with u = 2^-24, a kept distance is within 8 (1.25 d + 16) u of the true one, relatively, as a bound that no rounding
// can break (1.4e-6 d; in practice some 1e-6), and otherwise within (d + 2) u. Everything that is not a number falls to
// the second form too: NaN, infinities, and sums that overflow. Squares below 2^-126 lose digits in either form.
//
// Each distance depends on its two rows alone: the product is one chain in the order of k, a norm or a direct distance
// one chain a lane, and which form is used is a matter of the pair. Both forms are symmetric in a and b, to the bit.
// Equal rows are at exactly 0.
#pragma once

#include "kernels/cpu/elementwise.h"
#include "kernels/cpu/tile.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr float kDirectBelow = 0.125f;

constexpr int kTogether = 4;  // sums at a time: their chains hide each other's latency

// sums[i] = sum over k of (term(k, lanes, i))^2, one chain a lane, the lanes added in a fixed order.
template <class Term>
GEMEL_INLINE void sums_of_squares(int d, const Term& term, float (&sums)[kTogether]) {
  Vec<kLanes> sum[kTogether];
  GEMEL_UNROLL for (int i = 0; i < kTogether; ++i) sum[i] = Vec<kLanes>{};
  for_each_vector(static_cast<std::size_t>(d), [&](std::size_t k, int lanes) {
    GEMEL_UNROLL for (int i = 0; i < kTogether; ++i) {
      Vec<kLanes> v = term(k, lanes, i);
      GEMEL_OPAQUE(v);  // so that the last, partial vector is added as all others are, fused or not
      sum[i] += v * v;
    }
  });
  GEMEL_UNROLL for (int i = 0; i < kTogether; ++i) sums[i] = sum_lanes(sum[i]);
}

// |row|^2 of rows of d floats, `pitch` floats apart.
[[gnu::noinline]] void squared_norms(int rows, int d, const float* row, std::ptrdiff_t pitch, float* norms) {
  for (int first = 0; first < rows; first += kTogether) {
    const float* pointers[kTogether];
    for (int i = 0; i < kTogether; ++i) pointers[i] = row + min(first + i, rows - 1) * pitch;
    float sums[kTogether];
    sums_of_squares(
        d, [&](std::size_t k, int lanes, int i) { return load_lanes(pointers[i] + k, lanes); }, sums);
    for (int i = 0; i < min(kTogether, rows - first); ++i) norms[first + i] = sums[i];
  }
}

// What a distance is until it has been measured directly.
constexpr float kUnmeasured = -1.0f;

// Measures directly what is marked kUnmeasured among the squared distances of row a to `count` rows of b, `pitch`
// floats apart.
[[gnu::noinline]] void measure_directly(int d, const float* a, const float* b, std::ptrdiff_t pitch, int count,
                                        float* d2) {
  int marked[64];
  int found = 0;
  for (int i = 0; i < count; ++i) {
    if (d2[i] == kUnmeasured) marked[found++] = i;
  }
  for (int first = 0; first < found; first += kTogether) {
    const float* rows[kTogether];
    for (int i = 0; i < kTogether; ++i) rows[i] = b + marked[min(first + i, found - 1)] * pitch;
    float sums[kTogether];
    sums_of_squares(
        d, [&](std::size_t k, int lanes, int i) { return load_lanes(a + k, lanes) - load_lanes(rows[i] + k, lanes); },
        sums);
    for (int i = 0; i < min(kTogether, found - first); ++i) d2[marked[first + i]] = sums[i];
  }
}

// Whether any lane is set (all bits, as a comparison sets them).
template <int Lanes>
GEMEL_INLINE bool any(IntVec<Lanes> mask) {
  std::uint64_t words[Lanes / 2];
  __builtin_memcpy(words, &mask, sizeof words);
  std::uint64_t all = 0;
  GEMEL_UNROLL for (int i = 0; i < Lanes / 2; ++i) all |= words[i];
  return all != 0;
}

// Products of a row with a vector of columns -> squared distances; sets the lanes of `cancels` that are not to be kept.
template <int Lanes>
GEMEL_INLINE Vec<Lanes> from_product(Vec<Lanes> product, float row_norm, const float* column_norms,
                                     IntVec<Lanes>& cancels) {
  const Vec<Lanes> lengths = broadcast<Lanes>(row_norm) + load<Lanes>(column_norms);
  const Vec<Lanes> d2 = lengths - 2.0f * product;
  cancels |= ~(d2 - kDirectBelow * lengths >= 0.0f);  // true for NaN
  return d2;
}

// Products of `rows` rows with a panel's columns -> squared distances, kUnmeasured where they cancel. Whether any does.
template <class Size>
[[gnu::noinline]] bool from_products(int rows, const float* row_norms, const float* column_norms, float* tile) {
  constexpr int kWide = Size::kLanes;
  IntVec<kWide> unmeasured{};
  for (int i = 0; i < rows; ++i, tile += Size::kWidth) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      IntVec<kWide> cancels{};
      const Vec<kWide> d2 =
          from_product<kWide>(load<kWide>(tile + j * kWide), row_norms[i], column_norms + j * kWide, cancels);
      store<kWide>(tile + j * kWide, cancels ? broadcast<kWide>(kUnmeasured) : d2);
      unmeasured |= cancels;
    }
  }
  return any<kWide>(unmeasured);
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
