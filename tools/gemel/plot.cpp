// SPDX-License-Identifier: MIT
//
// Plots as inline SVG.
#include "tools/gemel/plot.h"

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <sstream>

namespace gemel::cli {
namespace {

constexpr double kWidth = 560, kHeight = 320;
constexpr double kLeft = 58, kRight = 24, kTop = 30, kBottom = 46;

std::string number(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.6g", value);
  return text;
}

std::string coordinate(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.1f", value);
  return text;
}

// Round values at even steps of 1, 2 or 5 times a power of ten, about `count` of them.
std::vector<double> even_ticks(double low, double high, int count = 6) {
  double raw = (high - low) / count;
  double magnitude = std::pow(10, std::floor(std::log10(raw)));
  double step = magnitude;
  for (double factor : {1.0, 2.0, 5.0, 10.0}) {
    step = factor * magnitude;
    if (step >= raw) break;
  }
  std::vector<double> ticks;
  for (double i = std::ceil(low / step - 1e-9); i * step <= high + 1e-9 * step; ++i)
    ticks.push_back(i * step + 0.0);  // + 0: no "-0"
  return ticks;
}

std::vector<double> power_ticks(double low, double high) {
  std::vector<double> ticks;
  for (double e = std::ceil(std::log10(low) - 1e-9); e <= std::log10(high) + 1e-9; ++e)
    ticks.push_back(std::pow(10, e));
  return ticks;
}

// Data coordinates -> SVG coordinates, and the frame around them.
class Canvas {
 public:
  explicit Canvas(const Axes& axes) : axes_(axes) {}

  double x(double value) const {
    return kLeft + share(value, axes_.x_low, axes_.x_high, axes_.log_x) * (kWidth - kLeft - kRight);
  }
  double y(double value) const {
    return kHeight - kBottom - share(value, axes_.y_low, axes_.y_high, axes_.log_y) * (kHeight - kTop - kBottom);
  }
  std::string point(double px, double py) const { return coordinate(x(px)) + "," + coordinate(y(py)); }

  void text(double px, double py, const std::string& anchor, const std::string& content,
            const std::string& extra = "") {
    out_ << "<text x=\"" << coordinate(px) << "\" y=\"" << coordinate(py) << "\" text-anchor=\"" << anchor << "\""
         << extra << ">" << escape_html(content) << "</text>\n";
  }
  void line(double x1, double y1, double x2, double y2, const std::string& kind) {
    out_ << "<line class=\"" << kind << "\" x1=\"" << coordinate(x1) << "\" y1=\"" << coordinate(y1) << "\" x2=\""
         << coordinate(x2) << "\" y2=\"" << coordinate(y2) << "\"/>\n";
  }
  void raw(const std::string& svg) { out_ << svg; }

  void frame() {
    double bottom = kHeight - kBottom, right = kWidth - kRight;
    auto label = [](double value, bool percent) { return percent ? number(100 * value) + " %" : number(value); };
    for (double tick : axes_.log_y ? power_ticks(axes_.y_low, axes_.y_high) : even_ticks(axes_.y_low, axes_.y_high)) {
      line(kLeft, y(tick), right, y(tick), "grid");
      text(kLeft - 6, y(tick) + 4, "end", label(tick, axes_.percent_y));
    }
    for (double tick : axes_.log_x ? power_ticks(axes_.x_low, axes_.x_high) : even_ticks(axes_.x_low, axes_.x_high)) {
      line(x(tick), kTop, x(tick), bottom, "grid");
      text(x(tick), bottom + 16, "middle", label(tick, axes_.percent_x));
    }
    line(kLeft, bottom, right, bottom, "axis");
    line(kLeft, kTop, kLeft, bottom, "axis");
    text((kLeft + right) / 2, kHeight - 8, "middle", axes_.x_label);
    text(0, 0, "middle", axes_.y_label,
         " transform=\"translate(13," + coordinate((kTop + bottom) / 2) + ") rotate(-90)\"");
  }
  void legend(const std::vector<std::pair<std::string, std::string>>& names_and_colors) {
    double at = kLeft;
    for (const auto& [name, color] : names_and_colors) {
      out_ << "<rect x=\"" << coordinate(at) << "\" y=\"8\" width=\"11\" height=\"11\" rx=\"2\" fill=\"" << color
           << "\"/>\n";
      text(at + 16, 18, "start", name);
      at += 30 + 7.0 * static_cast<double>(name.size());
    }
  }
  void marks(const std::vector<Mark>& marks) {
    for (const Mark& mark : marks) {
      line(x(mark.x), kTop, x(mark.x), kHeight - kBottom, "mark");
      bool left = x(mark.x) > kWidth * 0.7;
      text(x(mark.x) + (left ? -5 : 5), mark.low ? kHeight - kBottom - 8 : kTop + 12, left ? "end" : "start",
           mark.label, " class=\"label\"");
    }
  }
  std::string svg() const {
    return "<svg viewBox=\"0 0 " + number(kWidth) + " " + number(kHeight) + "\" role=\"img\">\n" + out_.str() +
           "</svg>\n";
  }

 private:
  static double share(double value, double low, double high, bool log) {
    const double at = std::clamp(value, low, high);
    return log ? std::log(at / low) / std::log(high / low) : (at - low) / (high - low);
  }

  Axes axes_;
  std::ostringstream out_;
};

}  // namespace

std::string escape_html(const std::string& text) {
  std::string safe;
  for (char c : text) {
    switch (c) {
      case '&':
        safe += "&amp;";
        break;
      case '<':
        safe += "&lt;";
        break;
      case '>':
        safe += "&gt;";
        break;
      case '"':
        safe += "&quot;";
        break;
      case '\'':
        safe += "&#39;";
        break;
      default:
        safe += c;
    }
  }
  return safe;
}

std::string line_plot(Axes axes, const std::vector<Series>& series, const std::vector<Mark>& marks) {
  double x_low = INFINITY, x_high = -INFINITY, y_high = 0;
  for (const Series& s : series) {
    for (auto [px, py] : s.points) {
      x_low = std::min(x_low, px);
      x_high = std::max(x_high, px);
      y_high = std::max(y_high, py);
    }
  }
  if (!(axes.x_low < axes.x_high)) {
    axes.x_low = std::isfinite(x_low) ? x_low : 0;
    axes.x_high = x_high > axes.x_low ? x_high : axes.x_low + 1;
  }
  if (!(axes.y_low < axes.y_high)) {
    axes.y_low = 0;
    axes.y_high = y_high > 0 ? 1.05 * y_high : 1;
  }
  Canvas canvas(axes);
  canvas.frame();
  std::vector<std::pair<std::string, std::string>> names;
  for (const Series& s : series) {
    std::string points;
    for (auto [px, py] : s.points) {
      if (std::isfinite(px) && std::isfinite(py)) points += canvas.point(px, py) + " ";
    }
    canvas.raw("<polyline fill=\"none\" stroke=\"" + s.color + "\" stroke-width=\"" + (s.dashed ? "1" : "2") + "\"" +
               (s.dashed ? " stroke-dasharray=\"4 4\"" : "") + " points=\"" + points + "\"/>\n");
    if (!s.name.empty()) names.emplace_back(s.name, s.color);
  }
  canvas.marks(marks);
  canvas.legend(names);
  return canvas.svg();
}

std::string histogram(const std::string& x_label, const std::vector<Sample>& samples, const std::vector<Mark>& marks,
                      int bins) {
  double high = 0;
  for (const Sample& sample : samples) {
    for (float value : sample.values) high = std::max(high, static_cast<double>(value));
  }
  for (const Mark& mark : marks) high = std::max(high, mark.x);
  if (!(high > 0)) high = 1;
  std::vector<std::vector<double>> shares;
  double tallest = 0;
  for (const Sample& sample : samples) {
    std::vector<double> share(static_cast<std::size_t>(bins));
    for (float value : sample.values) {
      auto bin = static_cast<std::size_t>(std::clamp(value / high * bins, 0.0, bins - 1.0));
      share[bin] += 1.0 / static_cast<double>(sample.values.size());
    }
    tallest = std::max(tallest, *std::max_element(share.begin(), share.end()));
    shares.push_back(std::move(share));
  }
  Axes axes{
      .x_label = x_label, .y_label = "share of the pairs", .x_high = high, .y_high = 1.05 * tallest, .percent_y = true};
  if (!(axes.y_high > 0)) axes.y_high = 1;
  Canvas canvas(axes);
  canvas.frame();
  std::vector<std::pair<std::string, std::string>> names;
  for (std::size_t i = 0; i < samples.size(); ++i) {
    std::string points = canvas.point(0, 0) + " ";
    for (int bin = 0; bin < bins; ++bin) {
      double share = shares[i][static_cast<std::size_t>(bin)];
      points += canvas.point(high * bin / bins, share) + " " + canvas.point(high * (bin + 1) / bins, share) + " ";
    }
    points += canvas.point(high, 0);
    canvas.raw("<polygon fill=\"" + samples[i].color + "\" fill-opacity=\"0.35\" stroke=\"" + samples[i].color +
               "\" stroke-width=\"1.5\" points=\"" + points + "\"/>\n");
    names.emplace_back(samples[i].name, samples[i].color);
  }
  canvas.marks(marks);
  canvas.legend(names);
  return canvas.svg();
}

}  // namespace gemel::cli
