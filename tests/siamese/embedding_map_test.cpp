// SPDX-License-Identifier: MIT
//
// Maps: the principal one against a spread that is known, the neighbours' one by what stays together.
#include "siamese/embedding_map.h"

#include <cmath>
#include <limits>

#include "engine/error.h"
#include "engine/random.h"
#include "kernels/simt/thread_pool.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

double distance(const MapPoint& a, const MapPoint& b) { return std::hypot(a.x - b.x, a.y - b.y); }

// Spread 9 along one slanted direction, 3 along another, hardly any along the rest, around a far centre.
TEST(PrincipalMap, FindsTheDirectionsOfLargestSpread) {
  constexpr int kRows = 61, kDim = 7;
  Random random(3);
  std::vector<float> rows, first, second;
  for (int i = 0; i < kRows; ++i) {
    first.push_back(9 * random.normal());
    second.push_back(3 * random.normal());
    for (int k = 0; k < kDim; ++k) {
      const float along = k == 1 ? 0.6F : k == 4 ? 0.8F : 0, across = k == 1 ? -0.8F : k == 4 ? 0.6F : 0;
      rows.push_back(100 + first.back() * along + second.back() * across + 0.01F * random.normal());
    }
  }
  const std::vector<MapPoint> map = principal_map(rows, kRows, kDim);
  // Distances on the plane of the two are those on the map.
  for (int i = 1; i < kRows; ++i) {
    const auto a = static_cast<std::size_t>(i - 1), b = static_cast<std::size_t>(i);
    const double want = std::hypot(first[a] - first[b], second[a] - second[b]);
    EXPECT_NEAR(distance(map[a], map[b]), want, 0.1) << i;
  }
  double x = 0, y = 0;
  for (const MapPoint& point : map) x += point.x * point.x, y += point.y * point.y;
  EXPECT_GT(x, 4 * y);
}

// Groups far apart in 31 dimensions, more of them than a plane of principal components can keep apart.
TEST(NeighbourMap, KeepsNeighboursTogether) {
  constexpr int kGroups = 12, kEach = 11, kDim = 31;
  Random random(5);
  std::vector<float> rows;
  for (int group = 0; group < kGroups; ++group) {
    std::vector<float> centre;
    for (int k = 0; k < kDim; ++k) centre.push_back(random.normal());
    for (int i = 0; i < kEach; ++i) {
      for (const float c : centre) rows.push_back(c + 0.25F * random.normal());
    }
  }
  const int n = kGroups * kEach;
  auto in_order = [&](const std::vector<MapPoint>& map) {
    int right = 0;
    for (int i = 0; i < n; ++i) {
      int nearest = -1;
      for (int j = 0; j < n; ++j) {
        const auto at = [&](int row) { return map[static_cast<std::size_t>(row)]; };
        if (j != i && (nearest < 0 || distance(at(i), at(j)) < distance(at(i), at(nearest)))) nearest = j;
      }
      right += nearest / kEach == i / kEach ? 1 : 0;
    }
    return right;
  };
  const std::vector<MapPoint> map = neighbour_map(rows, n, kDim);
  EXPECT_EQ(in_order(map), n);
  EXPECT_LT(in_order(principal_map(rows, n, kDim)), n);  // it is worth the while

  ThreadPool& pool = ThreadPool::instance();
  const int threads = pool.threads();
  pool.set_threads(threads == 1 ? 2 : 1);
  const std::vector<MapPoint> again = neighbour_map(rows, n, kDim);
  pool.set_threads(threads);
  for (std::size_t i = 0; i < map.size(); ++i) {
    ASSERT_EQ(map[i].x, again[i].x);
    ASSERT_EQ(map[i].y, again[i].y);
  }
}

TEST(NeighbourMap, FewAndEqualRows) {
  for (const int n : {0, 1, 2, 3, 4, 5, 33}) {
    SCOPED_TRACE(n);
    for (const float slope : {0.0F, 1.0F}) {
      std::vector<float> rows;
      for (int i = 0; i < 2 * n; ++i) rows.push_back(slope * static_cast<float>(i / 2 % 4));  // many equal ones
      const std::vector<MapPoint> map = neighbour_map(rows, n, 2);
      ASSERT_EQ(map.size(), static_cast<std::size_t>(n));
      for (const MapPoint& point : map) EXPECT_TRUE(std::isfinite(point.x) && std::isfinite(point.y));
    }
  }
  EXPECT_THROW(neighbour_map(std::vector<float>{1, 2, 3}, 2, 2), ShapeError);
  EXPECT_THROW(neighbour_map(std::vector<float>{1, std::numeric_limits<float>::quiet_NaN()}, 1, 2), Error);
}

}  // namespace
}  // namespace gemel
