// SPDX-License-Identifier: MIT
//
// Training on a small synthetic set: it learns, it repeats to the bit, and a step leaves the host alone.
#include "siamese/trainer.h"

#include <algorithm>
#include <cmath>

#include "siamese/evaluate.h"
#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

class TrainerTest : public testing::TestWithParam<std::string> {
 protected:
  const Dataset data_ = patterns(6, 8, 8, 8, 21);
  TrainOptions options(const std::string& loss, int steps) const {
    TrainOptions options;
    options.loss.name = loss;
    options.schedule.base = 5e-3F;
    options.steps = steps;
    options.pairs = 12;
    options.p = 6;
    options.k = 4;
    options.report_every = 10;
    options.plan_steps = 16;
    return options;
  }
};
INSTANTIATE_TEST_SUITE_P(Devices, TrainerTest, testing::ValuesIn(test_devices()), device_test_name);

constexpr const char* kNetwork = "input 8x8x1\nconv 4 3x3\nrelu\nmaxpool 2\nlinear 8\n";
// Layers that are one thing while training and another one afterwards.
constexpr const char* kTwoLives =
    "input 8x8x1\nconv 4 3x3 nobias\nbatchnorm\nrelu\nresidual\nconv 4 3x3 pad same nobias\nbatchnorm\nend\nrelu\n"
    "dropout 0.2\nlinear 8\n";

// An encoder with what the loss declares for the data's identities.
struct TrainingRig : TwinRig {
  TrainingRig(const std::string& device_name, const std::string& loss, const Dataset& data,
              const std::string& network_text = kNetwork)
      : TwinRig(device_name, network_text, make_loss({.name = loss}).get(), static_cast<int>(data.identities.size())),
        encoder(network, *device, data.statistics(), make_loss({.name = loss})->metric()) {}
  TwinEncoder encoder;
};

struct Training {
  std::vector<TrainReport> history;
  std::vector<float> weights;
};
Training train(const std::string& device, const Dataset& data, const TrainOptions& options,
               const std::string& network = kNetwork) {
  TrainingRig rig(device, options.loss.name, data, network);
  Trainer trainer(rig.encoder, data, options);
  trainer.run({});
  EXPECT_EQ(trainer.steps_done(), options.steps);
  return {trainer.history(),
          download(*rig.device, rig.encoder.stream(), rig.network.parameters().values(), rig.count())};
}

TEST_P(TrainerTest, LossFallsAndIdentitiesPart) {
  for (const std::string& loss : loss_names()) {
    SCOPED_TRACE(loss);
    TrainingRig rig(GetParam(), loss, data_);
    TwinEncoder& encoder = rig.encoder;
    Trainer trainer(encoder, data_, options(loss, 60));
    trainer.run({});
    const std::vector<TrainReport>& history = trainer.history();
    ASSERT_EQ(history.size(), 6u);
    for (const TrainReport& report : history) EXPECT_TRUE(std::isfinite(report.mean_loss));
    EXPECT_LT(history.back().mean_loss, 0.7F * history.front().mean_loss);
    const Evaluation evaluation = evaluate(encoder, data_);
    EXPECT_GT(evaluation.verification.auc, 0.95);
    EXPECT_GT(evaluation.retrieval.recall_at_1, 0.9);
    EXPECT_FALSE(evaluation.health.collapsed);
    EXPECT_EQ(evaluation.images, 48);
    EXPECT_EQ(evaluation.identities, 6);
    EXPECT_EQ(evaluation.distances.size(), 48u * 47 / 2);
  }
}

TEST_P(TrainerTest, SameSeedSameBits) {
  for (const char* loss : {"contrastive", "contrastive-all", "triplet", "nt-xent", "arcface", "koch"}) {
    SCOPED_TRACE(loss);
    const TrainOptions wanted = options(loss, 25);
    const Training first = train(GetParam(), data_, wanted), second = train(GetParam(), data_, wanted);
    ASSERT_EQ(first.history.size(), 3u);
    for (std::size_t i = 0; i < first.history.size(); ++i) {
      EXPECT_EQ(first.history[i].mean_loss, second.history[i].mean_loss);
      EXPECT_EQ(first.history[i].active, second.history[i].active);
      EXPECT_EQ(first.history[i].step, second.history[i].step);
    }
    EXPECT_EQ(first.weights, second.weights);
    TrainOptions other = wanted;
    other.seed = 2;
    EXPECT_NE(train(GetParam(), data_, other).weights, first.weights);
  }
}

TEST_P(TrainerTest, DropoutAndBatchNormLearnAndRepeat) {
  TwinRig rig(GetParam(), kTwoLives);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  encoder.embed(data_);  // packs the parameters as they are before training
  Trainer trainer(encoder, data_, options("triplet", 60));
  trainer.run({});
  EXPECT_LT(trainer.history().back().mean_loss, 0.7F * trainer.history().front().mean_loss);
  // By the running statistics, which training has moved.
  const std::vector<float> embeddings = encoder.embed(data_);
  EXPECT_GT(evaluate(encoder, data_).verification.auc, 0.95);
  EXPECT_EQ(encoder.embed(data_, 7), embeddings);  // no longer coupled

  const TrainOptions wanted = options("triplet", 25);
  const Training first = train(GetParam(), data_, wanted, kTwoLives);
  EXPECT_EQ(first.weights, train(GetParam(), data_, wanted, kTwoLives).weights);
  TrainOptions other = wanted;
  other.seed = 2;
  EXPECT_NE(train(GetParam(), data_, other, kTwoLives).weights, first.weights);
}

// How often the host looks, and how many batches it plans at once, must not change what is learned.
TEST_P(TrainerTest, ReportsAndPlansDoNotChangeTheResult) {
  const std::vector<float> want = train(GetParam(), data_, options("contrastive", 23)).weights;
  for (const auto& [report_every, plan_steps] : {std::pair{1, 1}, {7, 3}, {100, 100}}) {
    TrainOptions other = options("contrastive", 23);
    other.report_every = report_every;
    other.plan_steps = plan_steps;
    EXPECT_EQ(train(GetParam(), data_, other).weights, want) << report_every << " " << plan_steps;
  }
}

TEST_P(TrainerTest, WarmedUpStepsLeaveTheHostAlone) {
  std::vector<std::pair<std::string, const char*>> cases{{"triplet", kTwoLives}};
  for (const std::string& loss : loss_names()) cases.emplace_back(loss, kNetwork);
  for (const auto& [loss, network] : cases) {
    SCOPED_TRACE(loss);
    TrainingRig rig(GetParam(), loss, data_, network);
    TrainOptions augmented = options(loss, 100);
    augmented.augmentation = {.rotate = 10, .noise = 0.01F};
    Trainer trainer(rig.encoder, data_, augmented);
    trainer.step();
    trainer.step();
    const Counters before = rig.device->counters();
    for (int i = 0; i < 10; ++i) trainer.step();  // 12 of the 16 batches planned
    const Counters after = rig.device->counters();
    EXPECT_EQ(after.allocations, before.allocations);
    EXPECT_EQ(after.frees, before.frees);
    EXPECT_EQ(after.downloads, before.downloads);
    EXPECT_EQ(after.synchronizations, before.synchronizations);
    EXPECT_EQ(after.uploads, before.uploads);
    EXPECT_EQ(after.graph_launches, before.graph_launches + 10);
    for (int i = 0; i < 10; ++i) trainer.step();  // the plan of batches is refilled once
    EXPECT_EQ(rig.device->counters().uploads, before.uploads + 1);
    EXPECT_EQ(rig.device->counters().downloads, before.downloads);
    EXPECT_EQ(rig.device->counters().allocations, before.allocations);
  }
}

TEST_P(TrainerTest, DivergenceIsNamed) {
  TrainOptions wild = options("contrastive", 40);
  wild.rule = SgdParams{};
  wild.schedule.base = 1e30F;
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  Trainer trainer(encoder, data_, wild);
  try {
    trainer.run({});
    FAIL() << "no error";
  } catch (const Error& error) {
    const std::string message = error.what();
    for (const char* part : {"not finite", "steps 0 and 10", "lower learning rate", "1e+30"}) {
      EXPECT_NE(message.find(part), std::string::npos) << message;
    }
  }
}

TEST_P(TrainerTest, ReportsArriveAndCanStop) {
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  Trainer trainer(encoder, data_, options("contrastive", 45));
  EXPECT_EQ(trainer.rows(), 24);
  std::vector<int> steps;
  const auto see = [&](const TrainReport& report) {
    steps.push_back(report.step);
    EXPECT_EQ(report.steps, 45);
    EXPECT_GT(report.images_per_second, 0);
    EXPECT_FLOAT_EQ(report.learning_rate, 5e-3F);
    EXPECT_GT(report.active, 0);
    EXPECT_LE(report.active, 1);
    EXPECT_GT(report.health.spread, 0);
    EXPECT_GT(report.health.effective_rank, 1);
    EXPECT_GT(report.health.mean_different, report.health.mean_same);
    EXPECT_FALSE(report.validation);
  };
  trainer.run(see, [&] { return trainer.steps_done() == 17; });
  EXPECT_EQ(steps, (std::vector<int>{10, 17}));
  EXPECT_EQ(trainer.steps_done(), 17);
  trainer.run(see);
  EXPECT_EQ(steps, (std::vector<int>{10, 17, 20, 30, 40, 45}));
  EXPECT_EQ(trainer.best_step(), 45);
  EXPECT_NE(trainer.describe().find("contrastive(margin 1), 12 pairs"), std::string::npos) << trainer.describe();
}

TEST_P(TrainerTest, AugmentationChangesTheBatchesAndRepeats) {
  TrainOptions plain = options("contrastive", 12), augmented = plain;
  augmented.augmentation = {.rotate = 20, .shift = 1, .brightness = 0.1F, .noise = 0.05F};
  const std::vector<float> weights = train(GetParam(), data_, augmented).weights;
  EXPECT_EQ(train(GetParam(), data_, augmented).weights, weights);
  EXPECT_NE(train(GetParam(), data_, plain).weights, weights);
}

// Validation only looks: what is learned is the same, and the best parameters seen are those that remain.
TEST_P(TrainerTest, TheBestValidationRemains) {
  const Dataset unseen = patterns(5, 6, 8, 8, 77, 90);
  TrainOptions validated = options("contrastive", 40);
  validated.validation = &unseen;
  validated.validate_every = 5;
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  Trainer trainer(encoder, data_, validated);
  std::vector<double> scores;
  trainer.run([&](const TrainReport& report) {
    ASSERT_TRUE(report.validation);
    scores.push_back(*report.validation);
  });
  ASSERT_EQ(scores.size(), 8u);
  const auto best = std::max_element(scores.begin(), scores.end());
  EXPECT_EQ(trainer.best_step(), 5 * (best - scores.begin() + 1));
  const Evaluation evaluation = evaluate(encoder, unseen);
  EXPECT_DOUBLE_EQ(evaluation.verification.auc, *best);
  TrainOptions shorter = options("contrastive", 40);
  shorter.steps = trainer.best_step();
  EXPECT_EQ(download(*rig.device, encoder.stream(), rig.network.parameters().values(), rig.count()),
            train(GetParam(), data_, shorter).weights);
}

TEST_P(TrainerTest, PatienceEndsTraining) {
  const Dataset unseen = patterns(5, 6, 8, 8, 77);
  TrainOptions impatient = options("contrastive", 400);
  impatient.schedule.base = 1e-9F;  // nothing gets better
  impatient.validation = &unseen;
  impatient.validate_every = 3;
  impatient.patience = 4;
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  Trainer trainer(encoder, data_, impatient);
  trainer.run({});
  EXPECT_LE(trainer.steps_done(), 60);
  EXPECT_EQ(trainer.steps_done(), trainer.best_step() + 3 * 4);
}

TEST_P(TrainerTest, FewIdentitiesGetMoreImages) {
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  TrainOptions many = options("batch-hard", 3);
  many.p = 12;
  many.k = 2;
  Trainer trainer(encoder, data_, many);
  EXPECT_EQ(trainer.rows(), 24);
  EXPECT_NE(trainer.describe().find("6 identities x 4 images"), std::string::npos) << trainer.describe();
  trainer.run({});
}

TEST_P(TrainerTest, WhatCannotBeTrainedIsNamed) {
  TwinRig rig(GetParam(), kNetwork);
  TwinEncoder encoder(rig.network, *rig.device, data_.statistics());
  auto make = [&](const Dataset& data, const std::function<void(TrainOptions&)>& change) {
    TrainOptions changed = options("contrastive", 5);
    change(changed);
    Trainer trainer(encoder, data, changed);
  };
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.steps = 0; }); }, {"steps", "0"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.report_every = 0; }); }, {"reports"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.plan_steps = -1; }); }, {"planned", "-1"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.pairs = 0; }); }, {"pair"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.augmentation.scale_low = 0; }); }, {"scaled", "0"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.augmentation.shear = 1; }); }, {"shear"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.validate_every = 1; }); }, {"validate on"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.patience = -1; }); }, {"patience"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.loss.name = "x"; }); }, {"unknown loss"});
  expect_input_error([&] { make(data_, [](TrainOptions& o) { o.loss.name = "koch"; }); },
                     {"koch", "weighted-l1", "measures by l2"});
  expect_input_error([&] { make(patterns(3, 2, 4, 4, 1), [](TrainOptions&) {}); }, {"patterns", "4x4x1", "8x8x1"});
  expect_input_error([&] { make(patterns(1, 5, 8, 8, 1), [](TrainOptions&) {}); }, {"two identities"});
  expect_input_error([&] { make(patterns(5, 1, 8, 8, 1), [](TrainOptions&) {}); }, {"two images"});
  expect_input_error([&] { make(patterns(1, 5, 8, 8, 1), [](TrainOptions& o) { o.loss.name = "triplet"; }); },
                     {"two identities"});
}

}  // namespace
}  // namespace gemel
