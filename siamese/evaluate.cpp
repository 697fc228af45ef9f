// SPDX-License-Identifier: MIT
//
// The whole evaluation of an encoder on a data set.
#include "siamese/evaluate.h"

#include "engine/error.h"
#include "siamese/twin_encoder.h"

namespace gemel {
namespace {

constexpr double kChanceAuc = 0.52;

}  // namespace

Evaluation evaluate(TwinEncoder& encoder, const Dataset& data, std::size_t pairs, std::uint64_t seed,
                    std::optional<float> threshold) {
  const auto n = static_cast<std::uint64_t>(data.size());
  if (n < 2) throw InputError(concat(data.source, ": has ", n, " images; evaluation needs pairs"));
  return evaluate(encoder, data, make_pairs(data.labels, n * (n - 1) / 2 <= kAllPairs ? 0 : pairs, seed), threshold);
}

Evaluation evaluate(TwinEncoder& encoder, const Dataset& data, PairList pairs, std::optional<float> threshold) {
  Evaluation result;
  result.data = data.source;
  result.images = data.size();
  result.identities = static_cast<int>(data.identities.size());
  result.embeddings = encoder.embed(data);
  result.pairs = std::move(pairs);
  result.distances = pair_distances(encoder, result.embeddings, result.pairs);
  result.verification = verify_pairs(result.distances, result.pairs.same);
  result.intervals =
      bootstrap(result.distances, result.pairs, data.labels, threshold.value_or(result.verification.best_threshold));
  result.retrieval = retrieve(encoder, result.embeddings, data.labels);
  result.health = embedding_health(result.embeddings, data.size(), encoder.network().embedding_size(), result.distances,
                                   result.pairs.same);
  result.health.collapsed = result.health.collapsed || result.verification.auc < kChanceAuc;
  return result;
}

}  // namespace gemel
