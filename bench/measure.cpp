// SPDX-License-Identifier: MIT
//
// Measuring single operations and whole training steps.
#include "bench/measure.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdlib>
#include <utility>

#include "engine/random.h"
#include "tests/reference/device_memory.h"
#include "tests/reference/rung_error.h"

namespace gemel::bench {
namespace {

constexpr int kBatches = 9;

// In the network's own size.
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

double seconds_from_environment() {
  const char* text = std::getenv("GEMEL_BENCH_SECONDS");
  if (text == nullptr) return 0.5;
  char* end = nullptr;
  const double seconds = std::strtod(text, &end);
  if (end == text || *end != '\0' || !(seconds > 0 && seconds <= 60)) {
    throw InputError(concat("GEMEL_BENCH_SECONDS=", text, ": must be a number of seconds, above 0 and at most 60"));
  }
  return seconds;
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
  const reference::OpCase in_math = reference::in_math(c, device.math);
  reference::Outcome outcome =
      reference::run_case(in_math, device.kernels(), device.queue(stream), reference::device_memory(device, stream));
  m.error = outcome.mismatch.worst;
  if (!outcome.mismatch.tensor.empty()) {
    m.problem = outcome.mismatch.describe(c);
  } else if (!outcome.overwritten.empty()) {
    m.problem = c.op + " " + c.shape + ": wrote outside of " + outcome.overwritten;
  } else {
    m.rms = reference::rms_error(in_math, outcome.got);
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

std::vector<reference::OpCase> quick_cases() {
  std::vector<reference::OpCase> quick;
  std::vector<reference::OpCase> all = bench_cases();
  while (!all.empty()) {
    std::vector<reference::OpCase> same;
    for (const reference::OpCase& c : all) {
      if (c.op == all.front().op) same.push_back(c);
    }
    std::erase_if(all, [&](const reference::OpCase& c) { return c.op == same.front().op; });
    std::stable_sort(same.begin(), same.end(), [](const reference::OpCase& a, const reference::OpCase& b) {
      return a.cost.flops + a.cost.bytes < b.cost.flops + b.cost.bytes;
    });
    quick.push_back(same[(same.size() - 1) / 2]);
  }
  return quick;
}

std::string StepCase::name() const {
  return concat("step ", net, " ", loss.name, " n=", rows, input.rank() == 0 ? "" : " " + input.str());
}

std::vector<StepCase> small_step_cases() {
  return {{.net = "lenet", .loss = {.name = "contrastive"}, .rows = 256},
          {.net = "small", .loss = {.name = "triplet"}, .rows = 256}};
}

std::vector<StepCase> step_cases(const Device& device) {
  std::vector<StepCase> cases = small_step_cases();
  if (device.name() == "simt") return cases;
  const int rows = device.on_host() ? 16 : 256;
  cases.push_back({.net = "koch", .loss = {.name = "contrastive"}, .rows = rows});
  cases.push_back({.net = "facenet-small", .loss = {.name = "triplet"}, .rows = rows, .input = {112, 112, 3}});
  return cases;
}

Network StepCase::network() const { return input.rank() == 0 ? Network::load(net) : Network::for_input(net, input); }

TrainingStep::TrainingStep(Device& device, const StepCase& c)
    : device_(device),
      data_(random_images(c.network().input())),
      model_(c.network(), data_.statistics(), device, 1),
      trainer_(model_.encoder(), data_,
               {.loss = c.loss,
                .schedule = {.base = 1e-4F},
                .steps = 1 << 30,
                .pairs = c.rows / 2,
                .p = c.rows / c.k,
                .k = c.k}) {}

float TrainingStep::mean_loss() { return trainer_.optimizer().read(device_, stream()).mean_loss; }

StepMeasurement measure_step(Device& device, const StepCase& c, double at_least) {
  TrainingStep step(device, c);
  for (int i = 0; i < 3; ++i) step.call();  // records the step
  step.mean_loss();

  using Clock = std::chrono::steady_clock;
  std::chrono::duration<double> passed{};
  auto start = Clock::now();
  int steps = 0;
  while (passed.count() < at_least) {
    for (int i = 0; i < 4; ++i, ++steps) step.call();
    step.stream().synchronize();
    passed = Clock::now() - start;
  }
  StepMeasurement m;
  m.seconds = passed.count() / steps;
  m.images = step.rows() / m.seconds;
  m.flops = step.flops() / m.seconds;
  m.loss = step.mean_loss();
  return m;
}

}  // namespace gemel::bench
