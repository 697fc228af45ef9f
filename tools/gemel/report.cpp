// SPDX-License-Identifier: MIT
//
// The report: one HTML file without scripts, its plots as SVG and its pictures as data URIs.
#include "tools/gemel/report.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "tools/gemel/map.h"
#include "tools/gemel/page.h"
#include "tools/gemel/plot.h"
#include "tools/gemel/png.h"

namespace gemel::cli {
namespace {

constexpr std::size_t kHardestPairs = 8;  // of each kind
constexpr const char* kSame = "#1f77b4";
constexpr const char* kDifferent = "#d9622b";
constexpr const char* kNeutral = "#8a93a0";

std::string loss_curve(const std::vector<TrainReport>& history) {
  Series loss{"loss", kSame, {}}, active{"active pairs or triplets (share)", kDifferent, {}};
  for (const TrainReport& report : history) loss.points.emplace_back(report.step, report.mean_loss);
  for (const TrainReport& report : history) active.points.emplace_back(report.step, report.active);
  std::string curves = line_plot({.x_label = "step", .y_label = "mean loss"}, {loss});
  return curves + line_plot({.x_label = "step", .y_label = "share", .y_high = 1, .percent_y = true}, {active});
}

std::string roc_curve(const Verification& v, const AtThreshold& at) {
  Series roc{"this model", kSame, {}}, chance{"chance", kNeutral, {}, true};
  for (const RocPoint& point : v.roc) roc.points.emplace_back(point.far, point.tar);
  for (int i = 0; i <= 60; ++i) {
    double far = std::pow(10.0, -3 + 3 * i / 60.0);
    chance.points.emplace_back(far, far);
  }
  std::vector<Mark> marks;
  if (at.far > 1e-3) marks.push_back({at.far, "threshold", true});
  return line_plot({.x_label = "different pairs accepted (FAR, logarithmic)",
                    .y_label = "same pairs accepted (TAR)",
                    .log_x = true,
                    .x_low = 1e-3,
                    .x_high = 1,
                    .y_high = 1,
                    .percent_x = true,
                    .percent_y = true},
                   {roc, chance}, marks);
}

// Detection error trade-off (Martin et al. 1997), on logarithmic axes: both errors where they are small.
std::string det_curve(const Verification& v, const AtThreshold& at) {
  constexpr double kLowest = 1e-3;
  Series det{"this model", kSame, {}}, equal{"both errors equal", kNeutral, {}, true};
  for (const RocPoint& point : v.roc) det.points.emplace_back(point.far, 1 - point.tar);
  for (double error : {kLowest, 1.0}) equal.points.emplace_back(error, error);
  std::vector<Mark> marks;
  if (at.far > kLowest) marks.push_back({at.far, "threshold"});
  return line_plot({.x_label = "different pairs accepted (FAR, logarithmic)",
                    .y_label = "same pairs refused",
                    .log_x = true,
                    .log_y = true,
                    .x_low = kLowest,
                    .x_high = 1,
                    .y_low = kLowest,
                    .y_high = 1,
                    .percent_x = true,
                    .percent_y = true},
                   {det, equal}, marks);
}

// What each threshold would do. (The points of the ROC curve are too few where it runs along an axis.)
std::string errors_by_threshold(const Evaluation& e, double threshold) {
  constexpr int kPoints = 240;
  std::vector<float> same, different;
  for (std::size_t i = 0; i < e.distances.size(); ++i) (e.pairs.same[i] ? same : different).push_back(e.distances[i]);
  std::sort(same.begin(), same.end());
  std::sort(different.begin(), different.end());
  const float largest = std::max(same.back(), different.back());
  auto within = [](const std::vector<float>& sorted, float at) {
    return static_cast<double>(std::upper_bound(sorted.begin(), sorted.end(), at) - sorted.begin()) /
           static_cast<double>(sorted.size());
  };
  Series refused{"same pairs refused", kSame, {}}, accepted{"different pairs accepted", kDifferent, {}};
  for (int i = 0; i <= kPoints; ++i) {
    const float at = largest * static_cast<float>(i) / kPoints;
    refused.points.emplace_back(at, 1 - within(same, at));
    accepted.points.emplace_back(at, within(different, at));
  }
  return line_plot({.x_label = "threshold", .y_label = "share of the pairs", .y_high = 1, .percent_y = true},
                   {refused, accepted}, {{threshold, "threshold " + fixed(threshold, 3)}});
}

std::string distances(const Evaluation& e, double threshold) {
  Sample same{"same identity", kSame, {}}, different{"different identities", kDifferent, {}};
  for (std::size_t i = 0; i < e.distances.size(); ++i) {
    (e.pairs.same[i] ? same : different).values.push_back(e.distances[i]);
  }
  return histogram("distance", {same, different}, {{threshold, "threshold " + fixed(threshold, 3)}});
}

// The same pairs that lie farthest apart, or the different ones that lie nearest.
std::vector<std::size_t> hardest(const Evaluation& e, bool same) {
  std::vector<std::size_t> order;
  for (std::size_t i = 0; i < e.distances.size(); ++i) {
    if ((e.pairs.same[i] != 0) == same) order.push_back(i);
  }
  std::size_t count = std::min(kHardestPairs, order.size());
  std::partial_sort(order.begin(), order.begin() + static_cast<std::ptrdiff_t>(count), order.end(),
                    [&](std::size_t a, std::size_t b) {
                      return same ? e.distances[a] > e.distances[b] : e.distances[a] < e.distances[b];
                    });
  order.resize(count);
  return order;
}

std::string pictures(const Report& report, bool same) {
  const Evaluation& e = report.evaluation;
  const Dataset& data = report.data;
  auto picture = [&](int row) {
    return "<img alt=\"row " + std::to_string(row) + "\" src=\"" +
           png_uri(data.image(row), data.height, data.width, data.channels) + "\">";
  };
  auto name = [&](int row) {
    std::string identity = data.identities[static_cast<std::size_t>(data.labels[static_cast<std::size_t>(row)])];
    return escape_html(identity) + " <span class=\"soft\">#" + std::to_string(row) + "</span>";
  };
  std::string html = "<div class=\"pairs\">\n";
  for (std::size_t i : hardest(e, same)) {
    int a = e.pairs.a[i], b = e.pairs.b[i];
    html += "<div class=\"pair\"><div>" + picture(a) + picture(b) + "</div>" + name(a) + " and " + name(b) +
            "<br><span class=\"soft\">distance</span> " + fixed(e.distances[i], 4) + "</div>\n";
  }
  return html + "</div>\n";
}

std::string metrics_table(const Report& report, const AtThreshold& at) {
  const Intervals& intervals = report.evaluation.intervals;
  std::string html = "<table class=\"metrics\">\n";
  auto row = [&](const Metric& metric) {
    html += "<tr><td>" + escape_html(metric.name) + "</td><td class=\"number\">" + escape_html(metric.value) +
            "</td><td class=\"range\">" + escape_html(metric.interval) + "</td><td class=\"soft\">" +
            escape_html(metric.meaning) + "</td></tr>\n";
  };
  for (const Metric& metric : metrics(report.evaluation)) row(metric);
  // The interval was computed for one threshold; it says nothing about another.
  const bool same_threshold = intervals.rounds > 0 && intervals.threshold == static_cast<float>(at.threshold);
  row({"at the threshold", percent(at.accuracy), same_threshold ? percent_interval(intervals.accuracy) : "",
       concat("accuracy at distance ", fixed(at.threshold, 4), ": accepts ", percent(at.tar), " of the same and ",
              percent(at.far), " of the different pairs")});
  return html + "</table>\n<p class=\"soft\">" + escape_html(intervals_line(intervals)) + ".</p>\n";
}

// Bars from 0 to 100 %, one a fold or a run.
std::string bars(const std::vector<std::pair<std::string, double>>& named_shares) {
  std::string html = "<table class=\"bars\">\n";
  for (const auto& [name, share] : named_shares) {
    html += "<tr><td>" + escape_html(name) + "</td><td class=\"number\">" + percent(share) +
            "</td><td class=\"bar\"><i style=\"width:" + fixed(100 * share, 1) + "%\"></i></td></tr>\n";
  }
  return html + "</table>\n";
}

std::string protocols(const Protocols& protocols) {
  std::string html;
  if (protocols.k_fold) {
    std::vector<std::pair<std::string, double>> folds;
    for (std::size_t i = 0; i < protocols.k_fold->accuracy.size(); ++i) {
      folds.emplace_back(concat("fold ", i + 1, ", threshold ", fixed(protocols.k_fold->threshold[i], 4)),
                         protocols.k_fold->accuracy[i]);
    }
    html += section("Cross-validation", "<p>" + escape_html(k_fold_line(*protocols.k_fold)) + ".</p>" + bars(folds));
  }
  if (protocols.one_shot) {
    std::vector<std::pair<std::string, double>> runs;
    for (const OneShotRun& run : protocols.one_shot->runs) runs.emplace_back(run.name, run.accuracy());
    html += section("One-shot classification",
                    "<p>" + escape_html(one_shot_line(*protocols.one_shot)) + ".</p>" + bars(runs));
  }
  return html;
}

std::string model_table(const Report& report) {
  std::string html = "<table>\n";
  auto row = [&](const std::string& name, const std::string& value) {
    if (!value.empty()) html += "<tr><td>" + escape_html(name) + "</td><td>" + escape_html(value) + "</td></tr>\n";
  };
  row("trained", report.info.trained);
  row("threshold", report.info.calibrated_on.empty()
                       ? "not calibrated"
                       : fixed(report.info.threshold, 4) + ", " + report.info.calibrated_on);
  row("health", health_line(report.evaluation));
  row("preprocessing", report.info.preprocessing.text());
  return html + "</table>\n<pre>" + escape_html(report.network.table()) + "</pre>\n";
}

}  // namespace

std::string report_html(const Report& report) {
  const Evaluation& e = report.evaluation;
  const Verification& v = e.verification;
  double threshold = report.info.calibrated_on.empty() ? v.best_threshold : report.info.threshold;
  AtThreshold at = at_threshold(e, threshold);
  std::ostringstream html;
  html << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n"
       << "<meta name=\"viewport\" content=\"width=device-width, initial-scale=1\">\n<title>"
       << escape_html(report.title) << "</title><style>" << kPageStyle << "</style></head><body><main>\n<h1>"
       << escape_html(report.title) << "</h1>\n<p class=\"soft\">Evaluated on " << escape_html(e.data) << ": "
       << thousands(e.images) << " images of " << thousands(e.identities) << " identities, "
       << thousands(static_cast<long long>(v.same)) << " same and " << thousands(static_cast<long long>(v.different))
       << " different pairs.</p>\n";
  std::string warning = collapse_warning(e.health);
  if (!warning.empty()) html << section("Warning", "<p>" + escape_html(warning) + "</p>\n", "warning");
  html << "<div class=\"cards\">\n"
       << card("AUC", fixed(v.auc, 4), "1 is perfect, 0.5 is chance")
       << card("Accuracy", percent(at.accuracy, 1),
               percent(at.tar, 1) + " of same, " + percent(1 - at.far, 1) + " of different")
       << card("Equal error rate", percent(v.eer, 2), "at distance " + fixed(v.eer_threshold, 3))
       << card("TAR at FAR 1 %", percent(v.tar_at_far_1e2), "same pairs accepted")
       << card("recall@1", percent(e.retrieval.recall_at_1), "nearest image is the right one") << "</div>\n";
  html << "<div class=\"two\">\n"
       << section("Distances", distances(e, threshold)) << section("ROC", roc_curve(v, at))
       << section("Errors by threshold", errors_by_threshold(e, threshold))
       << section("Detection error trade-off", det_curve(v, at)) << "</div>\n";
  const EmbeddingMap map = embedding_map(report.data, e.embeddings);
  html << section("Map of the embeddings", map.svg + "<p class=\"soft\">" + escape_html(map.caption) + "</p>");
  if (!report.history.empty())
    html << section("Training", "<div class=\"two\">" + loss_curve(report.history) + "</div>");
  html << section("Metrics", metrics_table(report, at)) << protocols(report.protocols);
  html << section("Hardest same pairs: one identity, far apart", pictures(report, true))
       << section("Hardest different pairs: two identities, near each other", pictures(report, false))
       << section("Model", model_table(report)) << "</main></body></html>\n";
  return html.str();
}

}  // namespace gemel::cli
