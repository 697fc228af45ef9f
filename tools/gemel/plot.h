// SPDX-License-Identifier: MIT
//
// Plots as inline SVG for the report: lines and histograms with axes, a legend and marks.
#pragma once

#include <string>
#include <utility>
#include <vector>

namespace gemel::cli {

struct Series {
  std::string name, color;
  std::vector<std::pair<double, double>> points;
  bool dashed = false;
};

struct Mark {  // a vertical line with a label at its upper or lower end
  double x;
  std::string label;
  bool low = false;
};

struct Axes {
  std::string x_label, y_label;
  bool log_x = false;            // points with x <= 0 are drawn at the left edge
  bool log_y = false;            // the same of y, at the lower edge; y_low and y_high are to be given
  double x_low = 0, x_high = 0;  // equal: from the data
  double y_low = 0, y_high = 0;  // equal: 0 to the data's largest
  bool percent_x = false, percent_y = false;
};

std::string line_plot(Axes axes, const std::vector<Series>& series, const std::vector<Mark>& marks = {});

struct Sample {
  std::string name, color;
  std::vector<float> values;
};

// Overlapping histograms over common bins, each normalised to its own size.
std::string histogram(const std::string& x_label, const std::vector<Sample>& samples, const std::vector<Mark>& marks,
                      int bins = 60);

// &, <, > and quotes as entities.
std::string escape_html(const std::string& text);

}  // namespace gemel::cli
