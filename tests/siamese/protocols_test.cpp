// SPDX-License-Identifier: MIT
//
// Cross-validation and intervals against their definitions.
#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "kernels/simt/thread_pool.h"
#include "siamese/evaluate.h"
#include "siamese/k_fold.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

// ---- k-fold
TEST(KFold, ByHand) {
  // Fold 0 is judged by fold 1's threshold, midway between 2 and 3: 2 is taken for the same; fold 1 by 1.5.
  const std::vector<float> distances{1, 2, 2, 3};
  const std::vector<std::uint8_t> same{1, 0, 1, 0};
  const KFold result = k_fold(distances, same, std::vector<int>{0, 0, 1, 1}, 2);
  EXPECT_EQ(result.threshold, (std::vector<float>{2.5F, 1.5F}));
  EXPECT_EQ(result.accuracy, (std::vector<double>{0.5, 0.5}));
  EXPECT_EQ(result.mean, 0.5);
  EXPECT_EQ(result.standard_error, 0);
  EXPECT_EQ(result.pairs, 4u);
}

TEST(KFold, MeanAndStandardError) {
  // Fold 2's same pair lies beyond the threshold that folds 0 and 1 ask for.
  const std::vector<float> distances{1, 10, 1, 10, 20, 30};
  const KFold result =
      k_fold(distances, std::vector<std::uint8_t>{1, 0, 1, 0, 1, 0}, std::vector<int>{0, 0, 1, 1, 2, 2}, 3);
  EXPECT_EQ(result.accuracy, (std::vector<double>{1, 1, 0.5}));
  EXPECT_NEAR(result.mean, 2.5 / 3, 1e-15);
  // Squares around the mean: 1/36 + 1/36 + 4/36 = 1/6, over (3 - 1) * 3.
  EXPECT_NEAR(result.standard_error, 1.0 / 6, 1e-15);
}

TEST(KFold, RefusesWhatSaysNothing) {
  const std::vector<float> d{1, 2, 3, 4};
  const std::vector<std::uint8_t> same{1, 0, 1, 1};
  EXPECT_THROW(k_fold(d, same, std::vector<int>{0, 0, 0, 0}, 1), Error);
  EXPECT_THROW(k_fold(d, same, std::vector<int>{0, 0, 1, 1}, 2), Error);
  EXPECT_THROW(k_fold(std::vector<float>{1, 2, std::nanf(""), 4}, std::vector<std::uint8_t>{1, 0, 1, 0},
                      std::vector<int>{0, 0, 1, 1}, 2),
               Error);
}

std::vector<std::int32_t> labels_of(const std::vector<int>& images) {
  std::vector<std::int32_t> labels;
  for (std::size_t i = 0; i < images.size(); ++i) {
    labels.insert(labels.end(), static_cast<std::size_t>(images[i]), static_cast<std::int32_t>(i));
  }
  return labels;
}

// Every fold has pairs of both kinds, and shares identities (or at least images) with no other.
void expect_disjoint(const FoldedPairs& folded, const std::vector<std::int32_t>& labels, int folds, bool by_identity) {
  EXPECT_EQ(folded.disjoint_identities, by_identity);
  ASSERT_EQ(folded.fold.size(), folded.pairs.size());
  std::map<std::int32_t, int> fold_of;  // of an identity, or of a row
  std::map<int, std::set<int>> kinds;
  for (std::size_t i = 0; i < folded.fold.size(); ++i) {
    const std::int32_t a = folded.pairs.a[i], b = folded.pairs.b[i];
    EXPECT_NE(a, b);
    EXPECT_EQ(folded.pairs.same[i] != 0, labels[static_cast<std::size_t>(a)] == labels[static_cast<std::size_t>(b)]);
    for (const std::int32_t row : {a, b}) {
      const std::int32_t unit = by_identity ? labels[static_cast<std::size_t>(row)] : row;
      EXPECT_EQ(fold_of.emplace(unit, folded.fold[i]).first->second, folded.fold[i]);
    }
    kinds[folded.fold[i]].insert(folded.pairs.same[i]);
  }
  EXPECT_EQ(kinds.size(), static_cast<std::size_t>(folds));
  for (const auto& [fold, both] : kinds) EXPECT_EQ(both.size(), 2u) << "fold " << fold;
}

TEST(FoldPairs, ShareNothing) {
  const auto many = labels_of(std::vector<int>(40, 10));
  expect_disjoint(fold_pairs(many, 10, 0, 1, "x"), many, 10, true);
  // Mostly identities with a single image, as in Labeled Faces in the Wild: each fold still gets one with two.
  std::vector<int> images(31, 1);
  for (const std::size_t i : {3u, 7u, 30u}) images[i] = 2;
  const auto sparse = labels_of(images);
  for (std::uint64_t seed = 0; seed < 20; ++seed) {
    expect_disjoint(fold_pairs(sparse, 3, 0, seed, "x"), sparse, 3, true);
  }
  // Too few identities: images.
  const auto few = labels_of({20, 31, 7, 25, 1});
  expect_disjoint(fold_pairs(few, 10, 0, 1, "x"), few, 10, false);
  const auto scarce = labels_of({4, 4, 4, 2, 2});  // parts of two, dealt in turns
  expect_disjoint(fold_pairs(scarce, 3, 0, 1, "x"), scarce, 3, false);
}

TEST(FoldPairs, CountAndSeed) {
  const auto labels = labels_of(std::vector<int>(10, 700));
  const FoldedPairs a = fold_pairs(labels, 5, 1000, 1, "x"), b = fold_pairs(labels, 5, 1000, 1, "x");
  EXPECT_EQ(a.pairs.size(), 1000u);
  EXPECT_EQ(std::count(a.pairs.same.begin(), a.pairs.same.end(), 1), 500);
  EXPECT_EQ(a.pairs.a, b.pairs.a);
  EXPECT_EQ(a.fold, b.fold);
  EXPECT_NE(fold_pairs(labels, 5, 1000, 2, "x").pairs.a, a.pairs.a);
}

TEST(FoldPairs, TooFewImages) {
  for (const std::vector<int>& images : {std::vector<int>{1, 1, 1, 1}, {2, 2}, {100}, {3, 3, 3}}) {
    expect_input_error([&] { fold_pairs(labels_of(images), 10, 0, 1, "folder"); }, {"folder", "10 folds"});
  }
}

// ---- intervals
struct Sample {
  std::vector<std::int32_t> labels;
  PairList pairs;
  std::vector<float> distances;
};

// Distances of points on a line, around their identity's place.
Sample sample(int identities, int images, float noise, std::uint64_t seed, int levels = 0) {
  Sample s;
  Random random(seed);
  std::vector<float> at;
  for (int i = 0; i < identities; ++i) {
    const float place = random.uniform(0, 10);
    for (int j = 0; j < images; ++j) {
      s.labels.push_back(i);
      at.push_back(place + noise * random.normal());
    }
  }
  s.pairs = make_pairs(s.labels, 0, 1);
  for (std::size_t i = 0; i < s.pairs.size(); ++i) {
    float d = std::abs(at[static_cast<std::size_t>(s.pairs.a[i])] - at[static_cast<std::size_t>(s.pairs.b[i])]);
    if (levels > 0) d = std::floor(d * static_cast<float>(levels));
    s.distances.push_back(d);
  }
  return s;
}

void expect_holds(const Interval& interval, double value) {
  EXPECT_LE(interval.low, value);
  EXPECT_GE(interval.high, value);
  EXPECT_GE(interval.low, 0);
  EXPECT_LE(interval.high, 1);
  EXPECT_LT(interval.low, interval.high);
}

TEST(Bootstrap, IntervalsHoldTheFigures) {
  for (const int identities : {7, 31}) {
    const Sample s = sample(identities, 6, 0.7F, 3);
    const Verification v = verify_pairs(s.distances, s.pairs.same);
    const Intervals i = bootstrap(s.distances, s.pairs, s.labels, v.best_threshold);
    EXPECT_EQ(i.of_identities, identities == 31);
    EXPECT_EQ(i.units, identities == 31 ? 31 : 42);
    EXPECT_EQ(i.rounds, 400);
    expect_holds(i.auc, v.auc);
    expect_holds(i.eer, v.eer);
    expect_holds(i.accuracy, v.best_accuracy);
    expect_holds(i.tar_at_far_1e2, v.tar_at_far_1e2);
    EXPECT_LE(i.best_accuracy.low, v.best_accuracy);
    EXPECT_GE(i.best_accuracy.low, i.accuracy.low);
    EXPECT_EQ(i.threshold, v.best_threshold);
  }
}

// One round against verify_pairs on the pairs written out as often as they were drawn.
TEST(Bootstrap, ARoundIsTheDrawnPairsWrittenOut) {
  for (const int identities : {5, 23}) {
    const Sample s = sample(identities, 3, 1.5F, 9, 3);  // many equal distances
    constexpr std::uint64_t kSeed = 12;
    const float threshold = 2;
    const Intervals got = bootstrap(s.distances, s.pairs, s.labels, threshold, 1, kSeed);
    const bool by_identity = identities >= kLeastIdentities;
    const int units = by_identity ? identities : static_cast<int>(s.labels.size());
    std::vector<int> times(static_cast<std::size_t>(units));
    Random random(kSeed, 0);
    for (int i = 0; i < units; ++i) ++times[static_cast<std::size_t>(random.below(units))];
    std::vector<float> distances;
    std::vector<std::uint8_t> same;
    for (std::size_t i = 0; i < s.pairs.size(); ++i) {
      const auto a = static_cast<std::size_t>(s.pairs.a[i]), b = static_cast<std::size_t>(s.pairs.b[i]);
      const auto unit = [&](std::size_t row) { return by_identity ? static_cast<std::size_t>(s.labels[row]) : row; };
      const int copies = by_identity && s.pairs.same[i] != 0 ? times[unit(a)] : times[unit(a)] * times[unit(b)];
      distances.insert(distances.end(), static_cast<std::size_t>(copies), s.distances[i]);
      same.insert(same.end(), static_cast<std::size_t>(copies), s.pairs.same[i]);
    }
    const Verification want = verify_pairs(distances, same);
    ASSERT_EQ(got.rounds, 1);
    EXPECT_NEAR(got.auc.low, want.auc, 1e-12);
    EXPECT_EQ(got.auc.low, got.auc.high);
    EXPECT_NEAR(got.eer.low, want.eer, 1e-12);
    EXPECT_NEAR(got.best_accuracy.low, want.best_accuracy, 1e-12);
    EXPECT_NEAR(got.tar_at_far_1e2.low, want.tar_at_far_1e2, 1e-12);
    EXPECT_NEAR(got.tar_at_far_1e3.low, want.tar_at_far_1e3, 1e-12);
    double right[2] = {0, 0}, total[2] = {0, 0};
    for (std::size_t i = 0; i < distances.size(); ++i) {
      total[same[i]] += 1;
      right[same[i]] += (distances[i] <= threshold) == (same[i] == 1) ? 1 : 0;
    }
    EXPECT_NEAR(got.accuracy.low, (right[0] / total[0] + right[1] / total[1]) / 2, 1e-12);
  }
}

// Of many data sets drawn like one another, the interval of the AUC holds the AUC of them all in about 95 of 100 cases,
// or more, as it errs to the wide side.
TEST(Bootstrap, CoversTheTruth) {
  double mean = 0;
  constexpr int kSets = 100;
  std::vector<Interval> intervals;
  for (std::uint64_t seed = 0; seed < kSets; ++seed) {
    const Sample s = sample(30, 3, 1.0F, 1000 + seed);
    mean += verify_pairs(s.distances, s.pairs.same).auc / kSets;
    intervals.push_back(bootstrap(s.distances, s.pairs, s.labels, 1, 200).auc);
  }
  const auto held = std::count_if(intervals.begin(), intervals.end(),
                                  [&](const Interval& i) { return i.low <= mean && mean <= i.high; });
  EXPECT_GE(held, kSets * 90 / 100);
  double width = 0;
  for (const Interval& i : intervals) width += (i.high - i.low) / kSets;
  EXPECT_LT(width, 0.1);  // and is not just everything
}

TEST(Bootstrap, SameBitsOnAnyNumberOfThreads) {
  const Sample s = sample(25, 4, 0.7F, 4);
  ThreadPool& pool = ThreadPool::instance();
  const int threads = pool.threads();
  std::vector<Intervals> results;
  for (const int n : {1, 3}) {
    pool.set_threads(n);
    results.push_back(bootstrap(s.distances, s.pairs, s.labels, 1));
  }
  pool.set_threads(threads);
  EXPECT_EQ(results[0].auc.low, results[1].auc.low);
  EXPECT_EQ(results[0].eer.high, results[1].eer.high);
  EXPECT_NE(bootstrap(s.distances, s.pairs, s.labels, 1, 400, 2).auc.low, results[0].auc.low);
}

// Draws without a pair of one kind are left out; where all are, there is no interval.
TEST(Bootstrap, HardlyAnyPairs) {
  const std::vector<std::int32_t> labels{0, 0, 1};
  const PairList pairs = make_pairs(labels, 0, 1);
  const Intervals i = bootstrap(std::vector<float>{1, 2, 3}, pairs, labels, 1);
  EXPECT_GT(i.rounds, 0);
  EXPECT_LT(i.rounds, 400);
  EXPECT_EQ(bootstrap(std::vector<float>{1, 2, 3}, pairs, labels, 1, 0).rounds, 0);
}

}  // namespace
}  // namespace gemel
