// SPDX-License-Identifier: MIT
//
// Trainer: gather and augment -> one encoder pass -> fused loss and gradient -> one backward pass -> one optimizer kernel. The
// first step runs as it is (devices load kernels then), the second is recorded; from there on a step allocates nothing,
// downloads nothing, never waits, and is one replay.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "siamese/evaluate.h"
#include "siamese/loss.h"
#include "siamese/sampler.h"
#include "siamese/twin_encoder.h"

namespace gemel {

struct TrainOptions {
  LossOptions loss;
  Optimizer::Rule rule = AdamParams{};
  Schedule schedule;  // total is set to `steps`
  int steps = 1000;
  int pairs = 128;    // losses on pairs: rows = 2 * pairs
  int p = 32, k = 4;  // losses on identities: rows = p * k. With fewer identities than p, p falls and k rises
  std::uint64_t seed = 1;
  int report_every = 50;  // steps between reports
  int plan_steps = 64;    // batches sampled and uploaded at once
  Augmentation augmentation;
  // Identities never trained on: every `validate_every` steps (0: never) the AUC of their pairs is measured, and in the
  // end the parameters are those of the best measurement. After `patience` measurements without a better one training
  // ends (0: it never does so early). Borrowed.
  const Dataset* validation = nullptr;
  int validate_every = 0, patience = 0;
};

struct TrainReport {
  int step, steps;
  float mean_loss, active, learning_rate;  // over the steps since the last report
  double images_per_second;
  EmbeddingHealth health{};            // of the last step's batch, before its update
  std::optional<double> validation{};  // AUC, where this step was validated
};

class Trainer {
 public:
  // Uploads the data set. The encoder's parameters hold what the loss declares (Model's constructor takes the loss).
  // Throws InputError where the data or the options cannot be trained with, or the model measures otherwise.
  Trainer(TwinEncoder& encoder, const Dataset& data, const TrainOptions& options);
  Trainer(const Trainer&) = delete;  // the recorded step points into it
  Trainer& operator=(const Trainer&) = delete;
  // Runs all steps; `on_report` every report_every steps, after validations and at the end. `stop`, asked after every
  // step, ends the run by saying true. Throws Error when the loss is not finite, naming the step and what to try.
  void run(const std::function<void(const TrainReport&)>& on_report, const std::function<bool()>& stop = {});
  void step();  // one step; run() calls it
  const std::vector<TrainReport>& history() const { return history_; }
  int rows() const;  // images a step
  int steps_done() const { return done_; }
  int best_step() const { return best_step_; }  // that run() left the parameters of; the last one without validation
  Optimizer& optimizer() { return *optimizer_; }
  std::string describe() const;

 private:
  void refill();      // samples and uploads the next plan_steps batches
  void queue_step();  // puts one step on the stream
  TrainReport report(double seconds);
  EmbeddingHealth batch_health();
  double validate();
  void keep_parameters();     // of the best validation
  void restore_parameters();  // those
  TwinEncoder& encoder_;
  TrainOptions options_;
  std::unique_ptr<EmbeddingLoss> loss_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<Optimizer> optimizer_;
  Arena arena_;
  Arena::Piece images_, labels_, index_, batch_labels_, augment_scratch_;  // index_: (plan_steps, rows)
  Graph graph_;
  std::vector<std::int32_t> host_index_;
  int in_plan_ = 0;              // batches taken from the uploaded plan
  int done_ = 0, reported_ = 0;  // steps
  std::vector<TrainReport> history_;
  std::vector<float> best_values_;
  int best_step_ = 0;
  double best_score_ = -1;
};

}  // namespace gemel
