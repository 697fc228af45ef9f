// SPDX-License-Identifier: MIT
//
// Trainer: gather -> one encoder pass -> fused loss and gradient -> one backward pass -> one optimizer kernel. The
// first step runs as it is (devices load kernels then), the second is recorded; from there on a step allocates nothing,
// downloads nothing, never waits, and is one replay.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

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
};

struct TrainReport {
  int step, steps;
  float mean_loss, active, learning_rate;  // over the steps since the last report
  double images_per_second;
};

class Trainer {
 public:
  // Uploads the data set. The encoder's parameters hold what the loss declares (Model's constructor takes the loss).
  // Throws InputError where the data or the options cannot be trained with, or the model measures otherwise.
  Trainer(TwinEncoder& encoder, const Dataset& data, const TrainOptions& options);
  Trainer(const Trainer&) = delete;  // the recorded step points into it
  Trainer& operator=(const Trainer&) = delete;
  // Runs all steps; `on_report` every report_every steps and at the end. Returning false from it stops early.
  // Throws Error when the loss is not finite, naming the step and what to try.
  void run(const std::function<bool(const TrainReport&)>& on_report);
  void step();  // one step; run() calls it
  const std::vector<TrainReport>& history() const { return history_; }
  int rows() const;  // images a step
  int steps_done() const { return done_; }
  Optimizer& optimizer() { return *optimizer_; }
  std::string describe() const;

 private:
  void refill();      // samples and uploads the next plan_steps batches
  void queue_step();  // puts one step on the stream
  TrainReport report(double seconds);
  TwinEncoder& encoder_;
  TrainOptions options_;
  std::unique_ptr<EmbeddingLoss> loss_;
  std::unique_ptr<Sampler> sampler_;
  std::unique_ptr<Plan> plan_;
  std::unique_ptr<Optimizer> optimizer_;
  Arena arena_;
  Arena::Piece images_, labels_, index_, batch_labels_;  // index_: (plan_steps, rows)
  Graph graph_;
  std::vector<std::int32_t> host_index_;
  int in_plan_ = 0;              // batches taken from the uploaded plan
  int done_ = 0, reported_ = 0;  // steps
  std::vector<TrainReport> history_;
};

}  // namespace gemel
