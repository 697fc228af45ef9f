// SPDX-License-Identifier: MIT
//
// gemel eval: how well a model tells the identities of a data set apart.
#include <iostream>

#include "tools/gemel/command.h"
#include "tools/gemel/report.h"
#include "tools/gemel/summary.h"

namespace gemel::cli {
namespace {

struct EvalFlags {
  DeviceOptions device;
  std::string model, data, report;
  std::size_t pairs = 20000;
  std::uint64_t seed = 7;
  bool json = false;
};

int eval(const EvalFlags& options) {
  if (!options.report.empty()) check_writable(options.report);
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  Dataset data = load_for_model(options.data, model.info.preprocessing);
  Evaluation evaluation = evaluate(model.encoder(), data, options.pairs, options.seed);
  if (!options.report.empty()) {
    std::string title = std::filesystem::path(options.model).filename().string();
    write_file(options.report, report_html({title, model.network(), model.info, data, evaluation, {}}));
  }
  bool calibrated = !model.info.calibrated_on.empty();
  AtThreshold at = at_threshold(evaluation, model.info.threshold);
  if (options.json) {
    Json json = summary_json(evaluation);
    json["model"] = options.model;
    if (calibrated) {
      json["at_model_threshold"] = {
          {"threshold", at.threshold}, {"accuracy", at.accuracy}, {"tar", at.tar}, {"far", at.far}};
    }
    std::cout << json.dump(2) << "\n";
  } else {
    std::cout << summary_text(evaluation);
    if (calibrated) {
      std::cout << "at the model's threshold " << fixed(at.threshold, 4) << ": accuracy " << fixed(100 * at.accuracy, 2)
                << " %, accepts " << fixed(100 * at.tar, 2) << " % of the same and " << fixed(100 * at.far, 2)
                << " % of the different pairs\n";
    }
    if (!options.report.empty()) std::cout << "report: " << options.report << "\n";
  }
  std::string warning = collapse_warning(evaluation.health);
  if (!warning.empty()) std::cerr << "gemel: WARNING: " << warning << std::endl;
  return 0;
}

}  // namespace

void add_eval(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("eval", "Measure how well a model tells identities apart");
  auto options = std::make_shared<EvalFlags>();
  command->add_option("MODEL", options->model, "a model from gemel train")->required();
  command->add_option("DATA", options->data, "data it has not been trained on")->required();
  command
      ->add_option("--pairs", options->pairs,
                   "pairs drawn, half of them same; all pairs are taken where there are at most 200,000")
      ->check(CLI::Range(2, 100000000))
      ->capture_default_str();
  command->add_option("--seed", options->seed, "of the pairs")->capture_default_str();
  command->add_option("--report", options->report, "an HTML report")->type_name("FILE");
  command->add_flag("--json", options->json, "for machines");
  options->device.add_to(*command);
  command->footer(
      "Examples:\n"
      "  gemel eval faces.safetensors other_faces/ --report report.html\n"
      "  gemel eval fashion.safetensors idx:/usr/share/datasets/fashion-mnist:test --json");
  command->callback([options, &action] { action = [options] { return eval(*options); }; });
}

}  // namespace gemel::cli
