// SPDX-License-Identifier: MIT
//
// An evaluation as text, as JSON and as rows for the report.
#include "tools/gemel/summary.h"

#include <algorithm>
#include <sstream>

namespace gemel::cli {
namespace {

// False accepts that a rate should rest on: with ten, its own error is a third of it.
constexpr double kLeastAccepts = 10;

bool enough_for(const Verification& v, double far) { return static_cast<double>(v.different) * far >= kLeastAccepts; }

std::string tar_meaning(const Verification& v, double far, const char* one_of) {
  std::string text = concat("same pairs accepted when 1 of ", one_of, " different pairs is too");
  if (enough_for(v, far)) return text;
  return text + concat("; of ", thousands(static_cast<long long>(v.different)), " different pairs: too few to tell");
}

Json interval_json(const Interval& interval) { return {interval.low, interval.high}; }

}  // namespace

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
  const Intervals& i = evaluation.intervals;
  auto share = [&](const Interval& interval) { return i.rounds > 0 ? percent_interval(interval) : ""; };
  return {
      {"AUC", fixed(v.auc, 4), i.rounds > 0 ? fixed(i.auc.low, 4) + " to " + fixed(i.auc.high, 4) : "",
       "chance that a same pair is nearer than a different one"},
      {"EER", percent(v.eer), share(i.eer),
       "error where both kinds of error are equal, at distance " + fixed(v.eer_threshold, 4)},
      {"best accuracy", percent(v.best_accuracy), share(i.best_accuracy),
       "mean of accepted same and refused different pairs, at distance " + fixed(v.best_threshold, 4)},
      {"TAR at FAR 1 %", percent(v.tar_at_far_1e2), share(i.tar_at_far_1e2), tar_meaning(v, 1e-2, "100")},
      {"TAR at FAR 0.1 %", percent(v.tar_at_far_1e3), share(i.tar_at_far_1e3), tar_meaning(v, 1e-3, "1,000")},
      {"recall@1", percent(r.recall_at_1), "", "images whose nearest other image is of their identity"},
      {"recall@5", percent(r.recall_at_5), "", "images with one of their identity among the five nearest"},
      {"R-precision", percent(r.r_precision), "",
       "share of the R nearest that are of the identity, R its other images"},
      {"MAP@R", percent(r.map_at_r), "", "R-precision that rewards the right order"},
  };
}

std::string percent_interval(const Interval& interval) {
  return fixed(100 * interval.low, 2) + " to " + percent(interval.high);
}

std::string intervals_line(const Intervals& intervals) {
  if (intervals.rounds == 0) return "no intervals: too few images";
  return concat("95 % intervals: ", intervals.rounds, " draws of ", thousands(intervals.units),
                intervals.of_identities ? " identities" : " images; they hold for these identities, not for others");
}

std::string k_fold_line(const KFold& result) {
  return concat(percent(result.mean), " accuracy, standard error ", percent(result.standard_error), ", over ",
                result.accuracy.size(), " folds",
                result.given                 ? " as listed"
                : result.disjoint_identities ? " of different identities"
                                             : " of different images",
                " (", thousands(static_cast<long long>(result.pairs)),
                " pairs), each fold's threshold from the others");
}

std::string one_shot_line(const OneShot& result) {
  int fewest = result.runs.front().ways, most = fewest;
  for (const OneShotRun& run : result.runs) {
    fewest = std::min(fewest, run.ways);
    most = std::max(most, run.ways);
  }
  const std::string ways = fewest == most ? std::to_string(most) : concat(fewest, " to ", most);
  std::string text = concat(percent(result.accuracy), " of ", ways, "-way one-shot trials right");
  if (result.interval) text += concat(", 95 % interval ", percent_interval(*result.interval));
  return text + concat(" (", result.runs.size(), " runs, ", thousands(result.trials), " trials)");
}

Json k_fold_json(const KFold& result) {
  return {{"folds", result.accuracy.size()},
          {"split", result.given                 ? "listed"
                    : result.disjoint_identities ? "identities"
                                                 : "images"},
          {"pairs", result.pairs},
          {"accuracy", result.mean},
          {"standard_error", result.standard_error},
          {"fold_accuracy", result.accuracy},
          {"fold_threshold", result.threshold}};
}

Json one_shot_json(const OneShot& result) {
  Json runs = Json::array();
  for (const OneShotRun& run : result.runs) {
    runs.push_back({{"name", run.name},
                    {"ways", run.ways},
                    {"trials", run.trials},
                    {"right", run.right},
                    {"accuracy", run.accuracy()}});
  }
  return {{"data", result.source},
          {"trials", result.trials},
          {"accuracy", result.accuracy},
          {"interval_95", result.interval ? interval_json(*result.interval) : Json()},
          {"runs", std::move(runs)}};
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
  for (const Metric& metric : all) rows.push_back({"  " + metric.name, metric.value, metric.interval});
  std::istringstream lines(align(rows));
  std::string line;
  for (std::size_t i = 0; std::getline(lines, line); ++i) text += line + "   " + all[i].meaning + "\n";
  return text + intervals_line(evaluation.intervals) + "\nhealth: " + health_line(evaluation) + "\n";
}

Json summary_json(const Evaluation& evaluation) {
  const Verification& v = evaluation.verification;
  const Retrieval& r = evaluation.retrieval;
  const EmbeddingHealth& h = evaluation.health;
  const Intervals& i = evaluation.intervals;
  Json intervals;
  if (i.rounds > 0) {
    intervals = {{"drawn", i.of_identities ? "identities" : "images"},
                 {"units", i.units},
                 {"rounds", i.rounds},
                 {"auc", interval_json(i.auc)},
                 {"eer", interval_json(i.eer)},
                 {"best_accuracy", interval_json(i.best_accuracy)},
                 {"threshold", i.threshold},
                 {"accuracy_at_threshold", interval_json(i.accuracy)},
                 {"tar_at_far_1e-2", interval_json(i.tar_at_far_1e2)},
                 {"tar_at_far_1e-3", interval_json(i.tar_at_far_1e3)}};
  }
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
          {"enough_pairs_for_far_1e-2", enough_for(v, 1e-2)},
          {"enough_pairs_for_far_1e-3", enough_for(v, 1e-3)},
          {"intervals_95", std::move(intervals)},
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
