// SPDX-License-Identifier: MIT
//
// The page of one operation: its kernels' source with the counters beside each line, and pictures of the dearest accesses.
#include <algorithm>
#include <bit>
#include <map>
#include <set>
#include <sstream>

#include "tools/gemel/command.h"
#include "tools/gemel/page.h"
#include "tools/gemel/plot.h"
#include "tools/gemel/profile.h"
#include "tools/gemel/roofline.h"

namespace gemel::cli {
namespace {

using instrument::AccessCounters;
using instrument::KernelCounters;
using instrument::Space;

constexpr int kLinesAround = 4;
constexpr std::size_t kMostPictures = 8;  // of a kernel

constexpr const char* kStyle = R"(
table.source { font: 12.5px/1.5 ui-monospace, "DejaVu Sans Mono", monospace; }
table.source td { border: 0; padding: 0 10px 0 0; white-space: pre; vertical-align: top; }
table.source th { font: 12px/1.3 system-ui, sans-serif; color: var(--soft); text-align: right; padding: 0 10px 6px 0; }
table.source td.n { text-align: right; color: var(--soft); font-variant-numeric: tabular-nums; }
table.source td.code { overflow: hidden; max-width: 620px; text-overflow: ellipsis; width: 100%; }
table.source tr.hit td { background: #f1f5fa; } table.source tr.warm td.cost { background: #ffe9c7; }
table.source tr.hot td.cost { background: #ffcdb8; font-weight: 600; } table.source tr.gap td { color: var(--soft); }
.scroll { overflow-x: auto; } .picture { margin: 18px 0; }
)";

// 1: as good as can be; 2 and more: that many times as dear.
double badness(const AccessCounters& a) {
  if (a.space == Space::shared) return ratio(a.wavefronts, a.ideal_wavefronts);
  return ratio(static_cast<double>(a.sectors), static_cast<double>(a.requests) * ideal_sectors(a));
}

std::string cell(const std::string& text, const char* kind = "n") {
  return std::string("<td class=\"") + kind + "\">" + text + "</td>";
}

std::string counters_cells(const AccessCounters& a) {
  const bool shared = a.space == Space::shared;
  const double per = shared ? ratio(a.wavefronts, a.requests) : ratio(a.sectors, a.requests);
  const double ideal = shared ? ratio(a.ideal_wavefronts, a.requests) : ideal_sectors(a);
  return cell(std::string(shared ? "shared " : "global ") + access_name(a)) +
         cell(thousands(static_cast<long long>(a.requests))) + cell(fixed(ratio(a.lanes, a.requests), 1)) +
         cell(fixed(per, 2) + (shared ? " wavefronts" : " sectors"), "n cost") + cell(fixed(ideal, 2)) +
         cell(shared ? ""
                     : percent(ratio(static_cast<double>(a.bytes_used), 32.0 * static_cast<double>(a.sectors)), 0));
}

std::vector<std::string> lines_of(const std::string& text) {
  std::vector<std::string> lines;
  std::istringstream in(text);
  for (std::string line; std::getline(in, line);) lines.push_back(line);
  return lines;
}

std::string source_table(const std::string& file, const std::map<int, std::vector<const AccessCounters*>>& at) {
  const std::vector<std::string> lines = lines_of(instrument::source_text(file));
  std::ostringstream html;
  html << "<h3>" << escape_html(file) << "</h3><div class=\"scroll\"><table class=\"source\"><tr><th></th><th></th>"
       << "<th>access</th><th>requests</th><th>lanes</th><th>each</th><th>ideal</th><th>bytes used</th></tr>\n";
  int last = 0;
  for (int number = 1; number <= static_cast<int>(lines.size()); ++number) {
    const auto near = at.lower_bound(number - kLinesAround);
    if (near == at.end() || near->first > number + kLinesAround) continue;
    if (number != last + 1) html << "<tr class=\"gap\"><td></td><td>...</td></tr>\n";
    last = number;
    const auto here = at.find(number);
    const std::string code =
        cell(std::to_string(number)) + cell(escape_html(lines[static_cast<std::size_t>(number) - 1]), "code");
    if (here == at.end()) {
      html << "<tr>" << code << "</tr>\n";
      continue;
    }
    bool first = true;
    for (const AccessCounters* a : here->second) {
      const double bad = badness(*a);
      html << "<tr class=\"hit"
           << (bad >= 1.9   ? " hot"
               : bad > 1.05 ? " warm"
                            : "")
           << "\">" << (first ? code : cell("") + cell("", "code")) << counters_cells(*a) << "</tr>\n";
      first = false;
    }
  }
  html << "</table></div>\n";
  return html.str();
}

std::string picture(const AccessCounters& a) {
  const bool shared = a.space == Space::shared;
  const double ideal = shared ? ratio(a.ideal_wavefronts, a.requests) : ideal_sectors(a);
  const int lanes = std::popcount(a.example_mask);
  std::string html = "<div class=\"picture\"><b>" + escape_html(a.source.file) + ":" + std::to_string(a.source.line) +
                     "</b>, " + access_name(a) + (shared ? " of shared memory: " : " of device memory: ");
  html +=
      std::to_string(lanes) + (lanes == 1 ? " lane takes " : " lanes take ") + fixed(a.example_cost, 0) +
      (shared ? (a.example_cost == 1 ? " wavefront" : " wavefronts") : (a.example_cost == 1 ? " sector" : " sectors")) +
      ", on average " + fixed(shared ? ratio(a.wavefronts, a.requests) : ratio(a.sectors, a.requests), 2) +
      "; ideal is " + fixed(ideal, 2) + ".\n";
  return html + (shared ? banks_picture(a) : sectors_picture(a)) + "</div>\n";
}

std::string kernel_section(const KernelCounters& kernel) {
  std::map<std::string, std::map<int, std::vector<const AccessCounters*>>> files;
  std::vector<const AccessCounters*> dearest;
  for (const AccessCounters& a : kernel.accesses) {
    files[a.source.file][a.source.line].push_back(&a);
    dearest.push_back(&a);
  }
  std::string html = "<p class=\"soft\">" + thousands(static_cast<long long>(kernel.launches)) +
                     (kernel.launches == 1 ? " launch" : " launches") + "; loads move " +
                     thousands(static_cast<long long>(kernel.loads.sectors)) + " sectors, " +
                     fixed(ratio(kernel.loads.sectors, kernel.loads.distinct_sectors), 2) +
                     " times those they touch; stores " + thousands(static_cast<long long>(kernel.stores.sectors)) +
                     ", " + fixed(ratio(kernel.stores.sectors, kernel.stores.distinct_sectors), 2) + " times.</p>\n";
  for (const auto& [file, at] : files) {
    if (!file.empty()) html += source_table(file, at);
  }
  std::stable_sort(dearest.begin(), dearest.end(), [](const AccessCounters* a, const AccessCounters* b) {
    const auto cost = [](const AccessCounters* x) { return x->sectors + x->wavefronts; };
    return cost(a) > cost(b);
  });
  html +=
      "<h3>Who touches what</h3><p class=\"soft\">One request of a warp each, the dearest of its line; a number is a "
      "lane, "
      "a cell 4 bytes. Grey is what moves: a load is good where grey is covered. A bank serves one word a pass.</p>\n";
  for (std::size_t i = 0; i < std::min(kMostPictures, dearest.size()); ++i) html += picture(*dearest[i]);
  return section(kernel.kernel, html);
}

std::string h100_roofline(const Profile& profile) {
  constexpr double kFlops = 67e12, kBytes = 3.35e12;  // NVIDIA H100 SXM, data sheet: fp32, memory
  const auto point = [&](double bytes, const char* color, const char* label, double below) {
    const double intensity = ratio(profile.cost.flops, bytes);
    return RooflinePoint{intensity, std::min(kFlops, intensity * kBytes), color, label, "", below};
  };
  return roofline_picture({kFlops,
                           kBytes,
                           {point(profile.cost.bytes, "#1f77b4", "if each operand crossed memory once", 22),
                            point(profile.bytes_moved(), "#d9622b", "as its requests are, with no cache", 40)},
                           {}});
}

}  // namespace

std::string profile_html(const Profile& profile) {
  std::ostringstream html;
  html << "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\">\n<title>" << escape_html(profile.op)
       << "</title><style>" << kPageStyle << kStyle << "</style></head><body><main>\n<h1>" << escape_html(profile.op)
       << "</h1>\n<p class=\"soft\">" << escape_html(profile.shape)
       << " &middot; counted by the instrument on this machine, without a GPU (docs/instrument.md)</p>\n<div "
          "class=\"cards\">\n"
       << card("Arithmetic", fixed(profile.cost.flops / 1e6, 2) + " MFLOP", "of the formula")
       << card("Least traffic", fixed(profile.cost.bytes / 1e6, 2) + " MB", "each operand once")
       << card("Requested", fixed(profile.bytes_moved() / 1e6, 2) + " MB",
               profile.cost.bytes > 0 ? fixed(profile.bytes_moved() / profile.cost.bytes, 2) +
                                            " times the least; caches keep some of it from memory"
                                      : "in sectors of 32 bytes")
       << card("Intensity", fixed(ratio(profile.cost.flops, profile.bytes_moved()), 2) + " FLOP/B",
               fixed(ratio(profile.cost.flops, profile.cost.bytes), 2) + " with the least traffic")
       << "</div>\n";
  if (profile.cost.flops > 0 && profile.cost.bytes > 0) {
    html << section("Roofline",
                    "<p class=\"soft\">The most an H100 (67 TFLOP/s fp32, 3.35 TB/s) could do at this many "
                    "operations a byte. Left of the bend memory is the limit.</p>" +
                        h100_roofline(profile));
  }
  for (const KernelCounters& kernel : profile.kernels) html << kernel_section(kernel);
  html << "</main></body></html>\n";
  return html.str();
}

}  // namespace gemel::cli
