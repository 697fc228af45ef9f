// SPDX-License-Identifier: MIT
//
// Optimizer: SGD with momentum or Adam over the flat parameter block, its state, and the step counter and schedule, all
// on the device. The formulas are with the kernels: kernels/optimizer/optimizer.cu, step.cu.
#pragma once

#include <string>
#include <variant>

#include "engine/parameters.h"

namespace gemel {

class Optimizer {
 public:
  using Rule = std::variant<SgdParams, AdamParams>;
  // Throws InputError naming a setting that is out of range.
  Optimizer(Device& device, Stream& stream, const Parameters& parameters, Rule rule, Schedule schedule);

  StepState* state() const;                               // device memory
  void begin_step(Queue queue) const;                     // learning rate of this step
  void apply(Queue queue, Parameters& parameters) const;  // updates values, zeroes gradients
  void end_step(Queue queue) const;                       // next step, next batch of the plan

  // Loss and active share since the last call; waits (one download), then zeroes the sums.
  struct Progress {
    int step;             // steps done in all
    float learning_rate;  // of the last step
    float mean_loss, mean_active;
    int steps;  // that the means are over; 0: both are 0
  };
  Progress read(Device& device, Stream& stream) const;
  // The next batch is the plan's first.
  void rewind_cursor(Device& device, Stream& stream) const;
  std::string describe() const;  // "adam(rate 0.001 cosine to 0 at step 1000, ...)"

 private:
  const Kernels* kernels_;
  Rule rule_;
  Schedule schedule_;
  Buffer state_, moments_;
};

}  // namespace gemel
