// SPDX-License-Identifier: MIT
//
// Losses through a whole twin: dL/d parameter against central differences, symmetry, and the cases where nothing is left
// to learn. The kernels' own tests compare each against its definition.
#include "siamese/loss.h"

#include <algorithm>
#include <cmath>
#include <set>

#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

// Rows i and i + 5 are pairs; 2 of the 5 are of one identity. For losses over all rows the same rows are 4 identities.
std::vector<std::int32_t> labels() { return {0, 1, 2, 3, 0, 0, 2, 2, 1, 3}; }

std::vector<LossOptions> all_losses() {
  std::vector<LossOptions> losses;
  for (const char* name :
       {"contrastive", "caffe", "caffe-legacy", "contrastive-all", "triplet", "batch-hard", "batch-all"}) {
    losses.push_back({.name = name, .margin = 1.5F});
  }
  losses.push_back({.name = "triplet", .margin = 0.5F, .squared = false});
  for (const char* name : {"triplet", "batch-hard", "batch-all"}) losses.push_back({.name = name, .soft = true});
  for (const char* name : {"koch", "chi2", "n-pair", "multi-similarity", "softmax"}) losses.push_back({.name = name});
  for (const char* name : {"nt-xent", "supcon"}) losses.push_back({.name = name, .temperature = 0.5F});
  for (const char* name : {"arcface", "cosface"}) losses.push_back({.name = name, .scale = 4});
  return losses;
}

class LossTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, LossTest, testing::ValuesIn(test_devices()), device_test_name);

// Where a parameter's step crosses a margin or changes which triplet is mined, the loss has a kink or a jump, and no
// derivative to compare with: the two one-sided differences then disagree. Few may.
TEST_P(LossTest, GradientOfTheWholeTwin) {
  for (const LossOptions& options : all_losses()) {
    SCOPED_TRACE(make_loss(options)->describe());
    LossRig rig(GetParam(), kSmoothNetwork, options, labels());
    rig.set_images(normal_floats(10 * 25, 3));
    const float base = rig.forward().first;
    ASSERT_GT(base, 0);
    const std::vector<float> gradient = rig.backward();
    const std::vector<float> values = rig.values();
    float scale = 0;
    for (const float g : gradient) scale = std::max(scale, std::abs(g));
    ASSERT_GT(scale, 1e-3F);

    constexpr float kStep = 5e-3F;
    int compared = 0, skipped = 0;
    for (const Parameters::Entry& entry : rig.network.parameters().entries()) {
      const std::size_t stride = std::max<std::size_t>(1, entry.shape.count() / 8);
      for (std::size_t i = entry.offset; i < entry.offset + entry.shape.count(); i += stride) {
        std::vector<float> moved = values;
        moved[i] = values[i] + kStep;
        rig.set_values(moved);
        const double above = (double{rig.forward().first} - base) / kStep;
        moved[i] = values[i] - kStep;
        rig.set_values(moved);
        const double below = (base - double{rig.forward().first}) / kStep;
        if (!(std::abs(above - below) <= 0.02 * scale)) {
          ++skipped;
          continue;
        }
        ++compared;
        EXPECT_TRUE(std::abs((above + below) / 2 - gradient[i]) <= 0.015 * scale)
            << entry.name << " " << i - entry.offset << ": numeric " << (above + below) / 2 << ", got " << gradient[i];
      }
    }
    EXPECT_GE(compared, 20);
    EXPECT_LE(skipped, compared / 4);
  }
}

// d(a, b) = d(b, a): which twin is called the first is of no consequence.
TEST_P(LossTest, SwappingTheTwinsChangesNothing) {
  for (const char* name : {"contrastive", "caffe-legacy"}) {
    SCOPED_TRACE(name);
    LossRig rig(GetParam(), kSmoothNetwork, {.name = name}, labels());
    std::vector<float> images = normal_floats(10 * 25, 3);
    std::vector<std::int32_t> swapped_labels = labels();
    rig.set_images(images);
    const auto straight = rig.forward();
    const std::vector<float> gradient = rig.backward();
    std::rotate(images.begin(), images.begin() + 5 * 25, images.end());
    std::rotate(swapped_labels.begin(), swapped_labels.begin() + 5, swapped_labels.end());
    rig.set_images(images);
    rig.set_labels(swapped_labels);
    const auto swapped = rig.forward();
    const std::vector<float> swapped_gradient = rig.backward();
    EXPECT_EQ(straight, swapped);
    float scale = 0;
    for (const float g : gradient) scale = std::max(scale, std::abs(g));
    for (std::size_t i = 0; i < gradient.size(); ++i) {
      ASSERT_TRUE(std::abs(gradient[i] - swapped_gradient[i]) <= 1e-6F * scale) << i;
    }
  }
}

// Identical images of one identity, and identities farther apart than any margin: loss, active share, gradient all 0.
TEST_P(LossTest, NothingLeftToLearn) {
  for (const char* name : {"contrastive", "caffe-legacy", "contrastive-all", "triplet", "batch-hard", "batch-all"}) {
    SCOPED_TRACE(name);
    LossRig rig(GetParam(), "input 1x1x1\nlinear 1 nobias\n", {.name = name}, labels());
    std::vector<float> images;
    for (const std::int32_t label : labels()) images.push_back(static_cast<float>(label));
    rig.set_values(std::vector<float>(rig.count(), 50));
    rig.set_images(images);
    EXPECT_EQ(rig.forward(), (std::pair{0.0F, 0.0F}));
    for (const float g : rig.backward()) EXPECT_EQ(g, 0);
  }
}

// All embeddings equal: every distance is 0, where its gradient is 0 by definition, not NaN.
TEST_P(LossTest, CollapsedEmbeddingsHaveFiniteGradients) {
  for (const LossOptions& options : all_losses()) {
    SCOPED_TRACE(make_loss(options)->describe());
    LossRig rig(GetParam(), kSmoothNetwork, options, labels());
    rig.set_values(std::vector<float>(rig.count(), 0));
    rig.set_images(normal_floats(10 * 25, 3));
    EXPECT_TRUE(std::isfinite(rig.forward().first));
    const std::vector<float> gradient = rig.backward();
    for (const Parameters::Entry& entry : rig.network.parameters().entries()) {
      const bool loss_has_it = entry.name.starts_with(kHeadPrefix) || entry.name.starts_with("metric.");
      for (std::size_t i = entry.offset; i < entry.offset + entry.shape.count(); ++i) {
        EXPECT_TRUE(loss_has_it ? std::isfinite(gradient[i]) : gradient[i] == 0) << entry.name << " " << gradient[i];
      }
    }
  }
}

// A batch with more rows of a label than it was planned for.
TEST_P(LossTest, MoreRowsAlikeThanPlannedShow) {
  for (const auto& [alike, finite] : {std::pair{2, false}, {3, true}}) {
    LossRig rig(GetParam(), kSmoothNetwork, {.name = "triplet"}, labels(), alike);
    rig.set_images(normal_floats(10 * 25, 3));
    EXPECT_EQ(std::isfinite(rig.forward().first), finite) << alike;
    bool all_finite = true;
    for (const float g : rig.backward()) all_finite = all_finite && std::isfinite(g);
    EXPECT_EQ(all_finite, finite) << alike;
  }
}

TEST(LossOptions, Names) {
  EXPECT_EQ(make_loss({})->describe(), "contrastive(margin 1)");
  EXPECT_EQ(make_loss({.name = "caffe", .margin = 2})->describe(), "caffe(margin 2)");
  EXPECT_EQ(make_loss({.name = "contrastive-all"})->describe(), "contrastive-all(margin 1)");
  EXPECT_EQ(make_loss({.name = "triplet"})->describe(), "triplet(margin 0.2, squared distances)");
  EXPECT_EQ(make_loss({.name = "batch-hard"})->describe(), "batch-hard(margin 0.2, distances)");
  EXPECT_EQ(make_loss({.name = "batch-all", .soft = true})->describe(), "batch-all(soft margin, distances)");
  EXPECT_EQ(make_loss({.name = "nt-xent"})->describe(), "nt-xent(temperature 0.1)");
  EXPECT_EQ(make_loss({.name = "supcon", .temperature = 0.07F})->describe(), "supcon(temperature 0.07)");
  EXPECT_EQ(make_loss({.name = "n-pair"})->describe(), "n-pair");
  EXPECT_EQ(make_loss({.name = "multi-similarity"})->describe(), "multi-similarity(alpha 2, beta 50, lambda 0.5)");
  EXPECT_EQ(make_loss({.name = "multi-similarity", .alpha = 3, .beta = 40, .lambda = 0.25F})->describe(),
            "multi-similarity(alpha 3, beta 40, lambda 0.25)");
  EXPECT_EQ(make_loss({.name = "softmax"})->describe(), "softmax");
  EXPECT_EQ(make_loss({.name = "arcface"})->describe(), "arcface(scale 64, margin 0.5)");
  EXPECT_EQ(make_loss({.name = "cosface", .margin = 0.2F, .scale = 30})->describe(), "cosface(scale 30, margin 0.2)");
  EXPECT_EQ(make_loss({.name = "koch"})->describe(), "koch(weighted-l1)");
  EXPECT_EQ(make_loss({.name = "chi2"})->describe(), "chi2(weighted-chi2)");
  const std::set<std::string> on_pairs{"contrastive", "caffe", "caffe-legacy", "koch", "chi2"};
  for (const std::string& name : loss_names()) {
    const auto loss = make_loss({.name = name});
    EXPECT_EQ(loss->wants_pairs(), on_pairs.contains(name)) << name;
    EXPECT_EQ(loss->describe().rfind(name, 0), 0U) << name;
    const Metric::Kind metric = name == "koch"   ? Metric::Kind::weighted_l1
                                : name == "chi2" ? Metric::Kind::weighted_chi2
                                                 : Metric::Kind::euclidean;
    EXPECT_EQ(loss->metric(), metric) << name;
  }
}

TEST(LossOptions, Errors) {
  expect_input_error([] { make_loss({.name = "tripel"}); }, {"tripel", "contrastive", "batch-all"});
  expect_input_error([] { make_loss({.margin = -1}); }, {"contrastive", "margin", "-1"});
  expect_input_error([] { make_loss({.margin = std::nanf("")}); }, {"margin"});
  expect_input_error([] { make_loss({.name = "triplet", .temperature = 0.1F}); }, {"triplet", "no temperature"});
  expect_input_error([] { make_loss({.name = "nt-xent", .temperature = -1}); }, {"nt-xent", "temperature", "-1"});
  expect_input_error([] { make_loss({.name = "softmax", .margin = 1}); }, {"softmax", "no margin"});
  expect_input_error([] { make_loss({.name = "softmax", .scale = 1}); }, {"softmax", "no scale"});
  expect_input_error([] { make_loss({.name = "supcon", .beta = 1}); }, {"supcon", "no beta"});
  expect_input_error([] { make_loss({.name = "multi-similarity", .lambda = -1}); }, {"lambda", "-1"});
  expect_input_error([] { make_loss({.name = "arcface", .margin = 3.2F}); }, {"arcface", "margin", "3.2"});
  Arena arena;
  const Parameters none;
  for (const char* name : {"contrastive", "koch"}) {
    EXPECT_THROW(make_loss({.name = name})->plan(simt::kernels(), arena, none, {7, 3, 2, 7}), ShapeError);
  }
  for (const char* name : {"koch", "softmax", "arcface"}) {
    EXPECT_THROW(make_loss({.name = name})->plan(simt::kernels(), arena, none, {8, 3, 2, 8}), Error) << name;
  }
  Parameters head;
  make_loss({.name = "softmax"})->declare(head, 3, 5);
  for (const auto& [d, classes] : {std::pair{3, 4}, {2, 5}}) {
    EXPECT_THROW(make_loss({.name = "softmax"})->plan(simt::kernels(), arena, head, {8, d, classes, 8}), ShapeError);
  }
}

}  // namespace
}  // namespace gemel
