// SPDX-License-Identifier: MIT
//
// Whole training steps of both presets, and the workloads that are compared with other libraries (workloads.h).
// GEMEL_BENCH_DEVICE names the device (default auto), GEMEL_BENCH_SECONDS the time for each workload (default 0.5).
//   GEMEL_BENCH_DEVICE=cpu step_bench --benchmark_filter='train/|embed/'
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "bench/measure.h"
#include "bench/workloads.h"

namespace gemel::bench {
namespace {

void run_step(benchmark::State& state, Device& device, const StepCase& c) {
  StepMeasurement m;
  for (auto _ : state) {
    m = measure_step(device, c);
    state.SetIterationTime(m.seconds);
  }
  if (!std::isfinite(m.loss)) {
    state.SkipWithError("WRONG: the loss is not finite");
    return;
  }
  state.counters["images/s"] = m.images;
  state.counters["TFLOP/s"] = m.flops * 1e-12;
}

void run_workload(benchmark::State& state, Device& device, const Workload& workload, double at_least) {
  const PreparedWorkload ready = workload.prepare(device);
  if (!ready.problem.empty()) {
    state.SkipWithError(("WRONG: " + ready.problem).c_str());
    return;
  }
  for (auto _ : state) {
    const double seconds = seconds_per_call(device, *ready.stream, ready.call, at_least);
    state.SetIterationTime(seconds);
    if (workload.images > 0) state.counters["images/s"] = workload.images / seconds;
  }
}

int main(int argc, char** argv) {
  const char* name = std::getenv("GEMEL_BENCH_DEVICE");
  auto device = open_device(name != nullptr ? name : "auto");
  const double seconds = seconds_from_environment();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  Stream stream = device->make_stream();
  benchmark::AddCustomContext("device", device->name() + ", " + device->description());
  benchmark::AddCustomContext("peak_gflops", concat(measure_peak(*device, stream).flops * 1e-9));
  auto add = [](const std::string& title, const std::function<void(benchmark::State&)>& body, int iterations) {
    benchmark::RegisterBenchmark(title.c_str(), body)
        ->UseManualTime()
        ->Iterations(iterations)
        ->Unit(benchmark::kMillisecond);
  };
  for (const StepCase& c : step_cases(*device)) {
    std::string title = c.name();
    std::replace(title.begin(), title.end(), ' ', '_');
    add(
        title, [&device, c](benchmark::State& state) { run_step(state, *device, c); }, 3);
  }
  for (const Workload& w : workloads()) {
    add(
        w.name, [&device, w, seconds](benchmark::State& state) { run_workload(state, *device, w, seconds); }, 1);
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace gemel::bench

int main(int argc, char** argv) {
  try {
    return gemel::bench::main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "step_bench: " << error.what() << "\n";
    return 2;
  }
}
