// SPDX-License-Identifier: MIT
//
// docs/numerics.md: how far a squared distance may be from the exact one, pair by pair, whatever rows are apart.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <random>
#include <string>
#include <vector>

#include "tests/kernels/tables.h"

namespace gemel::reference {
namespace {

// Of rows of d numbers.
double bound(const std::string& table, int d) {
  const double u = 0x1p-24, direct = (d + 2) * u;
  if (table.rfind("cpu", 0) == 0) return std::max(direct, 8 * (1.25 * d + 16) * u);
  if (table.find("tf32x3") != std::string::npos) return std::max(direct, 32 * (d / 16.0 + 54) * u);
  return direct;
}

// b's rows are a's, each moved by another share of a row's length.
struct Rows {
  static constexpr int kCount = 67;
  std::vector<float> a, b;

  explicit Rows(int d) {
    std::mt19937 random(7);
    std::normal_distribution<float> normal;
    for (int i = 0; i < kCount; ++i) {
      const float moved = std::pow(10.0f, -6.0f + 6.5f * static_cast<float>(i) / kCount);
      for (int k = 0; k < d; ++k) {
        a.push_back(1 + normal(random));
        b.push_back(a.back() + moved * normal(random));
      }
    }
  }
};

double exact(int d, const float* a, const float* b) {
  double sum = 0;
  for (int k = 0; k < d; ++k) {
    const double difference = double{a[k]} - double{b[k]};
    sum += difference * difference;
  }
  return sum;
}

TEST(DistanceBounds, HoldForEveryPairOfEveryTable) {
  for (const Table& table : tables()) {
    const bool whole = table.ops.empty(), rung = table.name.find("distance") != std::string::npos;
    if (!whole && !rung) continue;
    for (const int d : {3, 128, 131, 1024}) {
      const Rows rows(d);
      constexpr int n = Rows::kCount;
      std::vector<float> all(n * n);
      table.kernels.pairwise_distance(Queue{}, n, n, d, rows.a.data(), rows.b.data(), true, all.data());
      double worst = 0;
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) {
          const double want = exact(d, &rows.a[std::size_t(i) * d], &rows.b[std::size_t(j) * d]);
          const double error = std::abs(all[std::size_t(i) * n + j] - want) / want;
          worst = error <= worst ? worst : error;
        }
      }
      EXPECT_TRUE(worst <= bound(table.name, d)) << table.name << " d=" << d << ": " << worst;
      std::vector<float> paired(n);
      table.kernels.paired_distance(Queue{}, n, d, rows.a.data(), rows.b.data(), paired.data());
      for (int i = 0; i < n; ++i) {
        const double want = std::sqrt(exact(d, &rows.a[std::size_t(i) * d], &rows.b[std::size_t(i) * d]));
        const double error = std::abs(paired[std::size_t(i)] - want) / want;
        EXPECT_TRUE(error <= bound(table.name, d) / 2 + 0x1p-24) << table.name << " d=" << d << " pair " << i;
      }
    }
  }
}

}  // namespace
}  // namespace gemel::reference
