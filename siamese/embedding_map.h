// SPDX-License-Identifier: MIT
//
// Embeddings on a plane, to be looked at: near ones near each other.
#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace gemel {

struct MapPoint {
  double x, y;
};

// The two directions in which n rows of D numbers, centred, spread most, and the rows' places along them (principal
// components, by power iteration); 0 where there is no spread.
std::vector<MapPoint> principal_map(std::span<const float> embeddings, int n, int d);

// t-SNE (van der Maaten & Hinton 2008), exact, so for some hundred rows: neighbours stay neighbours, distances between
// far groups mean little. Starts from the principal map (Kobak & Berens 2019), step size n / exaggeration (Belkina et
// al. 2019). Without chance: the same bits on any number of threads. Throws Error where a number is not finite.
std::vector<MapPoint> neighbour_map(std::span<const float> embeddings, int n, int d, double perplexity = 20);

}  // namespace gemel
