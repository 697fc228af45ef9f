// SPDX-License-Identifier: MIT
//
// The flags of `gemel train`.
#include "tools/gemel/train_flags.h"

#include <algorithm>
#include <cmath>
#include <map>

namespace gemel::cli {
namespace {

constexpr int kDefaultSteps = 1500, kOverfitSteps = 300;

const std::map<std::string, Schedule::Kind> kSchedules{{"constant", Schedule::Kind::constant},
                                                       {"cosine", Schedule::Kind::cosine},
                                                       {"linear", Schedule::Kind::linear},
                                                       {"step", Schedule::Kind::step},
                                                       {"inverse", Schedule::Kind::inverse}};

}  // namespace

TrainOptions TrainFlags::train_options(const Dataset& data) const {
  TrainOptions train;
  train.loss = loss;
  train.loss.squared = !unsquared;
  train.pairs = pairs;
  train.p = p;
  train.k = k;
  train.seed = seed;
  train.schedule = schedule;
  bool adam = optimizer == "adam";
  train.schedule.base = rate > 0 ? rate : adam ? 1e-3f : 1e-2f;
  if (adam) {
    train.rule = AdamParams{.weight_decay = weight_decay};
  } else {
    train.rule = SgdParams{.momentum = momentum, .weight_decay = weight_decay};
  }
  train.steps = steps > 0 ? steps : overfit ? kOverfitSteps : kDefaultSteps;
  if (epochs > 0) {
    double rows = make_loss(loss)->wants_pairs() ? 2.0 * pairs : 1.0 * p * k;
    train.steps = static_cast<int>(std::clamp(std::ceil(epochs * data.size() / rows), 1.0, 2e9));
  }
  train.report_every = std::clamp(train.steps / 100, 1, 50);
  train.augmentation = augmentation.resolve();
  return train;
}

void TrainFlags::add_to(CLI::App& command) {
  command
      .add_option("DATA", this->data,
                  "idx:DIR[:train|test], idx:IMAGES,LABELS, or a folder with one sub-folder an identity")
      ->required();
  command.add_option("-o,--output", this->output, "the model's file, safetensors")->type_name("FILE");
  command.add_option("--report", this->report, "an HTML report")->type_name("FILE");

  const std::string network = "Network and data";
  auto* net = command.add_option("--net", this->net, Network::preset_list() + ", or a network file")
                  ->capture_default_str()
                  ->group(network);
  auto* embedding = command.add_option("--embedding", this->embedding, "numbers an embedding (default: the network's)")
                        ->check(CLI::Range(1, 65536))
                        ->group(network);
  auto* from =
      command
          .add_option("--from", this->from, "go on from this model: its network, its parameters, its way with pictures")
          ->type_name("MODEL")
          ->excludes(net)
          ->excludes(embedding)
          ->group(network);
  command
      .add_option(
          "--freeze", this->freeze,
          "the first N layers with parameters, as 'gemel info' numbers them, keep these; -N: all but the last N")
      ->type_name("N")
      ->needs(from)
      ->group(network);
  command
      .add_option("--size", this->size,
                  "resize pictures, e.g. 64x64 (default: the network file's or the first picture's)")
      ->type_name("HxW")
      ->excludes(from)
      ->group(network);
  command.add_option("--channels", this->channels, "1 grey, 3 colour (default: as the pictures)")
      ->check(CLI::IsMember({1, 3}))
      ->excludes(from)
      ->group(network);
  command.add_option("--limit", this->limit, "images an identity at most")->check(CLI::PositiveNumber)->group(network);
  command.add_option("--identities", this->identities, "train on these alone, by name: 0,2,4")
      ->delimiter(',')
      ->group(network);
  auto* validation = command.add_option("--val", this->validation, "data to evaluate on and to calibrate with")
                         ->type_name("DATA")
                         ->group(network);
  command
      .add_option("--holdout", this->holdout,
                  "share held out instead: identities of folders, images of IDX (default: 0.2, or the IDX test half)")
      ->check(CLI::Range(0.001, 0.999))
      ->excludes(validation)
      ->group(network);

  const std::string loss = "Loss and batches";
  command
      .add_option("--loss", this->loss.name,
                  "on pairs: contrastive, caffe, caffe-legacy, koch, chi2; on P x K images: contrastive-all, triplet "
                  "(semi-hard), batch-hard, batch-all, nt-xent, n-pair, supcon, multi-similarity, and, with a softmax "
                  "over the training identities, softmax, arcface, cosface")
      ->capture_default_str()
      ->group(loss);
  command
      .add_option("--margin", this->loss.margin,
                  "(default: the loss's; contrastive ones 1, triplets 0.2, arcface 0.5, cosface 0.35)")
      ->check(CLI::PositiveNumber)
      ->group(loss);
  command.add_option("--temperature", this->loss.temperature, "of nt-xent and supcon (default: 0.1)")
      ->check(CLI::PositiveNumber)
      ->group(loss);
  command.add_option("--logit-scale", this->loss.scale, "of arcface's and cosface's logits (default: 64)")
      ->check(CLI::PositiveNumber)
      ->group(loss);
  command.add_flag("--soft", this->loss.soft, "triplets: ln(1 + e^x) in place of the margin")->group(loss);
  command.add_flag("--unsquared", this->unsquared, "triplet: margin between distances, not their squares")->group(loss);
  command.add_option("--batch", this->pairs, "pairs a step, for losses on pairs")
      ->check(CLI::Range(1, 65536))
      ->capture_default_str()
      ->group(loss);
  command.add_option("--p", this->p, "identities a step, for losses on P x K images")
      ->check(CLI::Range(2, 65536))
      ->capture_default_str()
      ->group(loss);
  command.add_option("--k", this->k, "images of each identity")
      ->check(CLI::Range(2, 65536))
      ->capture_default_str()
      ->group(loss);

  const std::string optimizer = "Optimizer";
  auto* steps = command.add_option("--steps", this->steps, concat("(default: ", kDefaultSteps, ")"))
                    ->check(CLI::Range(1, 2000000000))
                    ->group(optimizer);
  command.add_option("--epochs", this->epochs, "instead of steps: times each image is seen")
      ->check(CLI::PositiveNumber)
      ->excludes(steps)
      ->group(optimizer);
  command.add_option("--optimizer", this->optimizer, "adam or sgd")
      ->check(CLI::IsMember({"adam", "sgd"}))
      ->capture_default_str()
      ->group(optimizer);
  command.add_option("--lr", this->rate, "learning rate (default: adam 0.001, sgd 0.01)")
      ->check(CLI::PositiveNumber)
      ->group(optimizer);
  command.add_option("--momentum", this->momentum, "sgd")
      ->check(CLI::Range(0.0, 0.9999))
      ->capture_default_str()
      ->group(optimizer);
  command.add_option("--weight-decay", this->weight_decay, "")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(optimizer);
  command.add_option("--schedule", this->schedule.kind, "constant, cosine, linear, step, inverse (default: cosine)")
      ->transform(CLI::CheckedTransformer(kSchedules).description(""))
      ->type_name("NAME")
      ->group(optimizer);
  command.add_option("--warmup", this->schedule.warmup, "steps of linear warm-up")
      ->check(CLI::NonNegativeNumber)
      ->capture_default_str()
      ->group(optimizer);
  command.add_option("--every", this->schedule.every, "step schedule: steps between decays")
      ->check(CLI::PositiveNumber)
      ->group(optimizer);
  command.add_option("--gamma", this->schedule.gamma, "step: the factor; inverse: lr (1 + gamma t)^-power")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(optimizer);
  command.add_option("--power", this->schedule.power, "inverse")
      ->check(CLI::PositiveNumber)
      ->capture_default_str()
      ->group(optimizer);
  command
      .add_option("--val-every", this->validate_every,
                  "steps between validations; the best one's parameters are kept (default: none, the last step's are)")
      ->check(CLI::PositiveNumber)
      ->group(optimizer);
  command
      .add_option("--patience", this->patience,
                  "validations without a better one before training ends (default: all steps)")
      ->check(CLI::PositiveNumber)
      ->needs("--val-every")
      ->group(optimizer);
  command.add_option("--seed", this->seed, "same seed and device, same model")->capture_default_str()->group(optimizer);

  this->augmentation.add_to(command);
  this->faces.add_to(command, false, false);
  command
      .add_flag("--quarter-turns", this->quarter_turns,
                "pictures turned by 90, 180 and 270 degrees are new identities (square pictures: characters)")
      ->group("Augmentation of the training pictures");

  command.add_option("--eval-pairs", this->eval_pairs, "pairs of the evaluation")
      ->check(CLI::Range(2, 100000000))
      ->capture_default_str();
  command.add_flag("--overfit-batch", this->overfit,
                   "learn one batch by heart, a check of network, loss and labels; exit status 1 if that fails");
  command.add_flag("--json", this->json, "the summary, for machines");
  this->device.add_to(command);
}

}  // namespace gemel::cli
