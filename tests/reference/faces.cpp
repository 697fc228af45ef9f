// SPDX-License-Identifier: MIT
//
// Faces in a photograph: the definitions, and cases of image_halve, image_chips and landmarks.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

Fill bytes() { return {.kind = Fill::Kind::integers, .a = 0, .b = 255, .custom = {}}; }

// A custom fill of known values.
Fill given(std::vector<double> numbers) {
  return {.kind = Fill::Kind::custom,
          .custom = [numbers = std::move(numbers)](std::vector<double>& values, std::uint64_t) { values = numbers; }};
}

std::string size_text(int h, int w, int c) {
  return std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(c);
}

OpCase halve_case(const HalveShape& s) {
  OpCase c;
  c.op = "image_halve";
  c.shape = size_text(s.h, s.w, s.c) + " at " + std::to_string(s.top) + ", " + std::to_string(s.left) + ": " +
            std::to_string(s.rows) + "x" + std::to_string(s.columns);
  c.tensors = {{.name = "image", .shape = {s.h, s.w, s.c}, .fill = bytes(), .dtype = Dtype::u8},
               {.name = "y", .shape = {s.out_h(), s.out_w(), s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) { k.image_halve(q, s, t.u8("image"), t.u8("y")); };
  c.reference = [=](Values& v) {
    const double weights[] = {1, 4, 6, 4, 1};
    for (int i = 0; i < s.out_h(); ++i) {
      for (int j = 0; j < s.out_w(); ++j) {
        for (int channel = 0; channel < s.c; ++channel) {
          double sum = 0;
          for (int r = 0; r < 5; ++r) {
            for (int q = 0; q < 5; ++q) {
              const int row = s.top + 2 * i + r, column = s.left + 2 * j + q;
              sum += weights[r] * weights[q] * v["image"][(std::size_t(row) * s.w + column) * s.c + channel];
            }
          }
          v["y"][(std::size_t(i) * s.out_w() + j) * s.c + channel] = std::floor(sum / 256);
        }
      }
    }
  };
  const double in = double(s.rows) * s.columns * s.c, out = double(s.out_h()) * s.out_w() * s.c;
  c.cost = {.flops = 50 * out, .bytes = in + out};
  return c;
}

// The maps of n chips that look about the picture: turned, between a quarter and twice the size, partly outside.
std::vector<double> chip_maps(const ChipShape& s, bool identity) {
  std::vector<double> maps;
  for (int i = 0; i < s.n; ++i) {
    if (identity) {
      maps.insert(maps.end(), {1, 0, 0, 0, 1, 0});
      continue;
    }
    const double angle = 2.4 * i, scale = 0.25 + 0.45 * (i % 4);
    const double a = scale * std::cos(angle), b = scale * std::sin(angle);
    const double x = s.w * (0.1 + 0.3 * (i % 3)), y = s.h * (0.9 - 0.35 * (i % 3));
    for (const double value : {a, -b, x, b, a, y}) maps.push_back(static_cast<float>(value));
  }
  return maps;
}

OpCase chip_case(const ChipShape& s, bool identity = false) {
  OpCase c;
  c.op = "image_chips";
  c.shape = "n=" + std::to_string(s.n) + " " + size_text(s.out_h, s.out_w, s.c) + " of " + size_text(s.h, s.w, s.c) +
            (identity ? " as it is" : "");
  c.tensors = {{.name = "maps", .shape = {s.n, 2, 3}, .fill = given(chip_maps(s, identity))},
               {.name = "image", .shape = {s.h, s.w, s.c}, .fill = bytes(), .dtype = Dtype::u8},
               {.name = "chips", .shape = {s.n, s.out_h, s.out_w, s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.image_chips(q, s, t.f32("maps"), t.u8("image"), t.u8("chips"));
  };
  c.reference = [=](Values& v) {
    // Every number here is a multiple of 2^-32 below 2^20: doubles hold them, and their sums, exactly.
    auto entry = [](double value) { return std::trunc(value * 0x1p32) * 0x1p-32; };
    auto sixteenth = [](double place) { return std::floor(place * 65536) / 65536; };
    const std::vector<double>& image = v["image"];
    for (int i = 0; i < s.n; ++i) {
      const double* m = &v["maps"][std::size_t(i) * 6];
      for (int p = 0; p < s.out_h; ++p) {
        for (int q = 0; q < s.out_w; ++q) {
          const double x = sixteenth(entry(m[0]) * q + entry(m[1]) * p + entry(m[2]));
          const double y = sixteenth(entry(m[3]) * q + entry(m[4]) * p + entry(m[5]));
          const int left = static_cast<int>(std::floor(x)), top = static_cast<int>(std::floor(y));
          const bool inside = left >= 0 && top >= 0 && left + 1 < s.w && top + 1 < s.h;
          for (int channel = 0; channel < s.c; ++channel) {
            double sum = 0;
            for (int r = 0; inside && r < 2; ++r) {
              for (int u = 0; u < 2; ++u) {
                sum += (1 - std::abs(top + r - y)) * (1 - std::abs(left + u - x)) *
                       image[(std::size_t(top + r) * s.w + left + u) * s.c + channel];
              }
            }
            v["chips"][((std::size_t(i) * s.out_h + p) * s.out_w + q) * s.c + channel] = std::floor(sum);
          }
        }
      }
    }
  };
  const double elements = double(s.n) * s.out_h * s.out_w * s.c;
  c.cost = {.flops = 10 * elements, .bytes = 5 * elements};
  return c;
}

// ---- landmarks
struct LandmarkCase {
  int points, stages, trees, depth, features;
  int n, h, w, c;
};

// Boxes within, across and beyond the picture's borders, one of a single pixel.
std::vector<double> boxes_about(const LandmarkCase& s) {
  std::vector<double> boxes;
  for (int i = 0; i < s.n; ++i) {
    const double left = (i % 5 - 1) * 0.3 * s.w, top = (i % 3 - 1) * 0.4 * s.h;
    const double side = i == 3 ? 0 : std::floor(0.5 * std::min(s.h, s.w)) + i % 7;
    for (const double edge : {left, top, left + side, top + side}) boxes.push_back(std::floor(edge));
  }
  return boxes;
}

double as_f32(double v) { return static_cast<float>(v); }

// The a, b of the similarity (x, y) -> (a x - b y + c, b x + a y + d) for which the sum of squared distances from the
// images of `from` to `to` is least: the four normal equations, solved with c and d eliminated.
std::pair<double, double> similarity_of(const std::vector<double>& from, const std::vector<double>& to) {
  const std::size_t points = from.size() / 2;
  const double n = double(points);
  if (points == 1) return {1, 0};
  double sx = 0, sy = 0, su = 0, sv = 0, squares = 0, dots = 0, crosses = 0;
  for (std::size_t i = 0; i < points; ++i) {
    const double x = from[2 * i], y = from[2 * i + 1], u = to[2 * i], v = to[2 * i + 1];
    sx += x, sy += y, su += u, sv += v;
    squares += x * x + y * y;
    dots += x * u + y * v;
    crosses += x * v - y * u;
  }
  const double spread = squares - (sx * sx + sy * sy) / n;
  return {(dots - (sx * su + sy * sv) / n) / spread, (crosses - (sx * sv - sy * su) / n) / spread};
}

// Shapes are rounded to f32 after every step: that belongs to the definition (Cascade).
void find_landmarks(const LandmarkCase& s, int face, const Values& v, double* y) {
  const std::vector<double>& mean = v.at("mean_shape");
  const double* box = &v.at("boxes")[std::size_t(face) * 4];
  const double width = box[2] - box[0], height = box[3] - box[1];
  std::vector<double> shape = mean;
  for (int stage = 0; stage < s.stages; ++stage) {
    const auto [a64, b64] = similarity_of(mean, shape);
    const double a = as_f32(a64), b = as_f32(b64);
    std::vector<double> grey;
    for (int k = 0; k < s.features; ++k) {
      const std::size_t feature = std::size_t(stage) * s.features + k;
      const auto anchor = static_cast<std::size_t>(v.at("anchors")[feature]);
      const double dx = v.at("offsets")[2 * feature], dy = v.at("offsets")[2 * feature + 1];
      const double u = as_f32(as_f32(as_f32(a * dx) - as_f32(b * dy)) + shape[2 * anchor]);
      const double w = as_f32(as_f32(as_f32(b * dx) + as_f32(a * dy)) + shape[2 * anchor + 1]);
      const double x = std::floor(box[0] + width * u + 0.5), row = std::floor(box[1] + height * w + 0.5);
      double sum = 0;
      if (x >= 0 && x < s.w && row >= 0 && row < s.h) {
        for (int channel = 0; channel < s.c; ++channel) {
          sum += v.at("image")[(std::size_t(row) * s.w + std::size_t(x)) * s.c + channel];
        }
      }
      grey.push_back(std::floor(sum / s.c));
    }
    const int nodes = (1 << s.depth) - 1;
    for (int t = 0; t < s.trees; ++t) {
      const std::size_t tree = std::size_t(stage) * s.trees + t;
      int node = 0;
      while (node < nodes) {
        const std::size_t at = tree * nodes + node;
        const double first = grey[std::size_t(v.at("pairs")[2 * at])],
                     second = grey[std::size_t(v.at("pairs")[2 * at + 1])];
        node = 2 * node + (first - second > v.at("thresholds")[at] ? 1 : 2);
      }
      const std::size_t leaf = tree * (nodes + 1) + (node - nodes);
      for (std::size_t i = 0; i < shape.size(); ++i) {
        shape[i] = as_f32(shape[i] + v.at("leaves")[leaf * shape.size() + i]);
      }
    }
  }
  for (std::size_t i = 0; i < shape.size(); ++i) {
    y[i] = i % 2 == 0 ? box[0] + width * shape[i] : box[1] + height * shape[i];
  }
}

OpCase landmark_case(const LandmarkCase& s) {
  const int nodes = (1 << s.depth) - 1;
  auto indices = [](int below) { return Fill{.kind = Fill::Kind::integers, .a = 0, .b = below - 1.0, .custom = {}}; };
  OpCase c;
  c.op = "landmarks";
  c.shape = "n=" + std::to_string(s.n) + " " + size_text(s.h, s.w, s.c) + ", " + std::to_string(s.points) +
            " points, " + std::to_string(s.stages) + " stages of " + std::to_string(s.trees) + " trees, depth " +
            std::to_string(s.depth) + ", " + std::to_string(s.features) + " features";
  c.tensors = {
      {.name = "mean_shape",
       .shape = {s.points, 2},
       .fill = {.kind = Fill::Kind::uniform, .a = 0.1, .b = 0.9, .custom = {}}},
      {.name = "anchors", .shape = {s.stages, s.features}, .fill = indices(s.points), .dtype = Dtype::i32},
      {.name = "offsets",
       .shape = {s.stages, s.features, 2},
       .fill = {.kind = Fill::Kind::uniform, .a = -0.3, .b = 0.3, .custom = {}}},
      {.name = "pairs", .shape = {s.stages, s.trees, nodes, 2}, .fill = indices(s.features), .dtype = Dtype::i32},
      {.name = "thresholds",
       .shape = {s.stages, s.trees, nodes},
       .fill = {.kind = Fill::Kind::uniform, .a = -60, .b = 60, .custom = {}}},
      {.name = "leaves",
       .shape = {s.stages, s.trees, nodes + 1, s.points, 2},
       .fill = {.kind = Fill::Kind::normal, .a = 0, .b = 0.1 / std::sqrt(double(s.trees)), .custom = {}}},
      {.name = "boxes", .shape = {s.n, 4}, .fill = given(boxes_about(s))},
      {.name = "image", .shape = {s.h, s.w, s.c}, .fill = bytes(), .dtype = Dtype::u8},
      {.name = "y", .shape = {s.n, s.points, 2}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    const Cascade cascade{.points = s.points,
                          .stages = s.stages,
                          .trees = s.trees,
                          .depth = s.depth,
                          .features = s.features,
                          .mean_shape = t.f32("mean_shape"),
                          .anchors = t.i32("anchors"),
                          .offsets = t.f32("offsets"),
                          .pairs = t.i32("pairs"),
                          .thresholds = t.f32("thresholds"),
                          .leaves = t.f32("leaves")};
    k.landmarks(q, cascade, s.n, s.h, s.w, s.c, t.f32("boxes"), t.u8("image"), t.f32("y"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < s.n; ++i) find_landmarks(s, i, v, &v["y"][std::size_t(i) * s.points * 2]);
  };
  const double stages = double(s.n) * s.stages;
  c.cost = {.flops = stages * (20.0 * s.features + 2.0 * s.trees * s.points),
            .bytes = stages * (12.0 * s.features + s.trees * (12.0 * s.depth + 8.0 * s.points))};
  return c;
}

}  // namespace

std::vector<OpCase> face_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const int c : {1, 2, 3, 4}) {
    cases.push_back(halve_case({.h = 5, .w = 5, .c = c, .top = 0, .left = 0, .rows = 5, .columns = 5}));
    cases.push_back(halve_case({.h = 41, .w = 47, .c = c, .top = 3, .left = 7, .rows = 31, .columns = 33}));
    cases.push_back(halve_case({.h = 9, .w = 600, .c = c, .top = 1, .left = 1, .rows = 8, .columns = 599}));
    cases.push_back(chip_case({.n = 1, .out_h = 1, .out_w = 1, .h = 2, .w = 2, .c = c}));
    cases.push_back(chip_case({.n = 7, .out_h = 31, .out_w = 33, .h = 53, .w = 61, .c = c}));
  }
  cases.push_back(chip_case({.n = 2, .out_h = 17, .out_w = 19, .h = 17, .w = 19, .c = 3}, true));
  cases.push_back(chip_case({.n = 3, .out_h = 5, .out_w = 5, .h = 1, .w = 9, .c = 1}));  // one row: always outside
  cases.push_back(chip_case({.n = 65537, .out_h = 1, .out_w = 2, .h = 11, .w = 13, .c = 1}));
  cases.push_back(landmark_case({5, 3, 37, 4, 61, 7, 83, 97, 3}));
  cases.push_back(landmark_case({1, 2, 3, 1, 2, 5, 31, 33, 1}));
  cases.push_back(landmark_case({2, 1, 1, 0, 1, 1, 1, 1, 1}));        // a tree of one leaf, a picture of one pixel
  cases.push_back(landmark_case({5, 2, 131, 5, 257, 6, 67, 71, 1}));  // more of all than threads
  cases.push_back(landmark_case({68, 2, 11, 3, 31, 4, 101, 103, 3}));
  cases.push_back(
      landmark_case({67, 1, 97, 1, 13, 1, 31, 33, 3}));  // leaves that do not fit into shared memory at once
  if (depth == Depth::full) {
    cases.push_back(halve_case({.h = 3000, .w = 4000, .c = 3, .top = 0, .left = 0, .rows = 3000, .columns = 4000}));
    cases.back().bench = true;
    cases.push_back(chip_case({.n = 8, .out_h = 150, .out_w = 150, .h = 1080, .w = 1920, .c = 3}));
    cases.back().bench = true;
    cases.push_back(landmark_case({5, 15, 500, 4, 800, 1, 1080, 1920, 3}));
    cases.back().bench = true;
    cases.push_back(landmark_case({5, 15, 500, 4, 800, 8, 1080, 1920, 3}));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
