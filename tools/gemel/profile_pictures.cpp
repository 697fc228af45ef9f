// SPDX-License-Identifier: MIT
//
// The pictures of a kernel's page: lanes on sectors, lanes on banks.
#include <algorithm>
#include <bit>
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

}  // namespace gemel::cli
