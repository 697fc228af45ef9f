// SPDX-License-Identifier: MIT
//
// Verification figures against values worked out by hand and against their definitions in O(n^2); pairs; health.
#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <set>

#include "engine/error.h"
#include "engine/random.h"
#include "siamese/evaluate.h"

namespace gemel {
namespace {

TEST(VerifyPairs, ByHand) {
  // distance  1     2     2     3     4     5
  //           same  same  diff  diff  same  diff
  const std::vector<float> distances{4, 2, 1, 3, 2, 5};
  const std::vector<std::uint8_t> same{1, 0, 1, 0, 1, 0};
  const Verification v = verify_pairs(distances, same);
  EXPECT_EQ(v.same, 3u);
  EXPECT_EQ(v.different, 3u);
  // Of 9 comparisons 1 beats all three, 2 beats two and ties one, 4 beats one.
  EXPECT_NEAR(v.auc, (3 + 2.5 + 1) / 9, 1e-12);
  // (FAR, TAR): (0,0) (0,1/3) (1/3,2/3) (2/3,2/3) (2/3,1) (1,1): FAR = 1 - TAR at (1/3, 2/3).
  EXPECT_NEAR(v.eer, 1.0 / 3, 1e-12);
  EXPECT_NEAR(v.eer_threshold, 2.5, 1e-6);
  EXPECT_NEAR(v.best_accuracy, 2.0 / 3, 1e-12);  // first reached with 1 alone accepted
  EXPECT_NEAR(v.best_threshold, 1.5, 1e-6);
  EXPECT_NEAR(v.tar_at_far_1e2, 1.0 / 3, 1e-12);
  EXPECT_NEAR(v.tar_at_far_1e3, 1.0 / 3, 1e-12);
  ASSERT_FALSE(v.roc.empty());
  EXPECT_EQ(v.roc.front().far, 0);
  EXPECT_EQ(v.roc.back().tar, 1);
}

TEST(VerifyPairs, EerBetweenPoints) {
  // One tied group of all: the curve is the diagonal, FAR = 1 - TAR in its middle.
  const Verification v = verify_pairs(std::vector<float>(7, 2.0F), std::vector<std::uint8_t>{1, 1, 1, 0, 0, 0, 0});
  EXPECT_NEAR(v.eer, 0.5, 1e-12);
  EXPECT_NEAR(v.auc, 0.5, 1e-12);
  EXPECT_NEAR(v.best_accuracy, 0.5, 1e-12);
  EXPECT_EQ(v.tar_at_far_1e2, 0);
}

TEST(VerifyPairs, PerfectAndInverted) {
  const std::vector<float> distances{0, 0.5F, 2, 3};
  const Verification right = verify_pairs(distances, std::vector<std::uint8_t>{1, 1, 0, 0});
  EXPECT_EQ(right.auc, 1);
  EXPECT_EQ(right.eer, 0);
  EXPECT_EQ(right.best_accuracy, 1);
  EXPECT_EQ(right.best_threshold, 1.25F);
  EXPECT_EQ(right.tar_at_far_1e3, 1);
  const Verification wrong = verify_pairs(distances, std::vector<std::uint8_t>{0, 0, 1, 1});
  EXPECT_EQ(wrong.auc, 0);
  EXPECT_EQ(wrong.eer, 1);
  EXPECT_EQ(wrong.best_accuracy, 0.5);
}

// The definitions, pair against pair and threshold by threshold.
TEST(VerifyPairs, BruteForce) {
  for (const int levels : {2, 5, 1000000}) {  // few levels: many ties
    for (const int n : {2, 31, 257}) {
      SCOPED_TRACE(concat(n, " pairs, ", levels, " levels"));
      Random random(11, static_cast<std::uint64_t>(n * levels));
      std::vector<float> d;
      std::vector<std::uint8_t> same;
      for (int i = 0; i < n; ++i) {
        same.push_back(i < 2 ? static_cast<std::uint8_t>(i) : static_cast<std::uint8_t>(random.below(2)));
        d.push_back(static_cast<float>(random.below(levels)) / static_cast<float>(levels) + (same.back() ? 0 : 0.2F));
      }
      const Verification v = verify_pairs(d, same);
      double wins = 0;
      for (int i = 0; i < n; ++i) {
        for (int j = 0; j < n; ++j) {
          if (!same[static_cast<std::size_t>(i)] || same[static_cast<std::size_t>(j)]) continue;
          const float a = d[static_cast<std::size_t>(i)], b = d[static_cast<std::size_t>(j)];
          wins += a < b ? 1 : a == b ? 0.5 : 0;
        }
      }
      EXPECT_NEAR(v.auc, wins / static_cast<double>(v.same * v.different), 1e-12);

      auto rates = [&](float threshold) {
        double tar = 0, far = 0;
        for (std::size_t i = 0; i < d.size(); ++i) {
          if (d[i] <= threshold) (same[i] ? tar : far) += 1;
        }
        return std::pair{tar / static_cast<double>(v.same), far / static_cast<double>(v.different)};
      };
      double best = 0.5, tar_1e2 = 0, eer_above = 1;  // eer_above: the least of max(FAR, 1 - TAR)
      for (const float threshold : d) {
        const auto [tar, far] = rates(threshold);
        best = std::max(best, (tar + 1 - far) / 2);
        if (far <= 1e-2) tar_1e2 = std::max(tar_1e2, tar);
        eer_above = std::min(eer_above, std::max(far, 1 - tar));
      }
      EXPECT_NEAR(v.best_accuracy, best, 1e-12);
      EXPECT_NEAR(v.tar_at_far_1e2, tar_1e2, 1e-12);
      EXPECT_LE(v.eer, eer_above + 1e-12);
      const auto [tar, far] = rates(v.best_threshold);
      EXPECT_NEAR((tar + 1 - far) / 2, v.best_accuracy, 1e-12) << "the stored threshold does not do what it promises";
      for (const RocPoint& p : v.roc) {
        const auto [tar_there, far_there] = rates(p.threshold);
        EXPECT_NEAR(p.tar, tar_there, 1e-12);
        EXPECT_NEAR(p.far, far_there, 1e-12);
      }
    }
  }
}

TEST(VerifyPairs, RocIsThinnedAndMonotone) {
  Random random(4);
  std::vector<float> d;
  std::vector<std::uint8_t> same;
  for (int i = 0; i < 20000; ++i) {
    same.push_back(static_cast<std::uint8_t>(i % 2));
    d.push_back(random.uniform() + (i % 2 ? 0 : 0.3F));
  }
  const Verification v = verify_pairs(d, same);
  EXPECT_LE(v.roc.size(), 500u);
  EXPECT_GT(v.roc.size(), 400u);
  EXPECT_EQ(v.roc.front().tar, 0);
  EXPECT_EQ(v.roc.back().far, 1);
  for (std::size_t i = 1; i < v.roc.size(); ++i) {
    EXPECT_GE(v.roc[i].far, v.roc[i - 1].far);
    EXPECT_GE(v.roc[i].tar, v.roc[i - 1].tar);
    EXPECT_GT(v.roc[i].threshold, v.roc[i - 1].threshold);
  }
}

// Neighbouring floats have nothing between them; the threshold must still tell them apart.
TEST(VerifyPairs, NeighbouringFloats) {
  const float low = 1, high = std::nextafter(1.0F, 2.0F);
  const Verification v = verify_pairs(std::vector<float>{low, high}, std::vector<std::uint8_t>{1, 0});
  EXPECT_LE(low, v.best_threshold);
  EXPECT_LT(v.best_threshold, high);
}

TEST(VerifyPairs, RefusesWhatCannotBeMeasured) {
  const std::vector<std::uint8_t> both{0, 1};
  EXPECT_THROW(verify_pairs(std::vector<float>{1, std::nanf("")}, both), Error);
  EXPECT_THROW(verify_pairs(std::vector<float>{1, std::numeric_limits<float>::infinity()}, both), Error);
  EXPECT_THROW(verify_pairs(std::vector<float>{1, 2}, std::vector<std::uint8_t>{1, 1}), Error);
  EXPECT_THROW(verify_pairs(std::vector<float>{1, 2}, std::vector<std::uint8_t>{0, 0}), Error);
  EXPECT_THROW(verify_pairs(std::vector<float>{1}, both), Error);
  EXPECT_THROW(verify_pairs({}, {}), Error);
}

TEST(MakePairs, AllAreListedOnce) {
  const std::vector<std::int32_t> labels{2, 0, 1, 0, 2, 2, 7};
  const PairList pairs = make_pairs(labels, 0, 1);
  ASSERT_EQ(pairs.a.size(), 21u);
  std::set<std::pair<int, int>> seen;
  for (std::size_t i = 0; i < pairs.a.size(); ++i) {
    EXPECT_LT(pairs.a[i], pairs.b[i]);
    EXPECT_TRUE(seen.insert({pairs.a[i], pairs.b[i]}).second);
    EXPECT_EQ(pairs.same[i] != 0,
              labels[static_cast<std::size_t>(pairs.a[i])] == labels[static_cast<std::size_t>(pairs.b[i])]);
  }
  EXPECT_EQ(std::count(pairs.same.begin(), pairs.same.end(), 1), 4);
  EXPECT_EQ(make_pairs(labels, 1000, 1).a.size(), 21u);
  EXPECT_TRUE(make_pairs({}, 0, 1).a.empty());
  EXPECT_TRUE(make_pairs(std::vector<std::int32_t>{3}, 5, 1).a.empty());
}

TEST(MakePairs, HalfAreSameAndNoneTwice) {
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 300; ++i) labels.push_back(i * i % 13);
  const PairList pairs = make_pairs(labels, 1001, 5);
  ASSERT_EQ(pairs.a.size(), 1001u);
  EXPECT_EQ(std::count(pairs.same.begin(), pairs.same.end(), 1), 500);
  std::set<std::pair<int, int>> seen;
  for (std::size_t i = 0; i < pairs.a.size(); ++i) {
    EXPECT_TRUE(seen.insert({pairs.a[i], pairs.b[i]}).second);
    EXPECT_EQ(pairs.same[i] != 0,
              labels[static_cast<std::size_t>(pairs.a[i])] == labels[static_cast<std::size_t>(pairs.b[i])]);
  }
  EXPECT_EQ(make_pairs(labels, 1001, 5).a, pairs.a);
  EXPECT_NE(make_pairs(labels, 1001, 6).a, pairs.a);
}

TEST(MakePairs, TakesWhatThereIs) {
  const std::vector<std::int32_t> few_same{0, 0, 1, 2, 3, 4};  // 1 same, 14 different
  const PairList pairs = make_pairs(few_same, 10, 5);
  EXPECT_EQ(pairs.a.size(), 10u);
  EXPECT_EQ(std::count(pairs.same.begin(), pairs.same.end(), 1), 1);
  const std::vector<std::int32_t> few_different{0, 0, 0, 0, 0, 1};  // 10 same, 5 different
  const PairList others = make_pairs(few_different, 14, 5);
  EXPECT_EQ(others.a.size(), 14u);
  EXPECT_EQ(std::count(others.same.begin(), others.same.end(), 0), 5);
}

// Rows uniform along `rank` orthogonal directions of d: the effective rank is close to `rank`.
std::vector<float> cloud(int n, int d, int rank) {
  Random random(3);
  std::vector<float> e(static_cast<std::size_t>(n * d), 0.5F);
  for (int i = 0; i < n; ++i) {
    for (int r = 0; r < rank; ++r) {
      const float z = random.normal();
      // Directions of a Hadamard basis: orthogonal, none along an axis.
      for (int j = 0; j < d; ++j) {
        const bool odd = __builtin_popcount(static_cast<unsigned>(j & (r + 1))) % 2 != 0;
        e[static_cast<std::size_t>(i * d + j)] += odd ? -z : z;
      }
    }
  }
  return e;
}

TEST(EmbeddingHealth, EffectiveRankCountsDirections) {
  for (const auto& [n, d] : {std::pair{3000, 16}, {5000, 64}, {700, 1024}}) {
    for (const int rank : {1, 2, 7}) {
      SCOPED_TRACE(concat(n, " x ", d, ", rank ", rank));
      const EmbeddingHealth health =
          embedding_health(cloud(n, d, rank), n, d, std::vector<float>{1, 2}, std::vector<std::uint8_t>{1, 0});
      EXPECT_NEAR(health.effective_rank, rank, 0.02 * rank);
      EXPECT_FALSE(health.collapsed);
      EXPECT_NEAR(health.spread, std::sqrt(rank * d), 0.06 * std::sqrt(rank * d));
    }
  }
}

TEST(EmbeddingHealth, SeesCollapse) {
  const std::vector<float> constant(30, 2.0F), distances{1, 2};
  const std::vector<std::uint8_t> answers{1, 0}, inverted{0, 1};
  const EmbeddingHealth flat = embedding_health(constant, 10, 3, distances, answers);
  EXPECT_TRUE(flat.collapsed);
  EXPECT_EQ(flat.spread, 0);
  EXPECT_EQ(flat.effective_rank, 0);
  EXPECT_TRUE(embedding_health(cloud(100, 8, 3), 100, 8, distances, inverted).collapsed);
  EXPECT_TRUE(embedding_health(cloud(100, 8, 3), 100, 8, std::vector<float>{1.998F, 2}, answers).collapsed);
  EXPECT_FALSE(embedding_health(cloud(100, 8, 3), 100, 8, distances, answers).collapsed);
  std::vector<float> broken = cloud(100, 8, 3);
  broken[17] = std::nanf("");
  EXPECT_TRUE(embedding_health(broken, 100, 8, distances, answers).collapsed);
  std::vector<float> narrow = cloud(100, 8, 3);
  for (float& x : narrow) x = 100 + x / 10;  // spread 0.5, norm 283
  EXPECT_TRUE(embedding_health(narrow, 100, 8, distances, answers).collapsed);
  EXPECT_THROW(embedding_health(constant, 10, 4, distances, answers), ShapeError);
}

}  // namespace
}  // namespace gemel
