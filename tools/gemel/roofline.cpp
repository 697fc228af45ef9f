// SPDX-License-Identifier: MIT
#include "tools/gemel/roofline.h"

#include <algorithm>
#include <cmath>
#include <sstream>

#include "tools/gemel/plot.h"

namespace gemel::cli {
namespace {

constexpr double kLowX = 0.01, kHighX = 1000;
constexpr struct { double width = 900, height = 350, left = 92, right = 16, top = 34, bottom = 44; } kFrame;

double power_below(double value) { return std::pow(10, std::floor(std::log10(value))); }

// Positions in the picture.
struct Scale {
  double low_y, high_y;
  double x(double intensity) const {
    const double at = std::clamp(intensity, kLowX, kHighX);
    return kFrame.left + (kFrame.width - kFrame.left - kFrame.right) * std::log(at / kLowX) / std::log(kHighX / kLowX);
  }
  double y(double flops) const {
    const double at = std::clamp(flops, low_y, high_y), height = kFrame.height - kFrame.top - kFrame.bottom;
    return kFrame.height - kFrame.bottom - height * std::log(at / low_y) / std::log(high_y / low_y);
  }
};

// 2e+10 -> "20 GFLOP/s"
std::string rate(double flops) {
  struct Unit {
    double size;
    const char* name;
  };
  Unit unit{1e6, " MFLOP/s"};
  for (const Unit& larger : {Unit{1e9, " GFLOP/s"}, Unit{1e12, " TFLOP/s"}}) {
    if (flops >= 0.9999 * larger.size) unit = larger;
  }
  std::ostringstream text;
  text.precision(3);
  text << flops / unit.size << unit.name;
  return text.str();
}

}  // namespace

std::string roofline_picture(const Roofline& roofline) {
  double lowest = roofline.flops / 1e3;
  for (const RooflinePoint& point : roofline.points) {
    if (point.flops > 0) lowest = std::min(lowest, point.flops);
  }
  const Scale scale{power_below(std::max(lowest, roofline.flops / 1e6)), 2 * roofline.flops};
  std::ostringstream svg;
  svg << "<svg viewBox=\"0 0 " << kFrame.width << " " << kFrame.height << "\" style=\"max-width:" << kFrame.width
      << "px\" role=\"img\">\n";
  const auto text = [&](double x, double y, const char* anchor, const std::string& content, const char* kind = "") {
    svg << "<text x=\"" << x << "\" y=\"" << y << "\" text-anchor=\"" << anchor << "\"" << kind << ">"
        << escape_html(content) << "</text>\n";
  };
  const double bottom = kFrame.height - kFrame.bottom, right = kFrame.width - kFrame.right;
  for (double tick = kLowX; tick <= kHighX * 1.001; tick *= 10) {
    const double x = scale.x(tick);
    svg << "<line class=\"grid\" x1=\"" << x << "\" x2=\"" << x << "\" y1=\"" << kFrame.top << "\" y2=\"" << bottom
        << "\"/>";
    std::ostringstream number;
    number << tick;
    text(x, bottom + 16, "middle", number.str());
  }
  for (double tick = scale.low_y; tick <= scale.high_y; tick *= 10) {
    const double y = scale.y(tick);
    svg << "<line class=\"grid\" x1=\"" << kFrame.left << "\" x2=\"" << right << "\" y1=\"" << y << "\" y2=\"" << y
        << "\"/>";
    text(kFrame.left - 6, y + 4, "end", rate(tick));
  }
  const double ridge = roofline.flops / roofline.bytes, low = std::max(kLowX, scale.low_y / roofline.bytes);
  svg << "<polyline fill=\"none\" stroke=\"#1d2430\" stroke-width=\"2\" points=\"" << scale.x(low) << ","
      << scale.y(low * roofline.bytes) << " " << scale.x(ridge) << "," << scale.y(roofline.flops) << " "
      << scale.x(kHighX) << "," << scale.y(roofline.flops) << "\"/>\n";
  text(right, scale.y(roofline.flops) - 6, "end", rate(roofline.flops), " class=\"label\"");
  text(right, kFrame.height - 8, "end", "operations a byte of memory");
  double at = kFrame.left;
  for (const auto& [name, color] : roofline.legend) {
    svg << "<rect x=\"" << at << "\" y=\"8\" width=\"11\" height=\"11\" rx=\"2\" fill=\"" << color << "\"/>";
    text(at + 16, 18, "start", name);
    at += 36 + 6.4 * static_cast<double>(name.size());
  }
  for (const RooflinePoint& point : roofline.points) {
    const double x = scale.x(point.intensity), y = scale.y(point.flops);
    svg << "<circle r=\"" << (point.label.empty() ? 5 : 7) << "\" cx=\"" << x << "\" cy=\"" << y << "\" fill=\""
        << point.color << "\" fill-opacity=\"0.8\">"
        << (point.title.empty() ? "" : "<title>" + escape_html(point.title) + "</title>") << "</circle>\n";
    if (!point.label.empty()) text(x + 12, y + point.below, "start", point.label, " class=\"label\"");
  }
  svg << "</svg>\n";
  return svg.str();
}

}  // namespace gemel::cli
