// SPDX-License-Identifier: MIT
//
// Losses by name, and the numbers that each takes.
#include "siamese/loss.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "engine/error.h"
#include "siamese/loss_kinds.h"

namespace gemel {
namespace {

// A loss's usual numbers; 0: it has none of this kind.
struct Known {
  const char* name;
  float margin = 0, temperature = 0, scale = 0, alpha = 0, beta = 0, lambda = 0;
};

constexpr std::array<Known, 16> kKnown{{{.name = "contrastive", .margin = 1},
                                        {.name = "caffe", .margin = 1},
                                        {.name = "caffe-legacy", .margin = 1},
                                        {.name = "koch"},
                                        {.name = "chi2"},
                                        {.name = "contrastive-all", .margin = 1},
                                        {.name = "triplet", .margin = 0.2F},
                                        {.name = "batch-hard", .margin = 0.2F},
                                        {.name = "batch-all", .margin = 0.2F},
                                        {.name = "nt-xent", .temperature = 0.1F},
                                        {.name = "n-pair"},
                                        {.name = "supcon", .temperature = 0.1F},
                                        {.name = "multi-similarity", .alpha = 2, .beta = 50, .lambda = 0.5F},
                                        {.name = "softmax"},
                                        {.name = "arcface", .margin = 0.5F, .scale = 64},
                                        {.name = "cosface", .margin = 0.35F, .scale = 64}}};

// The usual numbers with the wanted ones in their places. Throws InputError as make_loss.
Known choose(const LossOptions& options) {
  const auto found =
      std::find_if(kKnown.begin(), kKnown.end(), [&](const Known& known) { return options.name == known.name; });
  if (found == kKnown.end()) {
    std::string all;
    for (const std::string& name : loss_names()) all += (all.empty() ? "" : ", ") + name;
    throw InputError(concat("unknown loss '", options.name, "'; known: ", all));
  }
  Known chosen = *found;
  const auto set = [&](const char* what, float wanted, float& number) {
    if (!std::isfinite(wanted) || wanted < 0) {
      throw InputError(
          concat("loss ", options.name, ": the ", what, " must be positive (or 0 for the usual one), not ", wanted));
    }
    if (wanted == 0) return;
    if (number == 0) throw InputError(concat("loss ", options.name, " has no ", what));
    number = wanted;
  };
  set("margin", options.margin, chosen.margin);
  set("temperature", options.temperature, chosen.temperature);
  set("scale", options.scale, chosen.scale);
  set("alpha", options.alpha, chosen.alpha);
  set("beta", options.beta, chosen.beta);
  set("lambda", options.lambda, chosen.lambda);
  return chosen;
}

}  // namespace

void EmbeddingLoss::declare(Parameters& parameters, int d, int) const { Metric::declare(metric(), d, parameters); }

std::vector<std::string> loss_names() {
  std::vector<std::string> names;
  for (const Known& known : kKnown) names.emplace_back(known.name);
  return names;
}

std::unique_ptr<EmbeddingLoss> make_loss(const LossOptions& options) {
  const std::string& name = options.name;
  const Known number = choose(options);
  const auto triplet = [&](Mining mining, bool squared) {
    return triplet_loss(name,
                        {.margin = number.margin, .mining = mining, .squared = squared, .soft_margin = options.soft});
  };
  const auto similarity = [&](Similarity kind, float temperature, bool cosine) {
    return similarity_loss(name, {.kind = kind, .temperature = temperature}, cosine);
  };
  if (name == "contrastive" || name == "caffe") return contrastive_loss(name, Contrastive::hadsell, number.margin);
  if (name == "caffe-legacy") return contrastive_loss(name, Contrastive::caffe_legacy, number.margin);
  if (name == "koch") return weighted_loss(name, Metric::Kind::weighted_l1);
  if (name == "chi2") return weighted_loss(name, Metric::Kind::weighted_chi2);
  if (name == "contrastive-all") return contrastive_all_loss(name, number.margin);
  if (name == "triplet") return triplet(Mining::semi_hard, options.squared);
  if (name == "batch-hard") return triplet(Mining::batch_hard, false);
  if (name == "batch-all") return triplet(Mining::all, false);
  if (name == "nt-xent") return similarity(Similarity::nt_xent, number.temperature, true);
  if (name == "n-pair") return similarity(Similarity::nt_xent, 1, false);
  if (name == "supcon") return similarity(Similarity::supcon, number.temperature, true);
  if (name == "multi-similarity") {
    const SimilarityParams params{
        .kind = Similarity::multi_similarity, .alpha = number.alpha, .beta = number.beta, .lambda = number.lambda};
    return similarity_loss(name, params, true);
  }
  if (name == "softmax") return softmax_loss(name);
  if (name == "arcface" && number.margin >= std::acos(-1.0F)) {
    throw InputError(concat("loss arcface: the margin is an angle below pi, not ", number.margin));
  }
  const SoftmaxMargin kind = name == "arcface" ? SoftmaxMargin::arcface : SoftmaxMargin::cosface;
  return margin_softmax_loss(name, {.kind = kind, .scale = number.scale, .margin = number.margin});
}

}  // namespace gemel
