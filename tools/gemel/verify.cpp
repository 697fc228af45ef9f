// SPDX-License-Identifier: MIT
//
// gemel verify: are two pictures of one identity? The exit status answers: 0 same, 1 different.
#include <cmath>
#include <iostream>
#include <optional>
#include <span>

#include "tools/gemel/command.h"

namespace gemel::cli {
namespace {

struct VerifyOptions {
  DeviceOptions device;
  std::string model, a, b;
  std::optional<double> threshold;  // none: the model's
  bool json = false;
};

int verify(const VerifyOptions& options) {
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const Preprocessing& preprocessing = model.info.preprocessing;
  double threshold = threshold_for(model, options.model, options.threshold);

  Image a = load_picture(options.a, preprocessing), b = load_picture(options.b, preprocessing);
  std::vector<std::uint8_t> pixels = a.pixels;
  pixels.insert(pixels.end(), b.pixels.begin(), b.pixels.end());
  std::vector<float> e = model.encoder().embed(pixels, 2, 2);
  std::span<const float> both(e);
  double distance = model.encoder().distances(both.first(e.size() / 2), both.last(e.size() / 2)).front();
  if (!std::isfinite(distance)) throw InputError(options.model + ": gives embeddings that are not finite numbers");
  bool same = distance <= threshold;
  if (options.json) {
    std::cout
        << dump({{"a", options.a}, {"b", options.b}, {"distance", distance}, {"threshold", threshold}, {"same", same}})
        << "\n";
  } else {
    std::cout << "distance " << fixed(distance, 4) << "  threshold " << fixed(threshold, 4) << "  "
              << (same ? "same" : "different") << "\n";
  }
  return same ? 0 : 1;
}

}  // namespace

void add_verify(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("verify", "Tell whether two pictures show the same identity");
  auto options = std::make_shared<VerifyOptions>();
  command->add_option("MODEL", options->model, "a model from gemel train")->required();
  command->add_option("A", options->a, "a picture: PNG, JPEG, PGM/PPM, BMP")->required();
  command->add_option("B", options->b, "another one")->required();
  command->add_option("--threshold", options->threshold, "the largest distance that is 'same' (default: the model's)");
  command->add_flag("--json", options->json, "for machines");
  options->device.add_to(*command);
  command->footer(
      "Exit status: 0 same, 1 different, 2 error. Pictures of another size are resized to the model's.\n"
      "Examples:\n"
      "  gemel verify faces.safetensors a.png b.png && echo same\n"
      "  gemel verify faces.safetensors a.png b.png --threshold 0.8 --json");
  command->callback([options, &action] { action = [options] { return verify(*options); }; });
}

}  // namespace gemel::cli
