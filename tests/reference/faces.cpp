// SPDX-License-Identifier: MIT
//
// What faces are cut out of a photograph with: the definition, and cases of image_halve, image_chips and landmarks.
#include <array>
#include <cmath>
#include <complex>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

Fill integers(double lowest, double highest) {
  return {.kind = Fill::Kind::integers, .a = lowest, .b = highest, .custom = {}};
}

TensorSpec picture(int h, int w, int c) {
  return {.name = "image", .shape = {h, w, c}, .fill = integers(0, 255), .dtype = Dtype::u8};
}

std::string size_text(int h, int w, int c) {
  return std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(c);
}

OpCase halve_case(const HalveShape& s, bool bench = false) {
  OpCase c;
  c.op = "image_halve";
  c.shape = size_text(s.h, s.w, s.c) + " part " + std::to_string(s.rows) + "x" + std::to_string(s.columns) + " at " +
            std::to_string(s.top) + "," + std::to_string(s.left);
  c.tensors = {picture(s.h, s.w, s.c),
               {.name = "y", .shape = {s.out_h(), s.out_w(), s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) { k.image_halve(q, s, t.u8("image"), t.u8("y")); };
  c.reference = [=](Values& v) {
    constexpr std::array<double, 5> kBinomial{1 / 16.0, 4 / 16.0, 6 / 16.0, 4 / 16.0, 1 / 16.0};
    for (int i = 0; i < s.out_h(); ++i) {
      for (int j = 0; j < s.out_w(); ++j) {
        for (int channel = 0; channel < s.c; ++channel) {
          double sum = 0;
          for (std::size_t a = 0; a < 5; ++a) {
            for (std::size_t b = 0; b < 5; ++b) {
              const std::size_t row = std::size_t(s.top + 2 * i) + a, column = std::size_t(s.left + 2 * j) + b;
              sum += kBinomial[a] * kBinomial[b] * v["image"][(row * s.w + column) * s.c + channel];
            }
          }
          v["y"][(std::size_t(i) * s.out_w() + j) * s.c + channel] = std::floor(sum);
        }
      }
    }
  };
  const double out = double(s.out_h()) * s.out_w() * s.c;
  c.cost = {.flops = 50 * out, .bytes = double(s.rows) * s.columns * s.c + out};
  c.bench = bench;
  return c;
}

// Maps whose numbers are multiples of 1/64: places, and the sums of four bytes by their parts, are exact.
OpCase chips_case(const ChipShape& s, const std::vector<std::array<double, 6>>& maps, bool bench = false) {
  OpCase c;
  c.op = "image_chips";
  c.shape = std::to_string(s.n) + " of " + size_text(s.out_h, s.out_w, s.c) + " from " + size_text(s.h, s.w, s.c);
  Fill fill{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, auto) {
              for (std::size_t i = 0; i < x.size(); ++i) x[i] = maps[i / 6][i % 6];
            }};
  c.tensors = {{.name = "maps", .shape = {s.n, 2, 3}, .fill = std::move(fill)},
               picture(s.h, s.w, s.c),
               {.name = "y", .shape = {s.n, s.out_h, s.out_w, s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.image_chips(q, s, t.f32("maps"), t.u8("image"), t.u8("y"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < s.n; ++i) {
      const double* m = &v["maps"][std::size_t(i) * 6];
      for (int p = 0; p < s.out_h; ++p) {
        for (int q = 0; q < s.out_w; ++q) {
          const double x = m[0] * q + m[1] * p + m[2], y = m[3] * q + m[4] * p + m[5];
          const bool inside = x >= 0 && y >= 0 && std::floor(x) + 1 < s.w && std::floor(y) + 1 < s.h;
          for (int channel = 0; channel < s.c; ++channel) {
            double sum = 0;
            for (int a = 0; inside && a < 2; ++a) {
              for (int b = 0; b < 2; ++b) {
                const double row = std::floor(y) + a, column = std::floor(x) + b;
                sum += (1 - std::abs(y - row)) * (1 - std::abs(x - column)) *
                       v["image"][(std::size_t(row) * s.w + std::size_t(column)) * s.c + channel];
              }
            }
            v["y"][((std::size_t(i) * s.out_h + p) * s.out_w + q) * s.c + channel] = std::floor(sum);
          }
        }
      }
    }
  };
  const double out = double(s.n) * s.out_h * s.out_w * s.c;
  c.cost = {.flops = 12 * out, .bytes = 2 * out};
  c.bench = bench;
  return c;
}

// A place's grey value: the nearest pixel's.
double grey(const std::vector<double>& image, int h, int w, int c, double x, double y) {
  const double column = std::floor(x + 0.5), row = std::floor(y + 0.5);
  if (!(column >= 0 && row >= 0 && column < w && row < h)) return 0;
  const double* pixel = &image[(std::size_t(row) * w + std::size_t(column)) * c];
  return c == 1 ? pixel[0] : std::floor((pixel[0] + pixel[1] + pixel[2]) / 3);
}

using Complex = std::complex<double>;

Complex point(const std::vector<double>& numbers, std::size_t i) { return {numbers[2 * i], numbers[2 * i + 1]}; }

// The turn and scale that takes the mean shape best to the current one.
Complex best_turn(const std::vector<Complex>& from, const std::vector<Complex>& to) {
  Complex from_mean, to_mean, product;
  double spread = 0;
  for (std::size_t i = 0; i < from.size(); ++i) {
    from_mean += from[i] / double(from.size());
    to_mean += to[i] / double(to.size());
  }
  for (std::size_t i = 0; i < from.size(); ++i) {
    product += std::conj(from[i] - from_mean) * (to[i] - to_mean);
    spread += std::norm(from[i] - from_mean);
  }
  return from.size() == 1 ? Complex(1) : product / spread;
}

OpCase landmarks_case(Cascade s, int n, int h, int w, int c, bool bench = false) {
  OpCase o;
  o.op = "landmarks";
  o.shape = "n=" + std::to_string(n) + " in " + size_text(h, w, c) + ", " + std::to_string(s.points) + " points, " +
            std::to_string(s.stages) + " stages of " + std::to_string(s.trees) + " trees";
  const int nodes = (1 << s.depth) - 1;
  const auto uniform = [](double a, double b) {
    return Fill{.kind = Fill::Kind::uniform, .a = a, .b = b, .custom = {}};
  };
  const double side = std::min(h, w);
  Fill boxes{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, auto) {
               for (std::size_t i = 0; i < x.size(); ++i) {  // the second one reaches beyond the picture
                 const double at = std::floor(0.1 * side) + double(i / 4 % 3), length = std::floor(0.7 * side);
                 x[i] = (i % 4 < 2 ? at : at + length) - (i / 4 == 1 ? std::floor(0.4 * side) : 0);
               }
             }};
  o.tensors = {
      {.name = "mean_shape", .shape = {s.points, 2}, .fill = uniform(0.2, 0.8)},
      {.name = "anchors", .shape = {s.stages, s.features}, .fill = integers(0, s.points - 1), .dtype = Dtype::i32},
      {.name = "offsets", .shape = {s.stages, s.features, 2}, .fill = uniform(-0.2, 0.2)},
      {.name = "pairs",
       .shape = {s.stages, s.trees, nodes, 2},
       .fill = integers(0, s.features - 1),
       .dtype = Dtype::i32},
      {.name = "thresholds", .shape = {s.stages, s.trees, nodes}, .fill = uniform(-60, 60)},
      {.name = "leaves", .shape = {s.stages, s.trees, nodes + 1, s.points, 2}, .fill = uniform(-0.02, 0.02)},
      {.name = "boxes", .shape = {n, 4}, .fill = std::move(boxes)},
      picture(h, w, c),
      {.name = "y", .shape = {n, s.points, 2}, .role = Role::output}};
  o.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    Cascade on_device = s;
    on_device.mean_shape = t.f32("mean_shape");
    on_device.anchors = t.i32("anchors");
    on_device.offsets = t.f32("offsets");
    on_device.pairs = t.i32("pairs");
    on_device.thresholds = t.f32("thresholds");
    on_device.leaves = t.f32("leaves");
    k.landmarks(q, on_device, n, h, w, c, t.f32("boxes"), t.u8("image"), t.f32("y"));
  };
  o.reference = [=](Values& v) {
    const auto points = std::size_t(s.points);
    std::vector<Complex> mean(points);
    for (std::size_t i = 0; i < points; ++i) mean[i] = point(v["mean_shape"], i);
    for (std::size_t face = 0; face < std::size_t(n); ++face) {
      const double* box = &v["boxes"][face * 4];
      const auto place = [&](Complex p) {
        return Complex(box[0] + p.real() * (box[2] - box[0]), box[1] + p.imag() * (box[3] - box[1]));
      };
      std::vector<Complex> shape = mean;
      for (std::size_t stage = 0; stage < std::size_t(s.stages); ++stage) {
        const Complex turn = best_turn(mean, shape);
        std::vector<double> value(std::size_t(s.features));
        for (std::size_t k = 0; k < value.size(); ++k) {
          const std::size_t feature = stage * value.size() + k;
          const Complex at = place(shape[std::size_t(v["anchors"][feature])] + turn * point(v["offsets"], feature));
          value[k] = grey(v["image"], h, w, c, at.real(), at.imag());
        }
        std::vector<Complex> moved = shape;
        for (std::size_t t = 0; t < std::size_t(s.trees); ++t) {
          const std::size_t tree = stage * std::size_t(s.trees) + t;
          std::size_t node = 0;
          while (node < std::size_t(nodes)) {
            const std::size_t split = tree * std::size_t(nodes) + node;
            const double difference =
                value[std::size_t(v["pairs"][2 * split])] - value[std::size_t(v["pairs"][2 * split + 1])];
            node = 2 * node + (difference > v["thresholds"][split] ? 1 : 2);
          }
          const std::size_t leaf = tree * std::size_t(nodes + 1) + node - std::size_t(nodes);
          for (std::size_t i = 0; i < points; ++i) moved[i] += point(v["leaves"], leaf * points + i);
        }
        shape = moved;
      }
      for (std::size_t i = 0; i < points; ++i) {
        const Complex at = place(shape[i]);
        v["y"][2 * (face * points + i)] = at.real();
        v["y"][2 * (face * points + i) + 1] = at.imag();
      }
    }
  };
  const double visits = double(n) * s.stages * s.trees;
  o.cost = {.flops = visits * (2 * s.depth + 2 * s.points), .bytes = visits * (12 * s.depth + 8 * s.points)};
  o.bench = bench;
  return o;
}

Cascade cascade(int points, int stages, int trees, int depth, int features) {
  Cascade shape{};
  shape.points = points;
  shape.stages = stages;
  shape.trees = trees;
  shape.depth = depth;
  shape.features = features;
  return shape;
}

}  // namespace

std::vector<OpCase> face_cases(Depth depth) {
  std::vector<OpCase> cases{halve_case({5, 5, 1, 0, 0, 5, 5}), halve_case({31, 33, 3, 0, 0, 31, 33}),
                            halve_case({37, 41, 3, 3, 2, 31, 34}), halve_case({8, 700, 4, 1, 5, 7, 690}),
                            halve_case({6, 7, 2, 0, 1, 6, 6})};
  cases.push_back(chips_case({1, 31, 33, 37, 41, 3}, {{1, 0, 0, 0, 1, 0}}));  // as it is
  cases.push_back(
      chips_case({2, 13, 17, 37, 41, 3}, {{0, -2.25, 35, 1.5, 0, -3}, {1.25, 0.5, -4.25, -0.5, 1.25, 9.75}}));
  cases.push_back(chips_case({1, 7, 5, 31, 33, 1}, {{-1, 0, 20.5, 0, 3.0625, 1}}));
  cases.push_back(chips_case({1, 5, 5, 1, 1, 3}, {{1, 0, 0, 0, 1, 0}}));  // no pixel has neighbours
  cases.push_back(landmarks_case(cascade(5, 3, 31, 4, 67), 3, 61, 67, 3));
  cases.push_back(landmarks_case(cascade(1, 2, 7, 1, 5), 2, 31, 33, 1));
  cases.push_back(landmarks_case(cascade(67, 2, 129, 2, 131), 1, 97, 101, 3));
  if (depth == Depth::full) {
    cases.push_back(halve_case({1137, 910, 3, 0, 0, 1137, 910}, true));
    cases.push_back(chips_case({1, 150, 150, 1137, 910, 3}, {{1.5, 0.25, 300, -0.25, 1.5, 200}}, true));
    cases.push_back(landmarks_case(cascade(5, 15, 500, 4, 500), 4, 480, 640, 3, true));
  }
  return cases;
}

}  // namespace gemel::reference
