// SPDX-License-Identifier: MIT
//
// An evaluation as text, as JSON and as rows for the report.
#include "tools/gemel/summary.h"

#include <sstream>

namespace gemel::cli {
namespace {}  // namespace

AtThreshold at_threshold(const Evaluation& evaluation, double threshold) {
  double accepted_same = 0, accepted_different = 0;
  for (std::size_t i = 0; i < evaluation.distances.size(); ++i) {
    if (!(evaluation.distances[i] <= threshold)) continue;
    (evaluation.pairs.same[i] ? accepted_same : accepted_different) += 1;
  }
  AtThreshold result{.threshold = threshold};
  result.tar = accepted_same / static_cast<double>(evaluation.verification.same);
  result.far = accepted_different / static_cast<double>(evaluation.verification.different);
  result.accuracy = (result.tar + 1 - result.far) / 2;
  return result;
}

std::vector<Metric> metrics(const Evaluation& evaluation) {
  const Verification& v = evaluation.verification;
  const Retrieval& r = evaluation.retrieval;
  return {
      {"AUC", fixed(v.auc, 4), "chance that a same pair is nearer than a different one"},
      {"EER", percent(v.eer), "error where both kinds of error are equal, at distance " + fixed(v.eer_threshold, 4)},
      {"best accuracy", percent(v.best_accuracy),
       "mean of accepted same and refused different pairs, at distance " + fixed(v.best_threshold, 4)},
      {"TAR at FAR 1 %", percent(v.tar_at_far_1e2), "same pairs accepted when 1 of 100 different pairs is too"},
      {"TAR at FAR 0.1 %", percent(v.tar_at_far_1e3), "same pairs accepted when 1 of 1,000 different pairs is too"},
      {"recall@1", percent(r.recall_at_1), "images whose nearest other image is of their identity"},
      {"recall@5", percent(r.recall_at_5), "images with one of their identity among the five nearest"},
      {"R-precision", percent(r.r_precision), "share of the R nearest that are of the identity, R its other images"},
      {"MAP@R", percent(r.map_at_r), "R-precision that rewards the right order"},
  };
}

std::string health_line(const Evaluation& evaluation) {
  const EmbeddingHealth& h = evaluation.health;
  std::size_t d =
      evaluation.images > 0 ? evaluation.embeddings.size() / static_cast<std::size_t>(evaluation.images) : 0;
  return concat("mean distance of same pairs ", fixed(h.mean_same, 4), ", of different pairs ",
                fixed(h.mean_different, 4), "; spread ", fixed(h.spread, 4), ", effective rank ",
                fixed(h.effective_rank, 1), " of ", d);
}

std::string collapse_warning(const EmbeddingHealth& health) {
  if (!health.collapsed) return {};
  return "THE EMBEDDINGS HAVE COLLAPSED: the model cannot tell identities apart. Try a lower learning rate (--lr), a "
         "larger margin (--margin), --loss contrastive or triplet in place of batch-hard, a warm-up (--warmup 200), "
         "more steps; or check that the labels fit the images (--overfit-batch must succeed).";
}

std::string summary_text(const Evaluation& evaluation) {
  const Verification& v = evaluation.verification;
  std::string text =
      concat(evaluation.data, ": ", thousands(evaluation.images), " images of ", thousands(evaluation.identities),
             " identities, ", thousands(static_cast<long long>(v.same)), " same and ",
             thousands(static_cast<long long>(v.different)), " different pairs\n");
  const std::vector<Metric> all = metrics(evaluation);
  std::vector<std::vector<std::string>> rows;
  for (const Metric& metric : all) rows.push_back({"  " + metric.name, metric.value});
  std::istringstream lines(align(rows));
  std::string line;
  for (std::size_t i = 0; std::getline(lines, line); ++i) text += line + "   " + all[i].meaning + "\n";
  return text + "health: " + health_line(evaluation) + "\n";
}

Json summary_json(const Evaluation& evaluation) {
  const Verification& v = evaluation.verification;
  const Retrieval& r = evaluation.retrieval;
  const EmbeddingHealth& h = evaluation.health;
  return {{"data", evaluation.data},
          {"images", evaluation.images},
          {"identities", evaluation.identities},
          {"same_pairs", v.same},
          {"different_pairs", v.different},
          {"auc", v.auc},
          {"eer", v.eer},
          {"eer_threshold", v.eer_threshold},
          {"best_accuracy", v.best_accuracy},
          {"best_threshold", v.best_threshold},
          {"tar_at_far_1e-2", v.tar_at_far_1e2},
          {"tar_at_far_1e-3", v.tar_at_far_1e3},
          {"recall_at_1", r.recall_at_1},
          {"recall_at_5", r.recall_at_5},
          {"r_precision", r.r_precision},
          {"map_at_r", r.map_at_r},
          {"health",
           {{"mean_same", h.mean_same},
            {"mean_different", h.mean_different},
            {"spread", h.spread},
            {"effective_rank", h.effective_rank},
            {"collapsed", h.collapsed}}}};
}

}  // namespace gemel::cli
