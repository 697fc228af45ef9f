// SPDX-License-Identifier: MIT
//
// gemel import: the face models that dlib's author published, as one model file.
#include <iostream>

#include "engine/error.h"
#include "siamese/faces/dlib_models.h"
#include "tools/gemel/command.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

struct ImportFlags {
  std::string folder, embedding, detector, landmarks, output;
};

// The file that was named, else the published one of that name in the folder.
fs::path pick(const ImportFlags& flags, const std::string& named, const char* option, const char* published) {
  if (!named.empty()) return named;
  if (flags.folder.empty()) throw InputError(concat(option, ": name the file, or the folder that has ", published));
  return fs::path(flags.folder) / published;
}

int import_models(const ImportFlags& flags) {
  check_writable(flags.output);
  const DlibFiles files{
      .detector = pick(flags, flags.detector, "--detector", "mmod_human_face_detector.dat"),
      .landmarks = pick(flags, flags.landmarks, "--landmarks", "shape_predictor_5_face_landmarks.dat"),
      .embedding = pick(flags, flags.embedding, "--embedding", "dlib_face_recognition_resnet_model_v1.dat")};
  auto device = open_device("cpu");
  Model model = import_dlib_models(files, *device);
  model.save(flags.output);
  std::cout << flags.output << ": " << model.network().embedding_size() << " numbers a face, "
            << thousands(static_cast<long long>(model.network().parameters().parameter_count()))
            << " parameters; same person up to " << fixed(model.info.threshold, 2) << " (" << model.info.calibrated_on
            << ")\n";
  return 0;
}

}  // namespace

void add_import(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("import", "Make a model of dlib's published face models");
  auto flags = std::make_shared<ImportFlags>();
  command->add_option("DIR", flags->folder, "a folder that has the three files under their published names");
  command->add_option("--embedding", flags->embedding, "dlib_face_recognition_resnet_model_v1.dat")->type_name("FILE");
  command->add_option("--detector", flags->detector, "mmod_human_face_detector.dat")->type_name("FILE");
  command->add_option("--landmarks", flags->landmarks, "shape_predictor_5_face_landmarks.dat")->type_name("FILE");
  command->add_option("-o,--output", flags->output, "the model to write")->type_name("FILE")->required();
  command->footer(
      "The models are Davis King's, in the public domain (CC0 1.0); tools/get_face_model.sh fetches and imports them.\n"
      "Examples:\n"
      "  gemel import models/ -o faces.safetensors\n"
      "  gemel import --embedding a.dat --detector b.dat --landmarks c.dat -o faces.safetensors");
  command->callback([flags, &action] { action = [flags] { return import_models(*flags); }; });
}

}  // namespace gemel::cli
