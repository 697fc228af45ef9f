// SPDX-License-Identifier: MIT
//
// Weighted distances and the logistic loss on them: the formulas as plain loops, and the cases of `weighted_distance`,
// `weighted_pairwise` and `weighted_cross_entropy`.
#include <cmath>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {
namespace {

const char* name_of(Weighted kind) { return kind == Weighted::l1 ? "l1" : "chi2"; }

double term(Weighted kind, double a, double b) {
  if (kind == Weighted::l1) return std::abs(a - b);
  if (a == 0 && b == 0) return 0;
  return (a - b) * (a - b) / (std::abs(a) + std::abs(b));
}

double sign(double x) { return x > 0 ? 1 : x < 0 ? -1 : x; }

// d term / da; that with respect to b is slope(b, a).
double slope(Weighted kind, double a, double b) {
  if (kind == Weighted::l1) return sign(a - b);
  if (a == 0 && b == 0) return 0;
  const double size = std::abs(a) + std::abs(b);
  return 2 * (a - b) / size - (a - b) * (a - b) * sign(a) / (size * size);
}

double distance(Weighted kind, int d, const std::vector<double>& w, const double* a, const double* b) {
  double sum = 0;
  for (int k = 0; k < d; ++k) sum += w[k] * term(kind, a[k], b[k]);
  return sum;
}

// ---- distances
OpCase paired_case(int n, int d, Weighted kind, Fill rows = {}) {
  OpCase c;
  c.op = "weighted_distance";
  c.shape = std::string(name_of(kind)) + " n=" + std::to_string(n) + " d=" + std::to_string(d);
  c.tensors = {{.name = "w", .shape = {d}},
               {.name = "a", .shape = {n, d}, .fill = rows},
               {.name = "b", .shape = {n, d}, .fill = rows},
               {.name = "distance", .shape = {n}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.weighted_distance(q, n, d, kind, t.f32("w"), t.f32("a"), t.f32("b"), t.f32("distance"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < n; ++i) v["distance"][i] = distance(kind, d, v["w"], &v["a"][i * d], &v["b"][i * d]);
  };
  c.cost = {.flops = 3.0 * n * d, .bytes = 8.0 * n * d};
  return c;
}

OpCase pairwise_case(int n, int m, int d, Weighted kind, Fill rows = {}) {
  OpCase c;
  c.op = "weighted_pairwise";
  c.shape =
      std::string(name_of(kind)) + " n=" + std::to_string(n) + " m=" + std::to_string(m) + " d=" + std::to_string(d);
  c.tensors = {{.name = "w", .shape = {d}},
               {.name = "a", .shape = {n, d}, .fill = rows},
               {.name = "b", .shape = {m, d}, .fill = rows},
               {.name = "distance", .shape = {n, m}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.weighted_pairwise(q, n, m, d, kind, t.f32("w"), t.f32("a"), t.f32("b"), t.f32("distance"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < m; ++j) {
        v["distance"][std::size_t(i) * m + j] = distance(kind, d, v["w"], &v["a"][i * d], &v["b"][j * d]);
      }
    }
  };
  c.cost = {.flops = 3.0 * n * m * d, .bytes = 4.0 * (double(n) * d + double(m) * d + double(n) * m)};
  return c;
}

// Both operands alike, element by element (equal fills by element number): every distance of equal rows is exactly 0.
Fill alike(int d, int rows) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, auto) {
            for (std::size_t i = 0; i < x.size(); ++i) {
              const int row = static_cast<int>(i) / d % rows, k = static_cast<int>(i) % d;
              x[i] = 0.3 * ((row * 37 + k * 11) % 29 - 14);
            }
          }};
}

// Multiples of 1/4 in [-1, 1]: many equal, many 0 on one side and on both. With `nan`, one of them is none.
Fill quarters(bool nan = false) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, std::uint64_t seed) {
            for (std::size_t i = 0; i < x.size(); ++i) {
              x[i] = static_cast<double>((i * i + i * 5 + seed % 7) % 9) / 4 - 1;
            }
            if (nan) x[1] = std::nan("");
          }};
}

// ---- the loss
struct Pairs {
  int n, d;
  Weighted kind;
};

bool same(const Pairs& s, const Values& v, int i) { return v.at("labels")[i] == v.at("labels")[i + s.n]; }

double z_of(const Pairs& s, const Values& v, int i) {
  const std::vector<double>& e = v.at("e");
  return distance(s.kind, s.d, v.at("w"), &e[std::size_t(i) * s.d], &e[std::size_t(i + s.n) * s.d]) - v.at("t")[0];
}

double mean_loss(const Pairs& s, const Values& v) {
  double sum = 0;
  for (int i = 0; i < s.n; ++i) sum += softplus(same(s, v, i) ? z_of(s, v, i) : -z_of(s, v, i));
  return sum / s.n;
}

void weighted_cross_entropy(const Pairs& s, Values& v) {
  const std::vector<double>&e = v["e"], &w = v["w"];
  for (int i = 0; i < s.n; ++i) {
    const double z = z_of(s, v, i);
    v["distance"][i] = z + v["t"][0];
    v["loss"][i] = softplus(same(s, v, i) ? z : -z);
    v["active"][i] = same(s, v, i) ? !(z <= 0) : !(z > 0);
    const double c = (same(s, v, i) ? logistic(z) : -logistic(-z)) / s.n;
    for (int k = 0; k < s.d; ++k) {
      const std::size_t a = std::size_t(i) * s.d + k, b = a + std::size_t(s.n) * s.d;
      v["de"][a] = c * w[k] * slope(s.kind, e[a], e[b]);
      v["de"][b] = c * w[k] * slope(s.kind, e[b], e[a]);
      v["dw"][k] += c * term(s.kind, e[a], e[b]);
    }
    v["dt"][0] -= c;
  }
}

OpCase loss_case(const Pairs& s, Fill e, Fill w, double threshold, const std::string& what = "") {
  OpCase c;
  c.op = "weighted_cross_entropy";
  c.shape = std::string(name_of(s.kind)) + " n=" + std::to_string(s.n) + " d=" + std::to_string(s.d) + what;
  const auto every_third_differs = [n = s.n](std::vector<double>& labels, auto) {
    for (int i = 0; i < n; ++i) {
      labels[i] = i % 5;
      labels[i + n] = i % 3 == 0 ? i % 5 : i % 5 + 1;
    }
  };
  c.tensors = {
      {.name = "w", .shape = {s.d}, .fill = std::move(w)},
      {.name = "t", .shape = {1}, .fill = {.kind = Fill::Kind::constant, .a = threshold, .b = 0, .custom = {}}},
      {.name = "e", .shape = {2 * s.n, s.d}, .fill = std::move(e)},
      {.name = "labels",
       .shape = {2 * s.n},
       .fill = {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = every_third_differs},
       .dtype = Dtype::i32},
      {.name = "distance", .shape = {s.n}, .role = Role::output},
      {.name = "loss", .shape = {s.n}, .role = Role::output},
      {.name = "active", .shape = {s.n}, .role = Role::output},
      {.name = "de", .shape = {2 * s.n, s.d}, .role = Role::output},
      {.name = "dw", .shape = {s.d}, .role = Role::inout},
      {.name = "dt", .shape = {1}, .role = Role::inout}};
  c.scratch = [=](const Kernels& k) { return k.weighted_cross_entropy_scratch(s.n, s.d); };
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.weighted_cross_entropy(q, s.n, s.d, s.kind, t.f32("w"), t.f32("t"), t.f32("e"), t.i32("labels"),
                             t.f32("distance"), t.f32("loss"), t.f32("active"), t.f32("de"), t.f32("dw"), t.f32("dt"));
  };
  c.reference = [=](Values& v) { weighted_cross_entropy(s, v); };
  c.cost = {.flops = 12.0 * s.n * s.d, .bytes = 24.0 * s.n * s.d};
  return c;
}

OpCase with_objective(OpCase c, const Pairs& s) {
  c.objective = [=](const Values& v) { return mean_loss(s, v); };
  c.gradients = {{"e", "de"}, {"w", "dw"}, {"t", "dt"}};
  return c;
}

// No two numbers of a pair nearer than 0.02 to each other or to 0, of both signs: away from every kink.
Fill away_from_kinks() {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& e, auto) {
            for (std::size_t i = 0; i < e.size(); ++i) {
              e[i] = static_cast<double>((i * 31 + 7) % 47) / 16 - 1.5 + 0.03 * (i < e.size() / 2 ? 1 : -1);
            }
          }};
}

void add_loss_cases(Weighted kind, Depth depth, std::vector<OpCase>& cases) {
  const Fill weights{};  // of either sign
  const Fill positive{.kind = Fill::Kind::uniform, .a = 0.1, .b = 0.5, .custom = {}};
  for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {7, 31}, {31, 33}}) {
    const Pairs s{n, d, kind};
    cases.push_back(with_objective(loss_case(s, away_from_kinks(), weights, 0.25), s));
  }
  for (const auto& [n, d] : {std::pair{33, 127}, {67, 128}, {3, 513}}) {
    cases.push_back(loss_case({n, d, kind}, {}, positive, 0.25 * d));
  }
  // Equal numbers, zeros on one side and on both: the sub-gradients.
  cases.push_back(loss_case({9, 33, kind}, quarters(), positive, 4, " kinks"));
  cases.push_back(loss_case({6, 5, kind}, {.kind = Fill::Kind::constant, .a = 0.5, .b = 0, .custom = {}}, positive, 0,
                            " identical, at the threshold"));
  cases.push_back(
      loss_case({6, 5, kind}, {.kind = Fill::Kind::constant, .a = 0, .b = 0, .custom = {}}, positive, 1, " all 0"));
  // z of hundreds, either way: the exponentials overflow in f32.
  cases.push_back(loss_case({7, 33, kind}, {.kind = Fill::Kind::normal, .a = 0, .b = 100, .custom = {}}, positive, 500,
                            " saturated"));
  cases.push_back(loss_case({7, 33, kind}, {}, positive, 300, " saturated, far below"));
  cases.push_back(loss_case({4, 3, kind}, quarters(true), positive, 1, " with NaN"));
  if (depth == Depth::full) {
    for (const int d : {128, 4096}) {
      cases.push_back(loss_case({128, d, kind}, {}, positive, 0.25 * d, " bench"));
      cases.back().bench = true;
    }
  }
}

}  // namespace

std::vector<OpCase> weighted_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const Weighted kind : {Weighted::l1, Weighted::chi2}) {
    for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {33, 127}, {3, 128}, {31, 130}}) {
      cases.push_back(paired_case(n, d, kind));
    }
    cases.push_back(paired_case(7, 33, kind, quarters()));
    cases.back().shape += " kinks";
    cases.push_back(paired_case(7, 33, kind, alike(33, 7)));
    cases.back().shape += " equal rows";
    cases.back().relative = cases.back().absolute = 0;
    cases.push_back(paired_case(5, 33, kind, quarters(true)));
    cases.back().shape += " with NaN";

    struct Shape {
      int n, m, d;
    };
    for (const Shape& s :
         {Shape{1, 1, 1}, {1, 65, 2}, {31, 33, 127}, {64, 64, 128}, {67, 130, 130}, {3, 2, 31}, {5, 7, 600}}) {
      cases.push_back(pairwise_case(s.n, s.m, s.d, kind));
    }
    cases.push_back(pairwise_case(9, 13, 33, kind, quarters()));
    cases.back().shape += " kinks";
    cases.push_back(pairwise_case(67, 67, 33, kind, alike(33, 1)));
    cases.back().shape += " equal rows";
    cases.back().relative = cases.back().absolute = 0;
    cases.push_back(pairwise_case(5, 33, 9, kind, quarters(true)));
    cases.back().shape += " with NaN";
    if (depth == Depth::full) {
      for (const auto& [n, m] : {std::pair{1, 16384}, {512, 512}}) {
        cases.push_back(pairwise_case(n, m, 128, kind));
        cases.back().bench = true;
      }
      cases.push_back(paired_case(4096, 128, kind));
      cases.back().bench = true;
    }
    add_loss_cases(kind, depth, cases);
  }
  return cases;
}

}  // namespace gemel::reference
