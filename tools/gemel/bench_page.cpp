// SPDX-License-Identifier: MIT
#include "tools/gemel/bench_page.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdio>
#include <ctime>
#include <sstream>
#include <string_view>

#include "tools/gemel/command.h"
#include "tools/gemel/page.h"
#include "tools/gemel/plot.h"
#include "tools/gemel/roofline.h"

namespace gemel::cli {
namespace {

// Of all tables, so that their bars begin at one line: case, three numbers, bar, share, error.
constexpr const char* kColumns =
    "<colgroup><col style=\"width:33%\"><col style=\"width:9%\"><col style=\"width:9%\"><col style=\"width:9%\">"
    "<col style=\"width:23%\"><col style=\"width:9%\"><col style=\"width:8%\"></colgroup>";

constexpr const char* kBenchStyle = R"(
table.bench { table-layout: fixed; min-width: 900px; } table.bench td { padding: 3px 12px 3px 0; white-space: nowrap; vertical-align: middle; }
table.bench th { text-align: left; font-weight: 400; color: var(--soft); padding: 0 12px 4px 0; white-space: nowrap; }
table.bench th.number { text-align: right; } table.bench td.shape { white-space: normal; }
table.bench td.op { padding-top: 14px; font-weight: 600; } table.bench td.rung { padding-left: 18px; color: var(--soft); }
table.bench .track { background: var(--page); border-radius: 3px; }
table.bench td.wrong { color: #b3261e; white-space: normal; }
.scroll { overflow-x: auto; }
)";

// Operations that belong together on the page and in color, by how their names begin.
struct Kind {
  const char* title;
  const char* color;
  std::vector<std::string_view> prefixes;
};

const std::array<Kind, 6>& kinds() {
  static const std::array<Kind, 6> all{{
      {"Convolution", "#1f77b4", {"conv"}},
      {"Fully and locally connected", "#d9622b", {"linear", "local2d"}},
      {"Distance", "#2a9d4a", {"paired", "pairwise_distance", "nearest", "weighted_distance", "weighted_pairwise"}},
      {"Loss",
       "#8e5bb5",
       {"contrastive", "triplet", "mined", "similarity", "softmax", "pairwise_backward", "weighted", "loss"}},
      {"Pool, activation, normalization",
       "#b08d00",
       {"maxpool", "avgpool", "activation", "dropout", "affine", "batch_norm", "prelu", "residual", "l2_normalize",
        "scale_filters"}},
      {"Images, optimizer", "#5b6675", {""}},
  }};
  return all;
}

const Kind& kind_of(const std::string& op) {
  for (const Kind& kind : kinds()) {
    for (const std::string_view prefix : kind.prefixes) {
      if (op.rfind(prefix, 0) == 0) return kind;
    }
  }
  return kinds().back();
}

std::string td(const std::string& content, const char* kind = "number") {
  return "<td class=\"" + std::string(kind) + "\">" + content + "</td>";
}

// A bar of this share, full from 100 % on, and the share behind it.
std::string bar(double share, const std::string& color) {
  return td("<div class=\"track\"><i style=\"width:" + fixed(100 * std::clamp(share, 0.0, 1.0), 1) +
                "%;background:" + color + "\"></i></div>",
            "bar") +
         td(percent(share, 1));
}

std::string row(const OperationResult& result, const Kind& kind) {
  const bench::Measurement& m = result.measured;
  const std::string name =
      result.rung.empty() ? td(escape_html(m.shape), "shape") : td(escape_html(result.rung), "rung");
  if (!m.problem.empty()) {
    return "<tr>" + name + "<td class=\"wrong\" colspan=\"6\">wrong: " + escape_html(m.problem) + "</td></tr>\n";
  }
  return "<tr>" + name + td(figure(1e3 * m.seconds)) + td(m.cost.flops > 0 ? figure(1e-9 * m.flops()) : "") +
         td(figure(1e-9 * m.bytes())) + bar(result.share, kind.color) + td(percent(m.error, 1)) + "</tr>\n";
}

std::string operations_section(const BenchResults& results, const Kind& kind) {
  std::string rows, op, shape;
  for (const OperationResult& result : results.operations) {
    if (&kind_of(result.measured.op) != &kind) continue;
    if (result.measured.op != op) {
      op = result.measured.op;
      shape.clear();
      rows += "<tr><td class=\"op\" colspan=\"7\">" + escape_html(op) + "</td></tr>\n";
    }
    if (!result.rung.empty() && result.measured.shape != shape)
      rows += "<tr><td class=\"shape\" colspan=\"7\">" + escape_html(result.measured.shape) + "</td></tr>\n";
    shape = result.measured.shape;
    rows += row(result, kind);
  }
  if (rows.empty()) return "";
  return section(
      kind.title,
      "<div class=\"scroll\"><table class=\"bench\">" + std::string(kColumns) +
          "<tr><th>case</th><th class=\"number\">ms</th><th "
          "class=\"number\">GFLOP/s</th><th class=\"number\">GB/s</th><th colspan=\"2\">of the roofline</th><th "
          "class=\"number\">error</th></tr>\n" +
          rows + "</table></div>\n");
}

std::string steps_section(const BenchResults& results) {
  std::string rows;
  for (const StepResult& step : results.steps) {
    rows += "<tr>" + td(escape_html(step.name), "shape");
    if (!step.problem.empty()) {
      rows += "<td class=\"wrong\" colspan=\"5\">wrong: " + escape_html(step.problem) + "</td></tr>\n";
      continue;
    }
    rows += td(figure(1e3 * step.measured.seconds)) + td(thousands(std::llround(step.measured.images))) +
            td(figure(1e-9 * step.measured.flops)) + bar(step.share, "#1f77b4") + td("") + "</tr>\n";
  }
  if (rows.empty()) return "";
  return section("Whole training steps",
                 "<p class=\"soft\">Gather, forward, loss, backward, optimizer; arithmetic of the formula, three times "
                 "the forward pass.</p><div class=\"scroll\"><table class=\"bench\">" +
                     std::string(kColumns) +
                     "<tr><th>step</th><th "
                     "class=\"number\">ms</th><th class=\"number\">images/s</th><th class=\"number\">GFLOP/s</th><th "
                     "colspan=\"2\">of the arithmetic peak</th></tr>\n" +
                     rows + "</table></div>\n");
}

std::string roofline_section(const BenchResults& results) {
  Roofline roofline{results.peak.flops, results.peak.bytes, {}, {}};
  for (const OperationResult& result : results.operations) {
    const bench::Measurement& m = result.measured;
    if (!m.problem.empty() || !(m.cost.flops > 0) || !(m.cost.bytes > 0)) continue;
    const Kind& kind = kind_of(m.op);
    roofline.points.push_back({m.cost.flops / m.cost.bytes, m.flops(), kind.color, "",
                               concat(result.name(), result.rung.empty() ? "" : " " + result.rung, ": ",
                                      figure(1e-9 * m.flops()), " GFLOP/s, ", percent(result.share, 1))});
    if (std::none_of(roofline.legend.begin(), roofline.legend.end(),
                     [&](const auto& entry) { return entry.first == kind.title; }))
      roofline.legend.emplace_back(kind.title, kind.color);
  }
  if (roofline.points.empty()) return "";
  return section(
      "Roofline",
      "<p class=\"soft\">A point is an operation on one shape: how fast it went, over how much arithmetic it "
      "has for each byte it must move. Left of the bend memory is the limit. Points above the slope have "
      "operands that stay in caches.</p>" +
          roofline_picture(roofline));
}

}  // namespace

std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

int BenchResults::wrong() const {
  const auto operations_wrong = std::count_if(operations.begin(), operations.end(),
                                              [](const OperationResult& r) { return !r.measured.problem.empty(); });
  const auto steps_wrong =
      std::count_if(steps.begin(), steps.end(), [](const StepResult& r) { return !r.problem.empty(); });
  return static_cast<int>(operations_wrong + steps_wrong);
}

std::string bench_html(const BenchResults& results) {
  const std::time_t now = std::time(nullptr);
  char date[32] = "";
  std::strftime(date, sizeof date, "%Y-%m-%d %H:%M", std::localtime(&now));
  std::ostringstream html;
  html << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>gemel bench, "
       << escape_html(results.device) << "</title><style>" << kPageStyle << kBenchStyle
       << "</style></head><body><main>\n<h1>How fast: " << escape_html(results.device) << "</h1>\n<p class=\"soft\">"
       << escape_html(results.description) << " &middot; gemel " << GEMEL_VERSION << " &middot; " << date << "</p>\n";
  const auto cases = static_cast<long long>(results.operations.size() + results.steps.size());
  html << "<div class=\"cards\">\n"
       << card("Arithmetic peak", figure(1e-9 * results.peak.flops) + " GFLOP/s", "f32 multiply-add, in this run")
       << card("Memory peak", figure(1e-9 * results.peak.bytes) + " GB/s", "a copy, read and written, in this run")
       << card("Cases", thousands(cases),
               results.wrong() == 0 ? "all agree with the reference in double precision"
                                    : thousands(results.wrong()) + " wrong, which have no speed")
       << "</div>\n"
       << roofline_section(results) << steps_section(results);
  for (const Kind& kind : kinds()) html << operations_section(results, kind);
  html << "<p class=\"soft\">Of the roofline: the least time that the peaks of this run allow, as a share of the time "
          "taken. Error: the worst of the case's results, as a share of its tolerance.</p>\n</main></body></html>\n";
  return html.str();
}

}  // namespace gemel::cli
