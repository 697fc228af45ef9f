// SPDX-License-Identifier: MIT
//
// gemel eval: how well a model tells the identities of a data set apart.
#include <iostream>

#include "siamese/lfw.h"
#include "tools/gemel/faces.h"
#include "tools/gemel/report.h"
#include "tools/gemel/summary.h"

namespace gemel::cli {
namespace {

struct EvalFlags {
  DeviceOptions device;
  FaceFlags faces;
  std::vector<std::string> identities;  // empty: all
  std::string model, data, report, pairs_file, one_shot;
  std::size_t pairs = 20000;
  int folds = 0;  // 0: no cross-validation
  std::uint64_t seed = 7;
  bool json = false;
};

// What is measured, on which data, and the folds of its pairs.
struct Measured {
  Dataset data;
  Evaluation evaluation;
  Protocols protocols;
};

Measured measure_list(const EvalFlags& options, Model& model, std::optional<float> threshold) {
  ListedPairs listed = load_listed_pairs(options.pairs_file, options.data, load_options_for(model.info.preprocessing));
  Measured result{std::move(listed.data), {}, {}};
  result.evaluation = evaluate(model.encoder(), result.data, listed.pairs, threshold);
  if (listed.folds < 2) return result;
  result.protocols.k_fold = k_fold(result.evaluation.distances, listed.pairs.same, listed.fold, listed.folds);
  result.protocols.k_fold->given = true;
  return result;
}

Measured measure_drawn(const EvalFlags& options, Model& model, std::optional<float> threshold) {
  Measured result{PictureReader(model, options.model, options.faces).read_dataset(options.data), {}, {}};
  if (!options.identities.empty()) result.data = result.data.only(options.identities);
  const Dataset& data = result.data;
  FoldedPairs folded;  // first: it says what is wrong before the long work
  if (options.folds > 0) folded = fold_pairs(data.labels, options.folds, options.pairs, options.seed, data.source);
  result.evaluation = evaluate(model.encoder(), data, options.pairs, options.seed, threshold);
  if (options.folds == 0) return result;
  const std::vector<float> distances = pair_distances(model.encoder(), result.evaluation.embeddings, folded.pairs);
  result.protocols.k_fold = k_fold(distances, folded.pairs.same, folded.fold, options.folds);
  result.protocols.k_fold->disjoint_identities = folded.disjoint_identities;
  return result;
}

void print(const EvalFlags& options, const Measured& measured, const AtThreshold* at) {
  const Evaluation& evaluation = measured.evaluation;
  const auto& [k_fold, one_shot] = measured.protocols;
  if (options.json) {
    Json json = summary_json(evaluation);
    json["model"] = options.model;
    if (at != nullptr) {
      json["at_model_threshold"] = {
          {"threshold", at->threshold}, {"accuracy", at->accuracy}, {"tar", at->tar}, {"far", at->far}};
    }
    if (k_fold) json["k_fold"] = k_fold_json(*k_fold);
    if (one_shot) json["one_shot"] = one_shot_json(*one_shot);
    std::cout << dump(json) << "\n";
    return;
  }
  std::cout << summary_text(evaluation);
  if (at != nullptr) {
    std::cout << "at the model's threshold " << fixed(at->threshold, 4) << ": accuracy " << percent(at->accuracy);
    if (evaluation.intervals.rounds > 0) std::cout << " (" << percent_interval(evaluation.intervals.accuracy) << ")";
    std::cout << ", accepts " << percent(at->tar) << " of the same and " << percent(at->far)
              << " of the different pairs\n";
  }
  if (k_fold) std::cout << "k-fold: " << k_fold_line(*k_fold) << "\n";
  if (one_shot) std::cout << "one-shot: " << one_shot_line(*one_shot) << "\n";
  if (!options.report.empty()) std::cout << "report: " << options.report << "\n";
}

int eval(const EvalFlags& options) {
  if (!options.report.empty()) check_writable(options.report);
  auto device = options.device.open();
  Model model = Model::load(options.model, *device);
  const bool calibrated = !model.info.calibrated_on.empty();
  std::optional<float> threshold;
  if (calibrated) threshold = model.info.threshold;
  Measured measured =
      options.pairs_file.empty() ? measure_drawn(options, model, threshold) : measure_list(options, model, threshold);
  if (!options.one_shot.empty()) {
    measured.protocols.one_shot = one_shot(model.encoder(), options.one_shot, !terminal_on_stderr());
  }
  const Evaluation& evaluation = measured.evaluation;
  if (!options.report.empty()) {
    std::string title = std::filesystem::path(options.model).filename().string();
    write_file(options.report,
               report_html({title, model.network(), model.info, measured.data, evaluation, {}, measured.protocols}));
  }
  const AtThreshold at = at_threshold(evaluation, model.info.threshold);
  print(options, measured, calibrated ? &at : nullptr);
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
  command->add_option("--identities", options->identities, "measure these alone, by name: 1,3,5")->delimiter(',');
  auto* pairs = command
                    ->add_option("--pairs", options->pairs,
                                 "pairs drawn, half of them same; all pairs are taken where there are at most 200,000")
                    ->check(CLI::Range(2, 100000000))
                    ->capture_default_str();
  auto* folds = command
                    ->add_option("--folds", options->folds,
                                 "cross-validate: accuracy of each fold at the best threshold of the others")
                    ->check(CLI::Range(2, 1000))
                    ->type_name("N");
  command
      ->add_option("--pairs-file", options->pairs_file,
                   "pairs and folds as in LFW's pairs.txt; DATA is then DIR of DIR/name/name_0001.jpg")
      ->type_name("FILE")
      ->excludes(pairs)
      ->excludes(folds);
  command->add_option("--oneshot", options->one_shot, "one-shot trials too (see gemel oneshot)")->type_name("DIR");
  command->add_option("--seed", options->seed, "of the pairs")->capture_default_str();
  command->add_option("--report", options->report, "an HTML report")->type_name("FILE");
  command->add_flag("--json", options->json, "for machines");
  options->faces.add_to(*command, false, false);
  options->device.add_to(*command);
  command->footer(
      "Examples:\n"
      "  gemel eval faces.safetensors other_faces/ --report report.html\n"
      "  gemel eval faces.safetensors lfw/ --pairs-file pairs.txt\n"
      "  gemel eval faces.safetensors other_faces/ --folds 10\n"
      "  gemel eval fashion.safetensors idx:/usr/share/datasets/fashion-mnist:test --json");
  command->callback([options, &action] { action = [options] { return eval(*options); }; });
}

}  // namespace gemel::cli
