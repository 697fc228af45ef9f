// SPDX-License-Identifier: MIT
//
// gemel train: a data set -> a model with a calibrated threshold, a summary, and a report.
#include <algorithm>
#include <chrono>
#include <iostream>
#include <optional>
#include <tuple>

#include "siamese/trainer.h"
#include "tools/gemel/command.h"
#include "tools/gemel/progress.h"
#include "tools/gemel/report.h"
#include "tools/gemel/summary.h"
#include "tools/gemel/train_flags.h"

namespace gemel::cli {
namespace {

namespace fs = std::filesystem;

constexpr double kDefaultHoldout = 0.2;
// What a network that can learn at all reaches on its own batch. The loss as well: easy batches have their AUC from the
// start.
constexpr double kOverfitAuc = 0.99, kOverfitLoss = 0.2;

struct Data {
  Dataset training, validation;
};

// "idx:DIR" and "idx:DIR:train" have a test half when DIR holds one of the usual names.
std::optional<std::string> test_half(const std::string& source) {
  std::string base = source;
  if (base.ends_with(":train")) base.resize(base.size() - 6);
  if (!base.starts_with("idx:") || base.ends_with(":test") || base.find(',') != std::string::npos) return {};
  for (const char* name : {"t10k-images-idx3-ubyte", "t10k-images-idx3-ubyte.gz"}) {
    if (fs::exists(fs::path(base.substr(4)) / name)) return base + ":test";
  }
  return {};
}

// The split of one data set: identities never seen in training for folders, images of the same identities for IDX.
Data split(const Dataset& all, const TrainFlags& options) {
  double share = options.holdout > 0 ? options.holdout : kDefaultHoldout;
  bool by_identity = !all.files.empty() && all.identities.size() >= 4;
  auto [rest, held_out] =
      by_identity ? all.split_identities(share, options.seed) : all.split_images(share, options.seed);
  held_out.source +=
      concat(" (", held_out.identities.size(), by_identity ? " identities held out)" : " identities, images held out)");
  return {std::move(rest), std::move(held_out)};
}

LoadOptions load_options(const TrainFlags& options) {
  LoadOptions load;
  load.quiet = !terminal_on_stderr();
  load.channels = options.channels;
  load.limit = options.limit;
  if (!options.size.empty()) {
    std::tie(load.height, load.width) = parse_size(options.size);
  } else {
    std::vector<std::string> presets = Network::presets();
    if (std::find(presets.begin(), presets.end(), options.net) == presets.end()) {
      // A network file says its own size; presets take the data set's.
      Shape input = Network::load(options.net).input();
      load.height = input[0];
      load.width = input[1];
      load.channels = input[2];
    }
  }
  return load;
}

// `reader`: of the model to go on from; may be null.
Data load_data(const TrainFlags& options, PictureReader* reader) {
  LoadOptions load;
  if (reader == nullptr) load = load_options(options);
  Dataset all =
      reader != nullptr ? reader->read_dataset(options.data, options.limit) : load_dataset(options.data, load);
  if (!options.identities.empty()) all = all.only(options.identities);
  std::optional<std::string> validation = test_half(options.data);
  if (!options.validation.empty()) validation = options.validation;
  if (options.holdout > 0 || !validation) return split(all, options);
  load.height = all.height;
  load.width = all.width;
  load.channels = all.channels;
  Dataset other =
      reader != nullptr ? reader->read_dataset(*validation, options.limit) : load_dataset(*validation, load);
  if (!options.identities.empty() && options.validation.empty()) other = other.only(options.identities);
  return {std::move(all), std::move(other)};
}

// What the training starts from: fresh parameters, or a model's.
Model start_model(const TrainFlags& options, const Dataset& training, Device& device, const EmbeddingLoss& loss,
                  Model* base) {
  const int classes = static_cast<int>(training.identities.size());
  if (base != nullptr) return Model(*base, device, options.seed, loss, classes, options.freeze);
  const Shape input{training.height, training.width, training.channels};
  return Model(Network::for_input(options.net, input, options.embedding), training.statistics(), device, options.seed,
               loss, classes);
}

// One batch of the sampler that the loss would get, as a data set to learn by heart.
Dataset one_batch(const Dataset& data, const TrainFlags& options) {
  int identities = static_cast<int>(data.identities.size());
  auto sampler = make_loss(options.loss)->wants_pairs()
                     ? balanced_pairs(data.labels, options.pairs, options.seed)
                     : identities_by_images(data.labels, std::min(options.p, identities), options.k, options.seed);
  std::vector<std::int32_t> rows(static_cast<std::size_t>(sampler->rows()));
  sampler->next(rows);
  std::sort(rows.begin(), rows.end());
  rows.erase(std::unique(rows.begin(), rows.end()), rows.end());
  Dataset batch = data.subset(rows);
  batch.source += concat(" (one batch of ", rows.size(), " images)");
  return batch;
}

struct Outcome {
  double seconds = 0;
  bool stopped = false;
};

Outcome run(Trainer& trainer, int steps) {
  Progress progress(steps);
  StopSignal stop;
  auto start = std::chrono::steady_clock::now();
  trainer.run([&](const TrainReport& report) { progress.show(report); }, [] { return StopSignal::raised(); });
  std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start;
  return {passed.count(), trainer.steps_done() < steps};
}

void print(const TrainFlags& options, const Evaluation& evaluation, const Model& model, const Trainer& trainer,
           const Outcome& outcome) {
  double images = static_cast<double>(trainer.steps_done()) * trainer.rows();
  const TrainReport& last = trainer.history().back();
  if (options.json) {
    Json json{{"model", options.output},
              {"trained", model.info.trained},
              {"steps", trainer.steps_done()},
              {"stopped_early", outcome.stopped},
              {"seconds", outcome.seconds},
              {"images_per_second", images / outcome.seconds},
              {"loss", last.mean_loss},
              {"active", last.active},
              {"threshold", model.info.threshold},
              {"evaluation", summary_json(evaluation)}};
    std::cout << dump(json) << "\n";
    return;
  }
  std::cout << "trained " << model.info.trained << "\n"
            << thousands(static_cast<long long>(images)) << " images in " << fixed(outcome.seconds, 1) << " s ("
            << thousands(static_cast<long long>(images / outcome.seconds)) << " images/s), last loss "
            << fixed(last.mean_loss, 5) << ", active " << fixed(100 * last.active, 1) << " %\n\n"
            << summary_text(evaluation) << "threshold: " << fixed(model.info.threshold, 4) << "\n";
  if (!options.output.empty()) std::cout << "model: " << options.output << "\n";
  if (!options.report.empty()) std::cout << "report: " << options.report << "\n";
}

int verdict(const TrainFlags& options, const Evaluation& evaluation, const std::vector<TrainReport>& history) {
  if (!options.overfit) {
    std::string warning = collapse_warning(evaluation.health);
    if (!warning.empty()) std::cerr << "gemel: WARNING: " << warning << std::endl;
    return 0;
  }
  float first = history.front().mean_loss, last = history.back().mean_loss;
  bool learnt = evaluation.verification.auc >= kOverfitAuc && last <= kOverfitLoss * first;
  std::string figures = concat("loss ", fixed(first, 5), " to ", fixed(last, 5), ", AUC on its own images ",
                               fixed(evaluation.verification.auc, 4));
  if (learnt) {
    std::cerr << "gemel: one batch was learnt by heart (" << figures << "): network, loss and labels work together";
  } else {
    std::cerr << "gemel: one batch could NOT be learnt by heart (" << figures
              << "); try another --lr, more --steps, another --net, and look at the labels";
  }
  std::cerr << std::endl;
  return learnt ? 0 : 1;
}

int train(const TrainFlags& options) {
  if (options.output.empty() && !options.overfit) {
    throw InputError("train: no output; name the model's file with -o");
  }
  if (!options.output.empty()) check_writable(options.output);
  if (!options.report.empty()) check_writable(options.report);
  if (options.schedule.kind == Schedule::Kind::step && options.schedule.every == 0) {
    throw InputError("train: --schedule step takes --every STEPS");
  }
  const auto loss = make_loss(options.loss);  // says what is wrong with it before data are read
  options.augmentation.resolve();             // likewise

  auto device = options.device.open();
  std::optional<Model> base;
  std::optional<PictureReader> reader;
  if (!options.from.empty()) {
    base = Model::load(options.from, *device);
    reader.emplace(*base, options.from, options.faces);
  }
  Data data = load_data(options, reader ? &*reader : nullptr);
  if (options.overfit) data.validation = data.training = one_batch(data.training, options);
  if (options.quarter_turns) data.training = data.training.with_quarter_turns();
  Model model = start_model(options, data.training, *device, *loss, base ? &*base : nullptr);
  const std::string net = base ? "from " + options.from : options.net;
  TrainOptions train = options.train_options(data.training);
  if (options.validate_every > 0 && !options.overfit) {
    train.validation = &data.validation;
    train.validate_every = options.validate_every;
    train.patience = options.patience;
  }
  Trainer trainer(model.encoder(), data.training, train);
  note(concat(data.training.source, ": ", thousands(data.training.size()), " images of ",
              thousands(static_cast<long long>(data.training.identities.size())), " identities, ",
              model.network().input().str(), "; ", net, ", ",
              thousands(static_cast<long long>(model.network().parameters().parameter_count())), " parameters, on ",
              device->name(), " (", device->description(), ")"));

  Outcome outcome = run(trainer, train.steps);
  model.info.trained = concat(data.training.source, ", ", net, ", ", trainer.describe(), ", on ", device->name());
  if (options.freeze != 0) model.info.trained += concat(", frozen ", options.freeze);
  if (const std::string augmented = options.augmentation.describe(); !augmented.empty()) {
    model.info.trained += ", " + augmented;
  }
  if (trainer.best_step() != trainer.steps_done()) {
    model.info.trained += concat(", best at step ", trainer.best_step());
  }
  if (outcome.stopped) {
    model.info.trained += concat(", stopped at step ", trainer.steps_done());
    note(concat("stopped at step ", trainer.steps_done(), " of ", train.steps));
  }
  if (const gemel::Metric& metric = model.encoder().metric(); metric.kind() != gemel::Metric::Kind::euclidean) {
    model.info.threshold = metric.read_threshold(*device, model.encoder().stream());
    model.info.calibrated_on = "the training itself, which learnt it with the metric";
  }
  if (!options.output.empty()) model.save(options.output);  // now: whatever happens below, the training is kept

  Evaluation evaluation = evaluate(model.encoder(), data.validation, options.eval_pairs);
  const Verification& v = evaluation.verification;
  model.info.threshold = v.best_threshold;
  model.info.calibrated_on =
      concat("accuracy ", fixed(v.best_accuracy, 4), " on ", thousands(static_cast<long long>(v.same + v.different)),
             " pairs of ", evaluation.data);
  if (!options.output.empty()) model.save(options.output);
  if (!options.report.empty()) {
    std::string title = options.output.empty() ? "One batch" : fs::path(options.output).filename().string();
    write_file(options.report,
               report_html({title, model.network(), model.info, data.validation, evaluation, trainer.history()}));
  }
  print(options, evaluation, model, trainer, outcome);
  return verdict(options, evaluation, trainer.history());
}

}  // namespace

void add_train(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("train", "Train a model and calibrate its threshold");
  auto o = std::make_shared<TrainFlags>();
  o->add_to(*command);
  command->footer(
      "Ctrl-C stops early: the model is evaluated and saved as it is; a second one ends at once.\n"
      "Examples:\n"
      "  gemel train faces/ -o faces.safetensors --size 64x64 --report report.html\n"
      "  gemel train idx:/usr/share/datasets/fashion-mnist --net lenet --loss contrastive -o fashion.safetensors\n"
      "  gemel train faces/ --overfit-batch");
  command->callback([o, &action] { action = [o] { return train(*o); }; });
}

}  // namespace gemel::cli
