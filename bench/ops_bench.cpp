// SPDX-License-Identifier: MIT
//
// Every operation on the shapes of real networks: TFLOP/s, GB/s, share of the roofline measured in this run, and the
// error against the reference: `error` the worst as a share of the case's tolerance, `rms` the root of the mean square
// as a share of the results'. GEMEL_BENCH_DEVICE names the device (default auto). On simt and cuda the rungs of the
// ladders follow, beside each other: OP/SHAPE/RUNG. tools/compare_bench sets two runs' JSON side by side.
//   GEMEL_BENCH_DEVICE=cpu ops_bench --benchmark_filter=conv2d
//   GEMEL_BENCH_DEVICE=simt ops_bench --benchmark_filter='linear_fprop/n=256_800.*/0' --benchmark_out=linear.json
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <exception>
#include <iostream>
#include <memory>
#include <optional>
#include <string>

#include "bench/measure.h"

namespace gemel::bench {
namespace {

// Names without spaces, for --benchmark_filter and for spreadsheets.
std::string benchmark_name(const reference::OpCase& c) {
  std::string name = c.op + "/" + c.shape;
  std::replace(name.begin(), name.end(), ' ', '_');
  return name;
}

void run(benchmark::State& state, Device& device, Stream& stream, const Peak& peak, const reference::OpCase& c,
         const Measurement& checked) {
  if (!checked.problem.empty()) {
    state.SkipWithError(("WRONG: " + checked.problem).c_str());
    return;
  }
  double seconds = 0;
  with_tensors(device, stream, c, [&](const std::function<void()>& call) {
    for (auto _ : state) {
      seconds = seconds_per_call(device, stream, call, 0.05);
      state.SetIterationTime(seconds);
    }
  });
  state.counters["TFLOP/s"] = c.cost.flops / seconds * 1e-12;
  state.counters["GB/s"] = c.cost.bytes / seconds * 1e-9;
  state.counters["roofline"] = roofline_share(peak, c.cost.flops, c.cost.bytes, seconds);
  state.counters["error"] = checked.error;
  state.counters["rms"] = checked.rms;
}

int main(int argc, char** argv) {
  const char* name = std::getenv("GEMEL_BENCH_DEVICE");
  auto device = open_device(name != nullptr ? name : "auto");
  Stream stream = device->make_stream();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  Peak peak = measure_peak(*device, stream);
  benchmark::AddCustomContext("device", device->name() + ", " + device->description());
  benchmark::AddCustomContext("peak", concat(peak.flops * 1e-12, " TFLOP/s, ", peak.bytes * 1e-9, " GB/s"));
  const auto add = [&](const std::string& title, const reference::OpCase& c) {
    // Checked once, when it is first run: Google Benchmark calls a benchmark several times.
    auto checked = std::make_shared<std::optional<Measurement>>();
    auto body = [&device, &stream, peak, c, checked](benchmark::State& state) {
      if (!*checked) *checked = check_case(*device, stream, c);
      run(state, *device, stream, peak, c, **checked);
    };
    benchmark::RegisterBenchmark(title.c_str(), body)->UseManualTime()->Iterations(3)->Unit(benchmark::kMillisecond);
  };
  for (const reference::OpCase& c : bench_cases()) add(benchmark_name(c), c);
  for (const RungCase& c : rung_cases(*device)) add(benchmark_name(c.op_case) + "/" + c.rung, c.op_case);
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
    std::cerr << "ops_bench: " << error.what() << "\n";
    return 2;
  }
}
