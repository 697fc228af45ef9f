// SPDX-License-Identifier: MIT
//
// Retrieval against its definition, ties included, and evaluation of an encoder that says nothing.
#include <algorithm>
#include <cmath>
#include <numeric>

#include "siamese/evaluate.h"
#include "siamese/twin_encoder.h"
#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

class EvaluateTest : public testing::TestWithParam<std::string> {
 protected:
  static Preprocessing one_pixel() { return {1, 1, 1, {0}, {1}}; }
};
INSTANTIATE_TEST_SUITE_P(Devices, EvaluateTest, testing::ValuesIn(test_devices()), device_test_name);

// An item's rank is the number of others that are nearer, or as near and of another identity, or (among equals) before it.
Retrieval by_definition(const std::vector<float>& e, const std::vector<std::int32_t>& labels, std::size_t d) {
  const std::size_t n = labels.size();
  auto distance2 = [&](std::size_t i, std::size_t j) {
    double sum = 0;
    for (std::size_t k = 0; k < d; ++k) {
      const double difference = double{e[i * d + k]} - e[j * d + k];
      sum += difference * difference;
    }
    return sum;
  };
  Retrieval result;
  for (std::size_t q = 0; q < n; ++q) {
    std::vector<std::size_t> ranks;  // 1-based, of the items of q's identity
    std::size_t others = 0;
    for (std::size_t i = 0; i < n; ++i) {
      if (i == q || labels[i] != labels[q]) continue;
      ++others;
      std::size_t rank = 1;
      for (std::size_t j = 0; j < n; ++j) {
        if (j == q || j == i) continue;
        const double di = distance2(q, i), dj = distance2(q, j);
        rank += dj < di || (dj == di && (labels[j] != labels[q] || j < i)) ? 1 : 0;
      }
      ranks.push_back(rank);
    }
    if (others == 0) continue;
    std::sort(ranks.begin(), ranks.end());
    ++result.queries;
    result.recall_at_1 += ranks[0] <= 1 ? 1 : 0;
    result.recall_at_5 += ranks[0] <= 5 ? 1 : 0;
    for (std::size_t found = 0; found < ranks.size(); ++found) {
      if (ranks[found] > others) continue;
      result.r_precision += 1.0 / static_cast<double>(others);
      result.map_at_r += static_cast<double>(found + 1) / static_cast<double>(ranks[found] * others);
    }
  }
  for (double* x : {&result.recall_at_1, &result.recall_at_5, &result.r_precision, &result.map_at_r}) {
    *x /= std::max(result.queries, 1);
  }
  return result;
}

TEST_P(EvaluateTest, RetrievalByDefinition) {
  for (const int n : {1, 2, 3, 31, 130}) {
    for (const int levels : {2, 4, 1000}) {  // whole numbers: exact distances, many ties where levels are few
      SCOPED_TRACE(concat(n, " rows, ", levels, " levels"));
      TwinRig rig(GetParam(), "input 1x1x1\nlinear 3\n");
      TwinEncoder encoder(rig.network, *rig.device, one_pixel());
      Random random(8, static_cast<std::uint64_t>(n * levels));
      std::vector<float> e;
      std::vector<std::int32_t> labels;
      for (int i = 0; i < n; ++i) {
        labels.push_back(random.below(1 + n / 3));
        for (int k = 0; k < 3; ++k) e.push_back(static_cast<float>(random.below(levels)));
      }
      const Retrieval got = retrieve(encoder, e, labels), want = by_definition(e, labels, 3);
      EXPECT_EQ(got.queries, want.queries);
      EXPECT_NEAR(got.recall_at_1, want.recall_at_1, 1e-12);
      EXPECT_NEAR(got.recall_at_5, want.recall_at_5, 1e-12);
      EXPECT_NEAR(got.r_precision, want.r_precision, 1e-12);
      EXPECT_NEAR(got.map_at_r, want.map_at_r, 1e-12);
    }
  }
}

// More rows than a strip of distances holds: each row's two nearest are its own identity's, on either side of the cut.
TEST_P(EvaluateTest, RetrievalInStrips) {
  TwinRig rig(GetParam(), "input 1x1x1\nlinear 1\n");
  TwinEncoder encoder(rig.network, *rig.device, one_pixel());
  std::vector<float> e;
  std::vector<std::int32_t> labels;
  for (int i = 0; i < 1100; ++i) {
    const int identity = i % 367;
    labels.push_back(identity);
    e.push_back(static_cast<float>(10 * identity) + 0.25F * static_cast<float>(i / 367));
  }
  const Retrieval retrieval = retrieve(encoder, e, labels);
  EXPECT_EQ(retrieval.queries, 1100);
  EXPECT_EQ(retrieval.recall_at_1, 1);
  EXPECT_NEAR(retrieval.map_at_r, 1, 1e-12);
}

TEST_P(EvaluateTest, RetrievalRefusesNanAndWrongSizes) {
  TwinRig rig(GetParam(), "input 1x1x1\nlinear 2\n");
  TwinEncoder encoder(rig.network, *rig.device, one_pixel());
  const std::vector<std::int32_t> labels{0, 0};
  EXPECT_THROW(retrieve(encoder, std::vector<float>{0, 1, std::nanf(""), 3}, labels), Error);
  EXPECT_THROW(retrieve(encoder, std::vector<float>{0, 1, 2}, labels), ShapeError);
  EXPECT_EQ(retrieve(encoder, {}, {}).queries, 0);
}

// An encoder that outputs a constant must score as one that knows nothing, whatever the rows' order.
TEST_P(EvaluateTest, ConstantEncoderScoresNothing) {
  TwinRig rig(GetParam(), kSmoothNetwork);
  rig.set_values(std::vector<float>(rig.count(), 0));
  const Dataset data = patterns(5, 6, 5, 5, 2);
  TwinEncoder encoder(rig.network, *rig.device, data.statistics());
  const Evaluation evaluation = evaluate(encoder, data);
  EXPECT_EQ(evaluation.verification.auc, 0.5);
  EXPECT_EQ(evaluation.verification.eer, 0.5);
  EXPECT_EQ(evaluation.verification.best_accuracy, 0.5);
  EXPECT_EQ(evaluation.retrieval.recall_at_1, 0);
  EXPECT_EQ(evaluation.retrieval.recall_at_5, 0);
  EXPECT_EQ(evaluation.retrieval.map_at_r, 0);
  EXPECT_TRUE(evaluation.health.collapsed);
}

// All images alike but one: it alone lifts the spread and the mean distance of different pairs.
TEST_P(EvaluateTest, AnOutlierDoesNotMaskCollapse) {
  TwinRig rig(GetParam(), kSmoothNetwork);
  Dataset data = patterns(11, 10, 5, 5, 2).subset([] {
    std::vector<int> rows(101);
    std::iota(rows.begin(), rows.end(), 0);
    return rows;
  }());
  std::fill(data.pixels.begin(), data.pixels.end() - 25, std::uint8_t{90});
  TwinEncoder encoder(rig.network, *rig.device, data.statistics());
  const Evaluation evaluation = evaluate(encoder, data);
  EXPECT_NEAR(evaluation.verification.auc, 0.5 + 0.5 * 100 / 4600, 1e-9);
  EXPECT_EQ(evaluation.health.mean_same, 0);
  EXPECT_GT(evaluation.health.mean_different, 0);
  EXPECT_GT(evaluation.health.spread, 0.1);
  EXPECT_TRUE(evaluation.health.collapsed);
}

// The distances are those of the rows the pairs name.
TEST_P(EvaluateTest, DistancesOfThePairs) {
  TwinRig rig(GetParam(), kSmoothNetwork);
  const Dataset data = patterns(9, 71, 5, 5, 2);  // 639 images: more than 200,000 pairs, so 5,001 are drawn
  TwinEncoder encoder(rig.network, *rig.device, data.statistics());
  const Evaluation evaluation = evaluate(encoder, data, 5001, 3);
  ASSERT_EQ(evaluation.pairs.a.size(), 5001u);
  ASSERT_EQ(evaluation.distances.size(), 5001u);
  for (std::size_t i = 0; i < 5001; ++i) {
    double sum = 0;
    for (std::size_t k = 0; k < 4; ++k) {
      const double difference = double{evaluation.embeddings[static_cast<std::size_t>(evaluation.pairs.a[i]) * 4 + k]} -
                                evaluation.embeddings[static_cast<std::size_t>(evaluation.pairs.b[i]) * 4 + k];
      sum += difference * difference;
    }
    ASSERT_TRUE(std::abs(evaluation.distances[i] - std::sqrt(sum)) <= 1e-6 * (1 + std::sqrt(sum))) << i;
  }
  EXPECT_EQ(evaluation.verification.same + evaluation.verification.different, 5001u);
  expect_input_error([&] { evaluate(encoder, data.subset(std::vector<int>{0})); }, {"patterns", "pairs"});
}

}  // namespace
}  // namespace gemel
