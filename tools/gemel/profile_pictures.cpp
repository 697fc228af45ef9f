// SPDX-License-Identifier: MIT
//
// The pictures of a kernel's page: lanes on sectors, lanes on banks, the roofline.
#include <algorithm>
#include <bit>
#include <cmath>
#include <map>
#include <set>
#include <sstream>

#include "tools/gemel/command.h"
#include "tools/gemel/profile.h"

namespace gemel::cli {
namespace {

using instrument::AccessCounters;

constexpr int kCell = 26, kRow = 24, kLeft = 78, kTop = 20;
constexpr std::size_t kMostRows = 12;

// What the lanes of an example take of each word: word -> lanes.
using Words = std::map<std::uint64_t, std::vector<int>>;

Words words_of(const AccessCounters& access, std::uint32_t mask) {
  Words words;
  for (int lane = 0; lane < 32; ++lane) {
    if ((mask >> lane & 1) == 0) continue;
    const std::uint64_t begin = access.example[static_cast<std::size_t>(lane)];
    for (std::uint64_t word = begin / 4; word * 4 < begin + access.bytes; ++word) words[word].push_back(lane);
  }
  return words;
}

std::string lanes_text(const std::vector<int>& lanes) {
  if (lanes.size() == 1) return std::to_string(lanes[0]);
  std::string text;
  for (const int lane : lanes) text += (text.empty() ? "" : ", ") + std::to_string(lane);
  return text;
}

void draw_cell(std::ostream& svg, double x, double y, const std::vector<int>& lanes) {
  const int hue = lanes.front() * 11;
  svg << "<g><title>lane" << (lanes.size() == 1 ? " " : "s ") << lanes_text(lanes) << "</title><rect x=\"" << x + 1
      << "\" y=\"" << y + 1 << "\" width=\"" << kCell - 2 << "\" height=\"" << kRow - 2 << "\" rx=\"3\" fill=\"hsl("
      << hue << ",75%,78%)\"/><text x=\"" << x + kCell / 2.0 << "\" y=\"" << y + 16
      << "\" text-anchor=\"middle\" style=\"fill:#1d2430;font-size:11px\">" << lanes.front()
      << (lanes.size() > 1 ? "+" : "") << "</text></g>\n";
}

std::string svg_of(std::size_t rows, const std::string& body) {
  const int width = kLeft + 32 * kCell + 8, height = kTop + static_cast<int>(rows) * kRow + 6;
  return "<svg viewBox=\"0 0 " + std::to_string(width) + " " + std::to_string(height) +
         "\" style=\"max-width:" + std::to_string(width) + "px\">" + body + "</svg>\n";
}

std::string more_rows(std::size_t rows, const char* what) {
  return rows <= kMostRows ? ""
                           : "<p class=\"soft\">and " + std::to_string(rows - kMostRows) + " more " + what + "</p>\n";
}

}  // namespace

std::string sectors_picture(const AccessCounters& access) {
  const Words words = words_of(access, access.example_mask);
  std::map<std::uint64_t, std::set<int>> lines;  // of 128 bytes: the sectors that move
  for (const auto& [word, lanes] : words) lines[word / 32].insert(static_cast<int>(word % 32 / 8));
  std::ostringstream svg;
  for (int sector = 0; sector < 4; ++sector) {
    svg << "<text x=\"" << kLeft + sector * 8 * kCell + 4 << "\" y=\"13\">sector " << sector << "</text>";
  }
  std::size_t row = 0;
  const std::uint64_t first = lines.empty() ? 0 : lines.begin()->first;
  for (const auto& [line, sectors] : lines) {
    if (row == kMostRows) break;
    const double y = kTop + static_cast<double>(row++) * kRow;
    svg << "<text x=\"" << kLeft - 6 << "\" y=\"" << y + 16 << "\" text-anchor=\"end\">+" << (line - first) * 128
        << " B</text>";
    for (int sector = 0; sector < 4; ++sector) {
      svg << "<rect x=\"" << kLeft + sector * 8 * kCell << "\" y=\"" << y << "\" width=\"" << 8 * kCell
          << "\" height=\"" << kRow << "\" fill=\"" << (sectors.count(sector) != 0 ? "#d5dbe3" : "#ffffff")
          << "\" stroke=\"#aab2bd\"/>";
    }
    for (auto word = words.lower_bound(line * 32); word != words.end() && word->first / 32 == line; ++word) {
      draw_cell(svg, kLeft + static_cast<double>(word->first % 32) * kCell, y, word->second);
    }
  }
  return svg_of(std::min(lines.size(), kMostRows), svg.str()) + more_rows(lines.size(), "lines of 128 bytes");
}

std::string banks_picture(const AccessCounters& access) {
  std::ostringstream svg;
  for (int bank = 0; bank < 32; bank += 4) {
    svg << "<text x=\"" << kLeft + (bank + 0.5) * kCell << "\" y=\"13\" text-anchor=\"middle\">" << bank << "</text>";
  }
  const int phases = std::max(1, static_cast<int>(access.bytes / 4)), lanes = 32 / phases;
  std::size_t row = 0, rows = 0;
  for (int phase = 0; phase < phases; ++phase) {
    const std::uint32_t all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    std::vector<std::vector<std::vector<int>>> banks(32);  // of each, its words' lanes
    std::size_t passes = 0;
    for (const auto& [word, by] : words_of(access, access.example_mask & (all << (phase * lanes)))) {
      banks[word % 32].push_back(by);
      passes = std::max(passes, banks[word % 32].size());
    }
    rows += passes;
    for (std::size_t pass = 0; pass < passes && row < kMostRows; ++pass, ++row) {
      const double y = kTop + static_cast<double>(row) * kRow;
      svg << "<text x=\"" << kLeft - 6 << "\" y=\"" << y + 16 << "\" text-anchor=\"end\">pass " << row + 1 << "</text>";
      for (int bank = 0; bank < 32; ++bank) {
        const double x = kLeft + bank * kCell;
        svg << "<rect x=\"" << x << "\" y=\"" << y << "\" width=\"" << kCell << "\" height=\"" << kRow
            << "\" fill=\"#ffffff\" stroke=\"#d5dbe3\"/>";
        const auto& words = banks[static_cast<std::size_t>(bank)];
        if (pass < words.size()) draw_cell(svg, x, y, words[pass]);
      }
    }
  }
  return svg_of(std::min(rows, kMostRows), svg.str()) + more_rows(rows, "passes");
}

std::string roofline_picture(const Profile& profile) {
  // NVIDIA H100 SXM, data sheet: 67 TFLOP/s in fp32, 3.35 TB/s.
  constexpr double kPeak = 67, kBandwidth = 3.35, kLowX = 0.01, kHighX = 1000, kLowY = 0.03, kHighY = 120;
  constexpr double kWidth = 900, kHeight = 330, kMarginLeft = 58, kMarginBottom = 44;
  const auto x_of = [&](double intensity) {
    const double at = std::clamp(intensity, kLowX, kHighX);
    return kMarginLeft + (kWidth - kMarginLeft - 16) * std::log(at / kLowX) / std::log(kHighX / kLowX);
  };
  const auto y_of = [&](double rate) {
    return (kHeight - kMarginBottom) -
           (kHeight - kMarginBottom - 14) * std::log(rate / kLowY) / std::log(kHighY / kLowY);
  };
  const auto roof = [&](double intensity) { return std::max(kLowY, std::min(kPeak, intensity * kBandwidth)); };
  std::ostringstream svg;
  svg << "<svg viewBox=\"0 0 " << kWidth << " " << kHeight << "\" style=\"max-width:" << kWidth << "px\">";
  for (const double tick : {0.01, 0.1, 1.0, 10.0, 100.0, 1000.0}) {
    svg << "<line class=\"grid\" x1=\"" << x_of(tick) << "\" x2=\"" << x_of(tick) << "\" y1=\"14\" y2=\""
        << kHeight - kMarginBottom << "\"/><text text-anchor=\"middle\" x=\"" << x_of(tick) << "\" y=\""
        << kHeight - kMarginBottom + 16 << "\">" << tick << "</text>";
  }
  for (const double tick : {0.1, 1.0, 10.0, 67.0}) {
    svg << "<line class=\"grid\" x1=\"" << kMarginLeft << "\" x2=\"" << kWidth - 16 << "\" y1=\"" << y_of(tick)
        << "\" y2=\"" << y_of(tick) << "\"/><text text-anchor=\"end\" x=\"" << kMarginLeft - 6 << "\" y=\""
        << y_of(tick) + 4 << "\">" << tick << "</text>";
  }
  const double ridge = kPeak / kBandwidth, low = std::max(kLowX, kLowY / kBandwidth);
  svg << "<polyline fill=\"none\" stroke=\"#1d2430\" stroke-width=\"2\" points=\"" << x_of(low) << ","
      << y_of(roof(low)) << " " << x_of(ridge) << "," << y_of(kPeak) << " " << x_of(kHighX) << "," << y_of(kPeak)
      << "\"/>"
      << "<text x=\"" << kMarginLeft + 4 << "\" y=\"12\">TFLOP/s at most</text><text text-anchor=\"end\" x=\""
      << kWidth - 16 << "\" y=\"" << kHeight - 8 << "\">FLOP a byte</text>";
  const auto point = [&](double intensity, const char* color, const std::string& label, double down) {
    svg << "<circle r=\"7\" cx=\"" << x_of(intensity) << "\" cy=\"" << y_of(roof(intensity)) << "\" fill=\"" << color
        << "\"/><text class=\"label\" x=\"" << x_of(intensity) + 12 << "\" y=\"" << y_of(roof(intensity)) + down
        << "\">" << label << "</text>";
  };
  point(ratio(profile.cost.flops, profile.cost.bytes), "#1f77b4", "if each operand crossed memory once", 22);
  point(ratio(profile.cost.flops, profile.bytes_moved()), "#d9622b", "as its requests are, with no cache", 40);
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace gemel::cli
