// SPDX-License-Identifier: MIT
//
// Samplers: balance, coverage, no image beside itself, the same batches from the same seed.
#include "siamese/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "tests/siamese/support.h"

namespace gemel {
namespace {

// Sizes 1, 2, 3, 7, 5, their rows interleaved.
std::vector<std::int32_t> uneven_labels() { return {4, 3, 0, 3, 1, 2, 3, 4, 2, 3, 1, 3, 4, 2, 3, 4, 3, 4}; }

TEST(BalancedPairs, HalfAreSameAndNoneIsWithItself) {
  const std::vector<std::int32_t> labels = uneven_labels();
  for (const int pairs : {1, 2, 31}) {
    const auto sampler = balanced_pairs(labels, pairs, 3);
    ASSERT_EQ(sampler->rows(), 2 * pairs);
    EXPECT_EQ(sampler->alike(), 2 * pairs);
    std::vector<std::int32_t> index(static_cast<std::size_t>(2 * pairs));
    int same = 0;
    for (int batch = 0; batch < 100; ++batch) {
      sampler->next(index);
      for (int i = 0; i < pairs; ++i) {
        const auto a = static_cast<std::size_t>(index[static_cast<std::size_t>(i)]);
        const auto b = static_cast<std::size_t>(index[static_cast<std::size_t>(i + pairs)]);
        ASSERT_LT(a, labels.size());
        ASSERT_LT(b, labels.size());
        EXPECT_NE(a, b);
        same += labels[a] == labels[b] ? 1 : 0;
      }
    }
    EXPECT_EQ(same, 50 * pairs);
  }
}

TEST(BalancedPairs, EachImageIsAnAnchorEquallyOften) {
  const std::vector<std::int32_t> labels = uneven_labels();
  const int n = static_cast<int>(labels.size());
  const auto sampler = balanced_pairs(labels, n, 3);
  std::vector<std::int32_t> index(static_cast<std::size_t>(2 * n));
  std::map<std::int32_t, int> same_anchors, different_anchors;
  for (int batch = 0; batch < 34;
       ++batch) {  // 306 pairs of either kind: 18 epochs of 17 partnered images, 17 of all 18
    sampler->next(index);
    for (int i = 0; i < n; ++i) {
      const std::int32_t a = index[static_cast<std::size_t>(i)], b = index[static_cast<std::size_t>(i + n)];
      const bool same = labels[static_cast<std::size_t>(a)] == labels[static_cast<std::size_t>(b)];
      ++(same ? same_anchors : different_anchors)[a];
    }
  }
  for (int row = 0; row < n; ++row) {
    EXPECT_EQ(different_anchors[row], 17) << row;
    EXPECT_EQ(same_anchors[row], labels[static_cast<std::size_t>(row)] == 0 ? 0 : 18)
        << row;  // identity 0 has one image
  }
}

TEST(BalancedPairs, StrangersAreUniformOverIdentities) {
  const std::vector<std::int32_t> labels = uneven_labels();
  const auto sampler = balanced_pairs(labels, 100, 3);
  std::vector<std::int32_t> index(200);
  std::map<std::int32_t, int> partners;
  int total = 0;
  for (int batch = 0; batch < 200; ++batch) {
    sampler->next(index);
    for (std::size_t i = 0; i < 100; ++i) {
      const auto a = labels[static_cast<std::size_t>(index[i])], b = labels[static_cast<std::size_t>(index[100 + i])];
      if (a != 3 || b == 3) continue;  // anchors of the largest identity
      ++partners[b];
      ++total;
    }
  }
  for (const int identity : {0, 1, 2, 4}) {
    EXPECT_NEAR(partners[identity], total / 4.0, 5 * std::sqrt(total * 0.25 * 0.75)) << identity;
  }
}

TEST(IdentitiesByImages, PTimesK) {
  const std::vector<std::int32_t> labels = uneven_labels();
  const auto sampler = identities_by_images(labels, 3, 4, 9);
  ASSERT_EQ(sampler->rows(), 12);
  EXPECT_EQ(sampler->alike(), 4);
  std::vector<std::int32_t> index(12);
  std::map<std::int32_t, int> uses;
  for (int batch = 0; batch < 50; ++batch) {
    sampler->next(index);
    std::set<std::int32_t> identities;
    for (std::size_t p = 0; p < 3; ++p) {
      const std::int32_t identity = labels[static_cast<std::size_t>(index[4 * p])];
      EXPECT_TRUE(identities.insert(identity).second) << "identity twice in a batch";
      ++uses[identity];
      std::set<std::int32_t> images;
      for (std::size_t k = 0; k < 4; ++k) {
        const std::int32_t row = index[4 * p + k];
        ASSERT_EQ(labels[static_cast<std::size_t>(row)], identity);
        images.insert(row);
      }
      const auto available = static_cast<std::size_t>(std::count(labels.begin(), labels.end(), identity));
      EXPECT_EQ(images.size(), std::min<std::size_t>(4, available)) << "repeated although there were others";
    }
  }
  for (const auto& [identity, count] : uses) EXPECT_EQ(count, 30) << identity;  // 150 places, 5 identities
  EXPECT_EQ(uses.size(), 5u);
}

TEST(IdentitiesByImages, AllImagesAreUsed) {
  const std::vector<std::int32_t> labels = uneven_labels();
  const auto sampler = identities_by_images(labels, 5, 2, 9);
  std::vector<std::int32_t> index(10);
  std::set<std::int32_t> seen;
  for (int batch = 0; batch < 60; ++batch) {
    sampler->next(index);
    seen.insert(index.begin(), index.end());
  }
  EXPECT_EQ(seen.size(), labels.size());
}

TEST(Samplers, SameSeedSameBatches) {
  const std::vector<std::int32_t> labels = uneven_labels();
  auto batches = [&](bool pairs, std::uint64_t seed) {
    const auto sampler = pairs ? balanced_pairs(labels, 6, seed) : identities_by_images(labels, 3, 4, seed);
    std::vector<std::int32_t> all(12 * 20);
    for (std::size_t i = 0; i < all.size(); i += 12) sampler->next({all.data() + i, 12});
    return all;
  };
  for (const bool pairs : {true, false}) {
    EXPECT_EQ(batches(pairs, 1), batches(pairs, 1));
    EXPECT_NE(batches(pairs, 1), batches(pairs, 2));
  }
}

TEST(Samplers, WhatCannotBeSampledIsNamed) {
  const std::vector<std::int32_t> one{0, 0, 0}, singles{0, 1, 2}, good{0, 0, 1, 1};
  expect_input_error([&] { balanced_pairs(one, 4, 1); }, {"at least two identities"});
  expect_input_error([&] { balanced_pairs(singles, 4, 1); }, {"two images"});
  expect_input_error([&] { balanced_pairs({}, 4, 1); }, {"at least two identities"});
  expect_input_error([&] { balanced_pairs(good, 0, 1); }, {"at least 1 pair"});
  expect_input_error([&] { identities_by_images(one, 2, 2, 1); }, {"at least two identities"});
  expect_input_error([&] { identities_by_images(singles, 2, 2, 1); }, {"two images"});
  expect_input_error([&] { identities_by_images(good, 3, 2, 1); }, {"3 identities", "has 2"});
  expect_input_error([&] { identities_by_images(good, 2, 1, 1); }, {"2 identities x 2 images"});
  std::vector<std::int32_t> wrong(3);
  EXPECT_THROW(balanced_pairs(good, 2, 1)->next(wrong), Error);
  EXPECT_THROW(identities_by_images(good, 2, 2, 1)->next(wrong), Error);
}

}  // namespace
}  // namespace gemel
