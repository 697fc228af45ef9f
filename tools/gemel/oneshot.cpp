// SPDX-License-Identifier: MIT
//
// gemel oneshot: N-way one-shot classification, in the layout of Omniglot's runs.
#include <iostream>

#include "siamese/one_shot.h"
#include "tools/gemel/command.h"
#include "tools/gemel/summary.h"

namespace gemel::cli {
namespace {

struct OneShotFlags {
  DeviceOptions device;
  std::string model, folder;
  bool json = false;
};

int oneshot(const OneShotFlags& options) {
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const OneShot result = one_shot(model.encoder(), options.folder, !terminal_on_stderr());
  if (options.json) {
    std::cout << dump(one_shot_json(result)) << "\n";
    return 0;
  }
  std::vector<std::vector<std::string>> rows{{"run", "choice of", "trials", "right", "accuracy"}};
  for (const OneShotRun& run : result.runs) {
    rows.push_back({run.name, std::to_string(run.ways), std::to_string(run.trials), std::to_string(run.right),
                    percent(run.accuracy())});
  }
  std::cout << align(rows) << one_shot_line(result) << "\n";
  return 0;
}

}  // namespace

void add_oneshot(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("oneshot", "Measure N-way one-shot classification");
  auto options = std::make_shared<OneShotFlags>();
  command->add_option("MODEL", options->model, "a model from gemel train")->required();
  command->add_option("DIR", options->folder, "a folder of run*/class_labels.txt, as in Omniglot's all_runs.zip")
      ->required();
  command->add_flag("--json", options->json, "for machines");
  options->device.add_to(*command);
  command->footer(
      "Each line of class_labels.txt is a trial: a test picture, and the one of the run's training pictures that is "
      "of\n"
      "its class. The nearest must be that one; another that is as near makes the answer wrong.\n"
      "Example:\n"
      "  gemel oneshot omniglot.safetensors all_runs/");
  command->callback([options, &action] { action = [options] { return oneshot(*options); }; });
}

}  // namespace gemel::cli
