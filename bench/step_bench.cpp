// SPDX-License-Identifier: MIT
//
// Whole training steps of both presets: images a second. GEMEL_BENCH_DEVICE names the device (default auto).
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <string>

#include "bench/measure.h"

namespace gemel::bench {
namespace {

void run(benchmark::State& state, Device& device, const StepCase& c) {
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

int main(int argc, char** argv) {
  const char* name = std::getenv("GEMEL_BENCH_DEVICE");
  auto device = open_device(name != nullptr ? name : "auto");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("device", device->name() + ", " + device->description());
  for (const StepCase& c : step_cases()) {
    std::string title = c.name();
    std::replace(title.begin(), title.end(), ' ', '_');
    benchmark::RegisterBenchmark(title.c_str(), [&device, c](benchmark::State& state) { run(state, *device, c); })
        ->UseManualTime()
        ->Iterations(3)
        ->Unit(benchmark::kMillisecond);
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
