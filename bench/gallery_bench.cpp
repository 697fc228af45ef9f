// SPDX-License-Identifier: MIT
//
// Searching a gallery of a million embeddings: 1 query, and 100 at once, the ten nearest of each, beside what memory
// and arithmetic allow here. GEMEL_BENCH_DEVICE names the device (default auto).
//   GEMEL_BENCH_DEVICE=cpu gallery_bench
#include <benchmark/benchmark.h>

#include <cstdlib>
#include <ctime>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "bench/measure.h"
#include "engine/random.h"
#include "siamese/gallery.h"

namespace gemel::bench {
namespace {

constexpr int kPictures = 1'000'000, kDim = 128, kNearest = 10, kMostQueries = 100;
constexpr const char* kNetwork = "input 1x1x1\nlinear 128\n";  // no picture is embedded: it tells the size alone

// Random rows, and queries that each lie beside one of them, known to the check.
struct Workload {
  Gallery gallery{"0", kDim};
  std::vector<float> queries;
  std::vector<int> beside;

  Workload() {
    Random random(1);
    std::vector<float> row(kDim);
    for (int i = 0; i < kPictures; ++i) {
      for (float& x : row) x = random.uniform(-1, 1);
      gallery.add(std::to_string(i / 10), std::to_string(i), row);
    }
    for (int i = 0; i < kMostQueries; ++i) {
      beside.push_back(random.below(kPictures));
      for (int k = 0; k < kDim; ++k) {
        const std::size_t at = static_cast<std::size_t>(beside.back()) * kDim + static_cast<std::size_t>(k);
        queries.push_back(gallery.embeddings()[at] + 0.01F * random.normal());
      }
    }
  }
};

void search_gallery(benchmark::State& state, Device& device, GallerySearch& search, const Workload& workload,
                    const Peak& peak) {
  const int n = static_cast<int>(state.range(0));
  const auto queries = std::span(workload.queries).first(static_cast<std::size_t>(n) * kDim);
  const auto found = search.pictures(queries, kNearest);
  for (std::size_t i = 0; i < found.size(); ++i) {
    if (found[i][0].picture != workload.beside[i]) {
      state.SkipWithError("WRONG: the nearest picture is another");
      return;
    }
  }
  Stream stream = device.make_stream();  // a search waits for itself: any stream's events tell its time
  for (auto _ : state) {
    state.SetIterationTime(seconds_per_call(
        device, stream, [&] { search.pictures(queries, kNearest); }, 2));
  }
  // Of all threads together: what a call costs where others are at work on the same cores.
  constexpr int kCalls = 5;
  const std::clock_t before = std::clock();
  for (int i = 0; i < kCalls; ++i) search.pictures(queries, kNearest);
  state.counters["cpu_ms"] = 1e3 * static_cast<double>(std::clock() - before) / CLOCKS_PER_SEC / kCalls;
  const double bytes = 4.0 * kPictures * kDim, flops = 2.0 * n * kPictures * kDim;
  using benchmark::Counter;
  state.counters["GB/s"] = Counter(1e-9 * bytes, Counter::kIsIterationInvariantRate);
  state.counters["GFLOP/s"] = Counter(1e-9 * flops, Counter::kIsIterationInvariantRate);
  state.counters["peak_GB/s"] = 1e-9 * peak.bytes;
  state.counters["peak_GFLOP/s"] = 1e-9 * peak.flops;
}

int main(int argc, char** argv) {
  const char* name = std::getenv("GEMEL_BENCH_DEVICE");
  auto device = open_device(name != nullptr ? name : "auto");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  Model model(Network::parse(kNetwork, "bench"), Preprocessing{1, 1, 1, {0}, {1}}, *device, 1);
  const Workload workload;
  GallerySearch search(model.encoder(), workload.gallery);
  Stream stream = device->make_stream();
  const Peak peak = measure_peak(*device, stream);
  benchmark::AddCustomContext("device", device->name() + ", " + device->description());
  benchmark::RegisterBenchmark("gallery/1000000x128/queries",
                               [&](benchmark::State& state) { search_gallery(state, *device, search, workload, peak); })
      ->Arg(1)
      ->Arg(kMostQueries)
      ->UseManualTime()
      ->Iterations(1)
      ->Unit(benchmark::kMillisecond);
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
    std::cerr << "gallery_bench: " << error.what() << "\n";
    return 2;
  }
}
