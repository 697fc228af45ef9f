// SPDX-License-Identifier: MIT
//
// The native distances, whose products cancel for rows that are near each other: digit by digit against double, and the
// same bits whichever way, in whichever company and by whichever entry a pair is measured.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>
#include <string>
#include <vector>

#include "tests/kernels/cpu/native_tables.h"
#include "tests/reference/run_case.h"

namespace gemel {
namespace {

constexpr float kInfinity = std::numeric_limits<float>::infinity();

class NativeDistances : public NativeTables {
 protected:
  std::vector<float> pairwise(int n, int m, int d, const float* a, const float* b, bool squared = true) const {
    std::vector<float> distance(static_cast<std::size_t>(n) * m, std::nanf(""));
    kernels_->pairwise_distance(Queue{}, n, m, d, a, b, squared, distance.data());
    return distance;
  }
};

INSTANTIATE_TEST_SUITE_P(Isa, NativeDistances, testing::ValuesIn(cpu::kIsaNames), isa_test_name);

// Rows of `d` floats at every distance from each other that f32 can tell: row i is offset + normal numbers + those of a
// row before it, more or less of them.
std::vector<float> rows_at_all_distances(int n, int d, float offset, float scale) {
  reference::OpCase c;
  c.tensors = {{.name = "rows", .shape = {n * d}}};
  const std::vector<double> normal = make_inputs(c, 1).at("rows");
  std::vector<float> rows(normal.size());
  for (int i = 0; i < n; ++i) {
    for (int k = 0; k < d; ++k) {
      const double own = normal[static_cast<std::size_t>(i) * d + k], of_first = normal[k];
      rows[static_cast<std::size_t>(i) * d + k] =
          static_cast<float>(scale * (offset + of_first + std::ldexp(own, -(i % 29))));
    }
  }
  return rows;
}

double squared_distance(int d, const float* a, const float* b) {
  double sum = 0;
  for (int k = 0; k < d; ++k) sum += (double{a[k]} - b[k]) * (double{a[k]} - b[k]);
  return sum;
}

TEST_P(NativeDistances, KeepTheirDigits) {
  constexpr int kN = 61;
  for (const int d : {1, 3, 33, 128, 131, 300}) {
    for (const float offset : {0.0F, 5.0F, 1000.0F}) {
      for (const float scale : {1.0F, 1e-12F, 1e12F}) {
        SCOPED_TRACE("d " + std::to_string(d) + ", offset " + std::to_string(offset) + ", scale " +
                     std::to_string(scale));
        const std::vector<float> rows = rows_at_all_distances(kN, d, offset, scale);
        const std::vector<float> distance = pairwise(kN, kN, d, rows.data(), rows.data());
        const double bound = (1.25 * d + 16) * 0x1p-21;
        for (int i = 0; i < kN; ++i) {
          for (int j = 0; j < kN; ++j) {
            const double want =
                squared_distance(d, &rows[static_cast<std::size_t>(i) * d], &rows[static_cast<std::size_t>(j) * d]);
            const float got = distance[static_cast<std::size_t>(i) * kN + j];
            ASSERT_TRUE(std::abs(got - want) <= bound * want + d * 0x1p-147)
                << i << ", " << j << ": " << got << " for " << want;
            ASSERT_TRUE(i != j || got == 0);
          }
        }
      }
    }
  }
}

// Each at rows where the other form of the distance would give another number.
TEST_P(NativeDistances, BeyondTheRangeOfTheirSquares) {
  const std::vector<float> a{1e30F, 0, 1.5e19F, 1e-30F, kInfinity, std::nanf("")};
  const std::vector<float> b{1e30F, 2, 0.75e19F, 3e-23F, -kInfinity, 1};
  const std::vector<float> distance = pairwise(6, 6, 1, a.data(), b.data(), false);
  const auto at = [&](int i, int j) { return distance[static_cast<std::size_t>(i) * 6 + j]; };
  EXPECT_EQ(at(0, 0), 0);
  EXPECT_EQ(at(1, 1), 2);
  EXPECT_NEAR(at(2, 2), 0.75e19, 1e13);
  EXPECT_NEAR(at(3, 3), 3e-23, 1e-23);
  EXPECT_EQ(at(4, 4), kInfinity);
  EXPECT_EQ(at(4, 1), kInfinity);
  EXPECT_EQ(at(0, 1), kInfinity);  // its square is beyond f32
  for (int i = 0; i < 6; ++i) EXPECT_TRUE(std::isnan(at(5, i)));
}

TEST_P(NativeDistances, SameBitsAloneAndTheOtherWayRound) {
  for (const int d : {5, 128, 300}) {
    constexpr int kN = 67, kM = 301;
    const std::vector<float> a = rows_at_all_distances(kN, d, 1, 1), b = rows_at_all_distances(kM, d, 1, 1);
    const std::vector<float> together = pairwise(kN, kM, d, a.data(), b.data());
    const std::vector<float> turned = pairwise(kM, kN, d, b.data(), a.data());
    for (int i = 0; i < kN; ++i) {
      const std::vector<float> alone = pairwise(1, kM, d, &a[static_cast<std::size_t>(i) * d], b.data());
      const float* row = &together[static_cast<std::size_t>(i) * kM];
      ASSERT_EQ(std::memcmp(alone.data(), row, sizeof(float) * kM), 0) << i;
      for (int j = 0; j < kM; ++j) {
        ASSERT_EQ(row[j], turned[static_cast<std::size_t>(j) * kN + i]) << d << ": " << i << ", " << j;
        if (j % 50 == i % 50) {
          ASSERT_EQ(pairwise(1, 1, d, &a[static_cast<std::size_t>(i) * d], &b[static_cast<std::size_t>(j) * d])[0],
                    row[j]);
        }
      }
    }
  }
}

// A list of all rows holds what pairwise_distance says, for one query as for many.
TEST_P(NativeDistances, NearestAreThoseOfPairwise) {
  constexpr int kN = 67, kM = 9000, kK = 40, kD = 33;
  const std::vector<float> a = rows_at_all_distances(kN, kD, 1, 1), b = rows_at_all_distances(kM, kD, 1, 1);
  const reference::Memory memory = reference::host_memory();
  const auto nearest = [&](int first, int n, std::vector<float>& distance, std::vector<std::int32_t>& index) {
    const std::size_t bytes = kernels_->nearest_scratch(n, kM, kD, kK);
    void* scratch = memory.allocate(bytes);
    distance.assign(static_cast<std::size_t>(n) * kK, std::nanf(""));
    index.assign(static_cast<std::size_t>(n) * kK, -1);
    kernels_->nearest(Queue{.scratch = {scratch, bytes}}, n, kM, kD, kK, &a[static_cast<std::size_t>(first) * kD],
                      b.data(), false, distance.data(), index.data());
    memory.free(scratch);
  };
  const std::vector<float> all = pairwise(kN, kM, kD, a.data(), b.data(), false);
  std::vector<float> distance, alone;
  std::vector<std::int32_t> index, index_alone;
  nearest(0, kN, distance, index);
  for (int i = 0; i < kN; ++i) {
    const float* row = &all[static_cast<std::size_t>(i) * kM];
    float last = 0;
    for (int r = 0; r < kK; ++r) {
      const std::size_t at = static_cast<std::size_t>(i) * kK + r;
      ASSERT_EQ(distance[at], row[index[at]]);
      ASSERT_TRUE(distance[at] > last || (distance[at] == last && (r == 0 || index[at] > index[at - 1])));
      last = distance[at];
    }
    int nearer = 0;
    for (int j = 0; j < kM; ++j) nearer += row[j] < last;
    ASSERT_LT(nearer, kK);
  }
  for (const int i : {0, 31, kN - 1}) {
    nearest(i, 1, alone, index_alone);
    EXPECT_EQ(std::memcmp(alone.data(), &distance[static_cast<std::size_t>(i) * kK], sizeof(float) * kK), 0);
    EXPECT_EQ(std::memcmp(index_alone.data(), &index[static_cast<std::size_t>(i) * kK], sizeof(std::int32_t) * kK), 0);
  }
}

}  // namespace
}  // namespace gemel
