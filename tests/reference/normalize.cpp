// SPDX-License-Identifier: MIT
//
// L2 normalisation of rows: the definition, and cases of l2_normalize_forward and l2_normalize_backward.
#include <cmath>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

struct Rows {
  int n, d;
  double epsilon;
};

// y = x / max(||x||, epsilon). What backward must know of a row: 1/||x||; -1/epsilon where the norm is below epsilon
// and y is therefore linear in x; 0 for a zero row, whose gradient is defined as 0.
void forward(const Rows& s, const std::vector<double>& x, std::vector<double>& y, std::vector<double>& inverse_norm) {
  for (int i = 0; i < s.n; ++i) {
    double squares = 0;
    for (int j = 0; j < s.d; ++j) squares += x[i * s.d + j] * x[i * s.d + j];
    const double norm = std::sqrt(squares);
    const double length = norm < s.epsilon ? s.epsilon : norm;  // NaN stays NaN
    for (int j = 0; j < s.d; ++j) y[i * s.d + j] = x[i * s.d + j] / length;
    inverse_norm[i] = norm == 0 ? 0 : norm < s.epsilon ? -1 / s.epsilon : 1 / norm;
  }
}

void backward(const Rows& s, const std::vector<double>& y, const std::vector<double>& inverse_norm,
              const std::vector<double>& dy, std::vector<double>& dx) {
  for (int i = 0; i < s.n; ++i) {
    double along = 0;
    for (int j = 0; j < s.d; ++j) along += y[i * s.d + j] * dy[i * s.d + j];
    if (inverse_norm[i] < 0) along = 0;
    for (int j = 0; j < s.d; ++j) {
      dx[i * s.d + j] = std::abs(inverse_norm[i]) * (dy[i * s.d + j] - y[i * s.d + j] * along);
    }
  }
}

std::string described(const Rows& s, const char* what) {
  return std::to_string(s.n) + "x" + std::to_string(s.d) + what;
}

OpCase forward_case(const Rows& s, Fill fill, const char* what = "") {
  OpCase c;
  c.op = "l2_normalize_forward";
  c.shape = described(s, what);
  c.tensors = {{.name = "x", .shape = {s.n, s.d}, .fill = std::move(fill)},
               {.name = "y", .shape = {s.n, s.d}, .role = Role::output},
               {.name = "inverse_norm", .shape = {s.n}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.l2_normalize_forward(q, s.n, s.d, static_cast<float>(s.epsilon), t.f32("x"), t.f32("y"), t.f32("inverse_norm"));
  };
  c.reference = [=](Values& v) { forward(s, v["x"], v["y"], v["inverse_norm"]); };
  const double elements = double(s.n) * s.d;
  c.cost = {.flops = 3 * elements, .bytes = 8 * elements};
  return c;
}

// As a layer uses it: forward, then backward from what forward left. The objective is sum(y dy).
OpCase both_case(const Rows& s, Fill fill, const char* what, bool differentiable) {
  OpCase c = forward_case(s, std::move(fill));
  c.op = "l2_normalize_backward";
  c.shape = described(s, what);
  c.tensors.push_back({.name = "dy", .shape = {s.n, s.d}});
  c.tensors.push_back({.name = "dx", .shape = {s.n, s.d}, .role = Role::output});
  c.run = [s, forward = c.run](const Kernels& k, Queue q, DeviceTensors& t) {
    forward(k, q, t);
    k.l2_normalize_backward(q, s.n, s.d, t.f32("y"), t.f32("inverse_norm"), t.f32("dy"), t.f32("dx"));
  };
  c.reference = [=](Values& v) {
    forward(s, v["x"], v["y"], v["inverse_norm"]);
    backward(s, v["y"], v["inverse_norm"], v["dy"], v["dx"]);
  };
  if (differentiable) {
    c.objective = [=](const Values& v) {
      std::vector<double> y(std::size_t(s.n) * s.d), inverse_norm(s.n);
      forward(s, v.at("x"), y, inverse_norm);
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * v.at("dy")[i];
      return sum;
    };
    c.gradients = {{"x", "dx"}};
  }
  return c;
}

OpCase backward_case(const Rows& s) {
  OpCase c;
  c.op = "l2_normalize_backward";
  c.shape = described(s, "");
  c.tensors = {{.name = "y", .shape = {s.n, s.d}, .fill = {.kind = Fill::Kind::normal, .a = 0, .b = 0.1}},
               {.name = "inverse_norm", .shape = {s.n}, .fill = {.kind = Fill::Kind::uniform, .a = 0.1, .b = 2}},
               {.name = "dy", .shape = {s.n, s.d}},
               {.name = "dx", .shape = {s.n, s.d}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.l2_normalize_backward(q, s.n, s.d, t.f32("y"), t.f32("inverse_norm"), t.f32("dy"), t.f32("dx"));
  };
  c.reference = [=](Values& v) { backward(s, v["y"], v["inverse_norm"], v["dy"], v["dx"]); };
  const double elements = double(s.n) * s.d;
  c.cost = {.flops = 5 * elements, .bytes = 12 * elements};
  return c;
}

// Components of either sign, at least 0.3 away from 0: no row is near a zero vector, also with one column.
Fill long_rows() {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, std::uint64_t seed) {
            for (std::size_t i = 0; i < x.size(); ++i) {
              const double size = 0.3 + 0.07 * static_cast<double>((i * 31 + seed) % 23);
              x[i] = i % 3 == 0 ? -size : size;
            }
          }};
}

// Every third row, beginning with the first, filled with `value`; the others as long_rows.
Fill with_rows_of(double value, int d) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, std::uint64_t seed) {
            long_rows().custom(x, seed);
            for (std::size_t i = 0; i < x.size(); ++i) {
              if (i / d % 3 == 0) x[i] = value;
            }
          }};
}

}  // namespace

std::vector<OpCase> normalize_cases(Depth depth) {
  constexpr double kEpsilon = 1e-12;
  std::vector<OpCase> cases;
  for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {31, 127}, {3, 128}, {33, 130}}) {
    cases.push_back(forward_case({n, d, kEpsilon}, long_rows()));
    cases.push_back(both_case({n, d, kEpsilon}, long_rows(), " after forward", true));
  }
  cases.push_back(both_case({7, 5, kEpsilon}, with_rows_of(0, 5), " with zero rows", false));
  cases.push_back(both_case({7, 5, kEpsilon}, with_rows_of(std::nan(""), 5), " with NaN rows", false));
  // sqrt(33) 0.01 lies below 0.5, the other rows above.
  cases.push_back(both_case({7, 33, 0.5}, with_rows_of(0.01, 33), " with rows below epsilon", true));
  cases.push_back(backward_case({31, 33, kEpsilon}));
  if (depth == Depth::full) {
    cases.push_back(forward_case({65536, 128, kEpsilon}, long_rows()));
    cases.back().bench = true;
    cases.push_back(backward_case({65536, 128, kEpsilon}));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
