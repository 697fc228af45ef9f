// SPDX-License-Identifier: MIT
//
// From a photograph to an embedding, stage by stage: faces found, landmarks and chips of them, one chip embedded, 64 at
// once. GEMEL_BENCH_MODEL names a model that finds faces (gemel import), GEMEL_BENCH_PICTURE a photograph with one,
// GEMEL_BENCH_DEVICE the device (default auto), GEMEL_BENCH_SECONDS the time for each stage (default 0.5).
//   GEMEL_BENCH_MODEL=faces.safetensors GEMEL_BENCH_PICTURE=a.jpg faces_bench
#include <benchmark/benchmark.h>

#include <cmath>
#include <cstdlib>
#include <exception>
#include <functional>
#include <iostream>
#include <string>

#include "bench/measure.h"
#include "siamese/faces/face_finder.h"
#include "siamese/image.h"
#include "siamese/model.h"

namespace gemel::bench {
namespace {

std::string needed(const char* name, const char* what) {
  const char* text = std::getenv(name);
  if (text == nullptr) throw InputError(concat(name, " is not set; it names ", what));
  return text;
}

int main(int argc, char** argv) {
  const char* name = std::getenv("GEMEL_BENCH_DEVICE");
  const auto device = open_device(name != nullptr ? name : "auto");
  const double at_least = seconds_from_environment();
  const std::string model_file = needed("GEMEL_BENCH_MODEL", "a model that finds faces (gemel import)");
  const std::string picture_file = needed("GEMEL_BENCH_PICTURE", "a photograph with a face");
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;

  Model model = Model::load(model_file, *device);
  const FaceModel parts = FaceModel::from(model.faces, model_file);
  const int size = model.info.preprocessing.height;
  const Image image = read_image(picture_file, 3);
  FaceFinder finder(parts, *device, size);
  const std::vector<FoundFace> found = finder.find(image, finder.window());
  const DevicePicture picture(*device, image);
  if (found.empty()) throw InputError(concat(picture_file, ": shows no face of ", finder.window(), " pixels or more"));
  FaceDetector detector(parts.detector, *device);
  LandmarkFinder landmarks(parts.landmarks, *device);
  ChipCutter cutter(*device);
  const Box box = found.front().face.box;
  const std::vector<std::uint8_t>& chip = found.front().chip.pixels;
  std::vector<std::uint8_t> chips;
  for (int i = 0; i < 64; ++i) chips.insert(chips.end(), chip.begin(), chip.end());

  Stream stream = device->make_stream();  // every stage waits for itself: any stream's events tell its time
  benchmark::AddCustomContext("device", device->name() + ", " + device->description());
  benchmark::AddCustomContext("peak_gflops", concat(measure_peak(*device, stream).flops * 1e-9));
  const auto add = [&](const char* title, int images, const std::function<void()>& call) {
    benchmark::RegisterBenchmark(title,
                                 [&, call, images](benchmark::State& state) {
                                   for (auto _ : state) {
                                     const double seconds = seconds_per_call(*device, stream, call, at_least);
                                     state.SetIterationTime(seconds);
                                     state.counters["images/s"] = images / seconds;
                                   }
                                 })
        ->UseManualTime()
        ->Iterations(1)
        ->Unit(benchmark::kMillisecond);
  };
  add("detect", 1, [&] { detector.detect(picture, finder.window()); });
  add("landmarks_and_chip", 1, [&] { cutter.cut(picture, landmarks.find(picture, {&box, 1}), size); });
  add("embed/1", 1, [&] { model.encoder().embed(chip, 1); });
  add("embed/64", 64, [&] { model.encoder().embed(chips, 64); });
  benchmark::RunSpecifiedBenchmarks();
  return 0;
}

}  // namespace
}  // namespace gemel::bench

int main(int argc, char** argv) {
  try {
    return gemel::bench::main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "faces_bench: " << error.what() << "\n";
    return 2;
  }
}
