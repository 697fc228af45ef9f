// SPDX-License-Identifier: MIT
//
// Measuring single operations and whole training steps.
#include "bench/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <utility>

#include "engine/random.h"
#include "siamese/model.h"
#include "siamese/trainer.h"
#include "tests/reference/device_memory.h"

namespace gemel::bench {
namespace {

constexpr int kBatches = 9;

// Ten identities of random images in the network's own size: what a step costs does not depend on what they show.
Dataset random_images(const Shape& input) {
  constexpr int kImages = 2000, kIdentities = 10;
  Dataset data;
  data.source = "random images";
  data.height = input[0];
  data.width = input[1];
  data.channels = input[2];
  Random random(1);
  data.pixels.resize(kImages * data.image_bytes());
  for (std::uint8_t& pixel : data.pixels) pixel = static_cast<std::uint8_t>(random.bits());
  for (int i = 0; i < kImages; ++i) data.labels.push_back(i % kIdentities);
  for (int i = 0; i < kIdentities; ++i) data.identities.push_back(std::to_string(i));
  return data;
}

}  // namespace

double seconds_per_call(Device& device, Stream& stream, const std::function<void()>& call, double at_least) {
  Event start = device.make_event(), stop = device.make_event();
  auto time = [&](int calls) {
    start.record(stream);
    for (int i = 0; i < calls; ++i) call();
    stop.record(stream);
    stop.wait();
    return stop.seconds_since(start);
  };
  time(1);  // loads code, faults memory in
  int calls = 1;
  double seconds = time(calls);
  while (seconds < at_least / kBatches && calls < 1 << 20) {
    double wanted = 1.2 * calls * at_least / kBatches / std::max(seconds, 1e-9);
    calls = static_cast<int>(std::clamp(wanted, 2.0 * calls, 10.0 * calls));
    seconds = time(calls);
  }
  std::vector<double> batches{seconds};
  while (static_cast<int>(batches.size()) < (seconds > at_least ? 3 : kBatches)) batches.push_back(time(calls));
  std::nth_element(batches.begin(), batches.begin() + static_cast<std::ptrdiff_t>(batches.size() / 2), batches.end());
  return batches[batches.size() / 2] / calls;
}

void with_tensors(Device& device, Stream& stream, const reference::OpCase& c,
                  const std::function<void(const std::function<void()>& call)>& timing) {
  reference::OpCase timed = c;
  timed.run = [&](const Kernels& kernels, Queue queue, reference::DeviceTensors& tensors) {
    timing([&] { c.run(kernels, queue, tensors); });
  };
  timed.reference = [](reference::Values&) {};  // after many calls there is nothing to compare
  reference::run_case(timed, device.kernels(), device.queue(stream), reference::device_memory(device, stream));
}

Measurement check_case(Device& device, Stream& stream, const reference::OpCase& c) {
  Measurement m;
  m.op = c.op;
  m.shape = c.shape;
  m.cost = c.cost;
  reference::Outcome outcome =
      reference::run_case(c, device.kernels(), device.queue(stream), reference::device_memory(device, stream));
  m.error = outcome.mismatch.worst;
  if (!outcome.mismatch.tensor.empty()) {
    m.problem = outcome.mismatch.describe(c);
  } else if (!outcome.overwritten.empty()) {
    m.problem = c.op + " " + c.shape + ": wrote outside of " + outcome.overwritten;
  }
  return m;
}

Measurement measure_case(Device& device, Stream& stream, const reference::OpCase& c, double at_least) {
  Measurement m = check_case(device, stream, c);
  if (!m.problem.empty()) return m;
  with_tensors(device, stream, c, [&](const std::function<void()>& call) {
    m.seconds = seconds_per_call(device, stream, call, at_least);
  });
  return m;
}

std::vector<reference::OpCase> bench_cases() {
  std::vector<reference::OpCase> cases = reference::all_cases(reference::Depth::full);
  std::erase_if(cases, [](const reference::OpCase& c) { return !c.bench; });
  return cases;
}

std::string StepCase::name() const { return concat("step ", net, " ", loss.name, " n=", rows); }

std::vector<StepCase> step_cases() {
  return {{.net = "lenet", .loss = {.name = "contrastive"}, .rows = 256},
          {.net = "small", .loss = {.name = "triplet"}, .rows = 256}};
}

StepMeasurement measure_step(Device& device, const StepCase& c, double at_least) {
  Network network = Network::load(c.net);
  double flops = 3 * network.flops() * c.rows;
  Dataset data = random_images(network.input());
  Model model(std::move(network), data.statistics(), device, 1);
  TrainOptions options;
  options.loss = c.loss;
  options.schedule.base = 1e-4f;
  options.steps = 1 << 30;
  options.pairs = c.rows / 2;
  options.k = 4;
  options.p = c.rows / options.k;
  Trainer trainer(model.encoder(), data, options);
  Stream& stream = model.encoder().stream();
  for (int i = 0; i < 3; ++i) trainer.step();  // records the step
  stream.synchronize();
  trainer.optimizer().read(device, stream);

  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> passed{};
  auto start = Clock::now();
  int steps = 0;
  while (passed.count() < at_least) {
    for (int i = 0; i < 4; ++i, ++steps) trainer.step();
    stream.synchronize();
    passed = Clock::now() - start;
  }
  StepMeasurement m;
  m.seconds = passed.count() / steps;
  m.images = trainer.rows() / m.seconds;
  m.flops = flops / m.seconds;
  m.loss = trainer.optimizer().read(device, stream).mean_loss;
  return m;
}

}  // namespace gemel::bench
