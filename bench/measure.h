// SPDX-License-Identifier: MIT
//
// Measuring: the core that `gemel bench` and the Google Benchmark programs share. A result that disagrees with the
// reference has no speed.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "bench/peak.h"
#include "engine/device.h"
#include "siamese/model.h"
#include "siamese/trainer.h"
#include "tests/reference/run_case.h"

namespace gemel::bench {

// Calls that queue work on `stream`: warms up, then times batches of calls by the device's events until about
// `at_least` seconds have passed. The median of the batches, which one disturbed batch does not move.
double seconds_per_call(Device& device, Stream& stream, const std::function<void()>& call, double at_least = 0.2);

// GEMEL_BENCH_SECONDS, or 0.5. Throws InputError unless it is above 0 and at most 60.
double seconds_from_environment();

struct Measurement {
  std::string op, shape;
  std::string problem;  // how it disagrees with the reference; empty: it agrees
  double error = 0;     // the worst, as a share of the case's tolerance
  double rms = 0;       // reference::rms_error
  double seconds = 0;   // of a call; 0 when wrong
  reference::Cost cost{};
  double flops() const { return seconds > 0 ? cost.flops / seconds : 0; }  // a second
  double bytes() const { return seconds > 0 ? cost.bytes / seconds : 0; }
};

// Hands the case's device tensors to `timing`, as run_case prepares them; results are not compared.
void with_tensors(Device& device, Stream& stream, const reference::OpCase& c,
                  const std::function<void(const std::function<void()>& call)>& timing);
Measurement check_case(Device& device, Stream& stream, const reference::OpCase& c);  // against the reference; no timing
Measurement measure_case(Device& device, Stream& stream, const reference::OpCase& c, double at_least = 0.2);

// The cases of all_cases(full) that are worth timing.
std::vector<reference::OpCase> bench_cases();
// The cases of layers with ladders, on every rung that the device has. `rung` is its file's name.
struct RungCase {
  std::string rung;
  reference::OpCase op_case;
};
std::vector<RungCase> rung_cases(const Device& device);
// Of each operation the one of median cost.
std::vector<reference::OpCase> quick_cases();

// A whole training step: gather, forward, loss, backward, optimizer.
struct StepCase {
  std::string net;
  LossOptions loss;
  int rows;
  int k = 4;         // losses on identities: rows / k identities of k images
  Shape input = {};  // in place of the network's own; empty: that
  Network network() const;
  std::string name() const;
};
// `lenet` with contrastive pairs, as in Caffe's example, and `small` with semi-hard triplets.
std::vector<StepCase> small_step_cases();
// And two whose arithmetic fills a machine: Koch's network, contrastive, and faces of 112x112x3 by the residual network of
// `facenet-small`, with triplets; 128 pairs on a GPU, 8 on a CPU, none on the executor, which would take hours.
std::vector<StepCase> step_cases(const Device& device);

// A case's step on 2,000 random images of ten identities (what a step costs does not depend on what they show), Adam
// 1e-4, ready to be called again and again.
class TrainingStep {
 public:
  TrainingStep(Device& device, const StepCase& c);
  void call() { trainer_.step(); }  // queues one step on stream(); the first two are slower, they record it
  float mean_loss();                // of the steps since it was last asked; waits
  Stream& stream() { return model_.encoder().stream(); }
  int rows() const { return trainer_.rows(); }
  double flops() { return 3 * model_.network().flops() * rows(); }  // as in StepMeasurement

 private:
  Device& device_;
  Dataset data_;
  Model model_;
  Trainer trainer_;
};

struct StepMeasurement {
  double seconds = 0;  // a step
  double images = 0;   // a second
  double flops = 0;    // a second; three times the forward pass: forward, input and parameter gradients
  float loss = 0;      // mean over the measured steps; not finite: wrong
};
StepMeasurement measure_step(Device& device, const StepCase& c, double at_least = 1.0);

}  // namespace gemel::bench
