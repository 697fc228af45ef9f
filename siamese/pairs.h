// SPDX-License-Identifier: MIT
//
// Pairs of a data set's rows, and their distances.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gemel {

class TwinEncoder;

struct PairList {
  std::vector<std::int32_t> a, b;  // rows
  std::vector<std::uint8_t> same;
  std::size_t size() const { return a.size(); }
};

// Data sets with no more pairs than this are measured on all of them.
inline constexpr std::uint64_t kAllPairs = 200'000;

// `count` different pairs of rows, half of them same as far as there are any, by seed; count 0: all n(n-1)/2 pairs.
PairList make_pairs(std::span<const std::int32_t> labels, std::size_t count, std::uint64_t seed);

// Distances of the listed rows of (n,D), on the encoder's device, by the kernel that will judge pairs later.
std::vector<float> pair_distances(TwinEncoder& encoder, std::span<const float> embeddings, const PairList& pairs);

}  // namespace gemel
