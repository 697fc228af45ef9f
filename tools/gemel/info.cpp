// SPDX-License-Identifier: MIT
//
// gemel info: the network of a model, a preset or a network file, and what a model remembers of its training.
#include <fstream>
#include <iostream>

#include "engine/error.h"
#include "siamese/faces/face_model.h"
#include "tools/gemel/command.h"

namespace gemel::cli {
namespace {

// A safetensors file has its JSON header from byte 8 on; a network file is text that never does.
bool is_model(const std::string& name) {
  if (std::filesystem::path(name).extension() == ".safetensors") return true;
  std::ifstream in(name, std::ios::binary);
  char head[9] = {};
  return in.read(head, sizeof head) && head[8] == '{';
}

// "embedding": null where the output is no row of numbers.
Json describe(const Network& network) {
  return {{"input", network.input().str()},
          {"output", network.output().str()},
          {"embedding", network.output().rank() == 1 ? Json(network.embedding_size()) : Json()},
          {"parameters", network.parameters().parameter_count()},
          {"mflop", network.flops() / 1e6},
          {"network", network.text()}};
}

int print_network(const Network& network, bool json) {
  if (json) {
    std::cout << dump(describe(network)) << "\n";
  } else {
    std::cout << network.table();
  }
  return 0;
}

std::size_t parameter_count(const DetectorModel& detector) {
  std::size_t count = 0;
  for (const auto& [name, tensor] : detector.parameters) count += tensor.values.size();
  return count;
}

// Null where the model finds no faces.
Json describe(const std::optional<FaceModel>& faces) {
  if (!faces) return {};
  const DetectorModel& detector = faces->detector;
  const LandmarkModel& landmarks = faces->landmarks;
  return {{"detector",
           {{"network", detector.network},
            {"parameters", parameter_count(detector)},
            {"window", {detector.window_height, detector.window_width}}}},
          {"landmarks",
           {{"points", landmarks.points},
            {"stages", landmarks.stages},
            {"trees", landmarks.trees},
            {"depth", landmarks.depth}}}};
}

std::string sentence(const FaceModel& faces) {
  const DetectorModel& detector = faces.detector;
  const LandmarkModel& landmarks = faces.landmarks;
  return concat("found from ", detector.window_width, "x", detector.window_height, " pixels on by a detector of ",
                thousands(static_cast<long long>(parameter_count(detector))), " parameters; ", landmarks.points,
                " landmarks by ", landmarks.stages, " x ", landmarks.trees, " trees");
}

int print_model(Model& model, const std::string& file, bool json) {
  const ModelInfo& info = model.info;
  std::optional<FaceModel> faces;
  if (!model.faces.metadata.empty() || !model.faces.tensors.empty()) faces = FaceModel::from(model.faces, file);
  if (json) {
    Json all = describe(model.network());
    all["preprocessing"] = Json::parse(info.preprocessing.text());
    all["threshold"] = info.calibrated_on.empty() ? Json() : Json(info.threshold);
    all["calibrated_on"] = info.calibrated_on;
    all["trained"] = info.trained;
    all["faces"] = describe(faces);
    std::cout << dump(all) << "\n";
    return 0;
  }
  std::cout << model.network().table() << "\npreprocessing  " << info.preprocessing.text() << "\nthreshold      ";
  if (info.calibrated_on.empty()) {
    std::cout << "not calibrated\n";
  } else {
    std::cout << fixed(info.threshold, 4) << " (" << info.calibrated_on << ")\n";
  }
  std::cout << "trained        " << (info.trained.empty() ? "no record" : info.trained) << "\n";
  if (faces) std::cout << "faces          " << sentence(*faces) << "\n";
  return 0;
}

}  // namespace

void add_info(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("info", "Describe a model, a preset or a network file");
  struct Options {
    std::string what;
    bool json = false;
  };
  auto options = std::make_shared<Options>();
  command->add_option("MODEL", options->what, "a model, a network file, or a preset: " + Network::preset_list())
      ->required();
  command->add_flag("--json", options->json, "for machines");
  command->footer("Examples:\n  gemel info lenet\n  gemel info faces.safetensors --json");
  command->callback([options, &action] {
    action = [options] {
      if (!is_model(options->what)) return print_network(Network::load(options->what), options->json);
      auto device = open_device("cpu");
      Model model = Model::load(options->what, *device);
      return print_model(model, options->what, options->json);
    };
  });
}

}  // namespace gemel::cli
