// SPDX-License-Identifier: MIT
//
// Contrastive losses over pairs: the definition, the same loss as Caffe writes it, and the cases of `contrastive` and
// `contrastive_all`.
#include <cmath>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {
namespace {

struct Pairs {
  int n, d;
  Contrastive variant;
  float margin;
};

struct Term {
  double loss;
  double slope;  // dl/da = slope (a - b), dl/db = -slope (a - b)
};

// One pair at distance `distance` (Hadsell, Chopra, LeCun 2006, eq. 4; Caffe, legacy_version: true).
Term pair_term(Contrastive variant, double margin, bool similar, double distance) {
  const double d2 = distance * distance;
  if (similar) return {d2 / 2, 1};
  if (variant == Contrastive::caffe_legacy) {
    if (d2 >= margin) return {0, 0};
    return {(margin - d2) / 2, -1};
  }
  if (distance >= margin) return {0, 0};
  const double hinge = margin - distance;
  return {hinge * hinge / 2, distance == 0 ? 0 : -hinge / distance};
}

double pair_distance(const Pairs& s, const std::vector<double>& e, int i) {
  double sum = 0;
  for (int k = 0; k < s.d; ++k) {
    const double difference = e[i * s.d + k] - e[(i + s.n) * s.d + k];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

double mean_loss(const Pairs& s, const std::vector<double>& e, const std::vector<double>& labels) {
  double sum = 0;
  for (int i = 0; i < s.n; ++i) {
    sum += pair_term(s.variant, s.margin, labels[i] == labels[i + s.n], pair_distance(s, e, i)).loss;
  }
  return sum / s.n;
}

void contrastive(const Pairs& s, Values& v) {
  const std::vector<double>& e = v["e"];
  for (int i = 0; i < s.n; ++i) {
    const double distance = pair_distance(s, e, i);
    const Term term = pair_term(s.variant, s.margin, v["labels"][i] == v["labels"][i + s.n], distance);
    v["distance"][i] = distance;
    v["loss"][i] = term.loss;
    v["active"][i] = term.loss != 0;
    for (int k = 0; k < s.d; ++k) {
      const double gradient = term.slope * (e[i * s.d + k] - e[(i + s.n) * s.d + k]) / s.n;
      v["de"][i * s.d + k] = gradient;
      v["de"][(i + s.n) * s.d + k] = -gradient;
    }
  }
}

// Caffe's contrastive_loss_layer.cpp, step by step: E = 1/(2N) sum of y d^2 + (1-y) max(...), its gradients
// alpha = +-1/N times the difference, with 1e-4 added to the distance it divides by.
void as_caffe_writes_it(const Pairs& s, Values& v) {
  const bool legacy = s.variant == Contrastive::caffe_legacy;
  for (int i = 0; i < s.n; ++i) {
    const double distance = pair_distance(s, v["e"], i), dist_sq = distance * distance;
    const bool similar = v["labels"][i] == v["labels"][i + s.n];
    const double hinge = legacy ? std::fmax(s.margin - dist_sq, 0.0) : std::fmax(s.margin - distance, 0.0);
    v["distance"][i] = distance;
    v["loss"][i] = (similar ? dist_sq : legacy ? hinge : hinge * hinge) / 2;  // E is the mean of these
    v["active"][i] = v["loss"][i] != 0;
    for (int k = 0; k < s.d; ++k) {
      const double diff = v["e"][i * s.d + k] - v["e"][(i + s.n) * s.d + k];
      for (const int bottom : {0, 1}) {
        const double alpha = (bottom == 0 ? 1.0 : -1.0) / s.n;
        double beta = 0;
        if (similar) {
          beta = alpha;
        } else if (hinge > 0) {
          beta = legacy ? -alpha : -alpha * hinge / (distance + 1e-4);
        }
        v["de"][(i + bottom * s.n) * s.d + k] = beta * diff;
      }
    }
  }
}

// The pairs' labels: `similar(i)` tells whether rows i and i + n share one.
template <class Similar>
Fill labelled(int n, Similar similar) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& labels, auto) {
            for (int i = 0; i < n; ++i) {
              labels[i] = i % 5;
              labels[i + n] = similar(i) ? i % 5 : i % 5 + 1;
            }
          }};
}

OpCase contrastive_case(const Pairs& s, Fill e, Fill labels, const char* what = "") {
  OpCase c;
  c.op = "contrastive";
  c.shape = std::string(s.variant == Contrastive::hadsell ? "hadsell" : "caffe_legacy") + " n=" + std::to_string(s.n) +
            " d=" + std::to_string(s.d) + what;
  c.tensors = {{.name = "e", .shape = {2 * s.n, s.d}, .fill = std::move(e)},
               {.name = "labels", .shape = {2 * s.n}, .fill = std::move(labels), .dtype = Dtype::i32},
               {.name = "distance", .shape = {s.n}, .role = Role::output},
               {.name = "loss", .shape = {s.n}, .role = Role::output},
               {.name = "active", .shape = {s.n}, .role = Role::output},
               {.name = "de", .shape = {2 * s.n, s.d}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.contrastive(q, s.n, s.d, s.variant, s.margin, t.f32("e"), t.i32("labels"), t.f32("distance"), t.f32("loss"),
                  t.f32("active"), t.f32("de"));
  };
  c.reference = [=](Values& v) { contrastive(s, v); };
  c.objective = [=](const Values& v) { return mean_loss(s, v.at("e"), v.at("labels")); };
  c.gradients = {{"e", "de"}};
  c.cost = {.flops = 6.0 * s.n * s.d, .bytes = 16.0 * s.n * s.d};
  return c;
}

// Pairs whose distances are told: pair i of rows a and a + (distances[i], 0, ..., 0).
Fill pairs_at(int n, int d, std::vector<double> distances) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& e, auto) {
            for (int i = 0; i < n; ++i) {
              for (int k = 0; k < d; ++k) {
                e[i * d + k] = 0.25 * (i - 2 * k);
                e[(i + n) * d + k] = e[i * d + k] + (k == 0 ? distances[i % distances.size()] : 0);
              }
            }
          }};
}

// ---- all pairs of n rows
struct Batch {
  int n, d;
  Contrastive variant;
  float margin;
};

double row_distance(const Batch& s, const std::vector<double>& e, int i, int j) {
  double sum = 0;
  for (int k = 0; k < s.d; ++k) {
    const double difference = e[i * s.d + k] - e[j * s.d + k];
    sum += difference * difference;
  }
  return std::sqrt(sum);
}

// The mean of the rows' losses, each of them the mean over the other rows.
double mean_loss_of_all(const Batch& s, const std::vector<double>& e, const std::vector<double>& labels) {
  double sum = 0;
  for (int i = 0; i < s.n; ++i) {
    for (int j = 0; j < s.n; ++j) {
      if (i != j) sum += pair_term(s.variant, s.margin, labels[i] == labels[j], row_distance(s, e, i, j)).loss;
    }
  }
  return sum / (double(s.n) * (s.n - 1));
}

void contrastive_all(const Batch& s, Values& v) {
  const std::vector<double>&e = v["e"], &labels = v["labels"];
  std::vector<double>&loss = v["loss"], &active = v["active"], &de = v["de"];
  loss.assign(s.n, 0);
  active.assign(s.n, 0);
  de.assign(std::size_t(s.n) * s.d, 0);
  for (int i = 0; i < s.n; ++i) {
    for (int j = 0; j < s.n; ++j) {
      if (i == j) continue;
      const Term term = pair_term(s.variant, s.margin, labels[i] == labels[j], row_distance(s, e, i, j));
      loss[i] += term.loss / (s.n - 1);
      active[i] += double(term.loss != 0) / (s.n - 1);
      // l_ij is in the mean as row i's and as row j's.
      const double factor = 2 * term.slope / (double(s.n) * (s.n - 1));
      for (int k = 0; k < s.d; ++k) de[i * s.d + k] += factor * (e[i * s.d + k] - e[j * s.d + k]);
    }
  }
}

OpCase contrastive_all_case(const Batch& s, Fill e, int identities, const char* what = "") {
  OpCase c;
  c.op = "contrastive_all";
  c.shape = std::string(s.variant == Contrastive::hadsell ? "hadsell" : "caffe_legacy") + " n=" + std::to_string(s.n) +
            " d=" + std::to_string(s.d) + what;
  const auto labels = [=](std::vector<double>& l, auto) {
    for (int i = 0; i < s.n; ++i) l[i] = i % identities;
  };
  c.tensors = {{.name = "e", .shape = {s.n, s.d}, .fill = std::move(e)},
               {.name = "labels",
                .shape = {s.n},
                .fill = {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = labels},
                .dtype = Dtype::i32},
               {.name = "loss", .shape = {s.n}, .role = Role::output},
               {.name = "active", .shape = {s.n}, .role = Role::output},
               {.name = "de", .shape = {s.n, s.d}, .role = Role::output}};
  c.scratch = [=](const Kernels& k) { return k.contrastive_all_scratch(s.n, s.d); };
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.contrastive_all(q, s.n, s.d, s.variant, s.margin, t.f32("e"), t.i32("labels"), t.f32("loss"), t.f32("active"),
                      t.f32("de"));
  };
  c.reference = [=](Values& v) { contrastive_all(s, v); };
  // Two products over all pairs; as symmetry allows, one of them over half of the pairs.
  c.cost = {.flops = 4.0 * s.n * s.n * s.d, .bytes = 8.0 * s.n * s.d};
  return c;
}

OpCase with_objective(OpCase c, const Batch& s) {
  c.objective = [=](const Values& v) { return mean_loss_of_all(s, v.at("e"), v.at("labels")); };
  c.gradients = {{"e", "de"}};
  return c;
}

// Rows 0, 0, 1, 1, 2, 2, ... on a line, `step` apart: every distance is a multiple of it.
Fill on_a_line(int n, int d, double offset, double step) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& e, auto) {
            for (int i = 0; i < n; ++i) {
              for (int k = 0; k < d; ++k) e[i * d + k] = offset + (k == 0 ? step * (i / 2) : 0);
            }
          }};
}

std::vector<OpCase> all_pairs_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const Contrastive variant : {Contrastive::hadsell, Contrastive::caffe_legacy}) {
    // Distances spread around 1, the margin.
    const auto spread = [](int d) {
      return Fill{.kind = Fill::Kind::normal, .a = 0, .b = 1 / std::sqrt(2.0 * d), .custom = {}};
    };
    const auto batch = [&](int n, int d) { return Batch{n, d, variant, 1.0f}; };
    cases.push_back(contrastive_all_case(batch(1, 5), spread(5), 1));
    for (const auto& [n, d] : {std::pair{2, 1}, {31, 3}, {33, 33}}) {
      cases.push_back(with_objective(contrastive_all_case(batch(n, d), spread(d), 4), batch(n, d)));
    }
    for (const auto& [n, d] : {std::pair{97, 128}, {64, 131}, {130, 131}}) {
      cases.push_back(contrastive_all_case(batch(n, d), spread(d), 7));
    }
    cases.push_back(contrastive_all_case(batch(33, 128), spread(128), 1, " all the same"));
    cases.push_back(contrastive_all_case(batch(33, 128), spread(128), 33, " all different"));
    cases.push_back(contrastive_all_case(batch(130, 128), spread(128), 7, " far from 0"));
    cases.back().tensors[0].fill.a = 100;
    // What is between rows of 100 and more has seven bits less.
    cases.back().relative = 2e-4;
    // Each row twice, of two identities: distances of 0, on both sides of either margin, and far beyond.
    const Batch line{20, 5, variant, 2.0f};
    cases.push_back(with_objective(contrastive_all_case(line, on_a_line(20, 5, 1, 0.375), 3, " equal rows"), line));
    cases.push_back(contrastive_all_case(line, on_a_line(20, 5, 1000, 0.375), 3, " equal rows, far from 0"));
    cases.push_back(
        contrastive_all_case(line, {.kind = Fill::Kind::constant, .a = 0.3, .custom = {}}, 3, " one point"));
    cases.push_back(contrastive_all_case(line, on_a_line(20, 5, 1, 0.375), 3, " with NaN"));
    cases.back().tensors[0].fill.custom = [](std::vector<double>& e, auto) {
      for (std::size_t i = 0; i < e.size(); ++i) e[i] = 0.25 * static_cast<double>(i % 7);
      e[11] = std::nan("");
    };
    if (depth == Depth::full) {
      const Fill e{.kind = Fill::Kind::normal, .a = 0, .b = 1.0 / 16, .custom = {}};
      cases.push_back(contrastive_all_case(batch(1024, 128), e, 256, " bench"));
      cases.back().bench = true;
    }
  }
  return cases;
}

OpCase without_objective(OpCase c) {
  c.objective = nullptr;
  c.gradients.clear();
  return c;
}

}  // namespace

std::vector<OpCase> contrastive_cases(Depth depth) {
  const auto every_third = [](int i) { return i % 3 == 0; };
  const auto none = [](int) { return false; };
  const auto all = [](int) { return true; };
  std::vector<OpCase> cases;
  for (const Contrastive variant : {Contrastive::hadsell, Contrastive::caffe_legacy}) {
    for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {33, 127}, {7, 128}, {31, 130}}) {
      // Distances spread around 1, the margin.
      const Fill e{.kind = Fill::Kind::normal, .a = 0, .b = 1 / std::sqrt(2.0 * d), .custom = {}};
      const Pairs s{n, d, variant, 1.0f};
      cases.push_back(contrastive_case(s, e, labelled(n, every_third)));
      cases.push_back(without_objective(contrastive_case(s, e, labelled(n, all), " all the same")));
      OpCase caffe = without_objective(contrastive_case(s, e, labelled(n, every_third), " against Caffe's text"));
      caffe.reference = [=](Values& v) { as_caffe_writes_it(s, v); };
      if (variant == Contrastive::hadsell) caffe.relative = 2e-3;  // its 1e-4 beside distances of 0.1 and more
      cases.push_back(caffe);
    }
    // Dissimilar pairs at 0 (identical rows), inside, nearly at and outside of either margin; then similar ones.
    const std::vector<double> distances{0, 0.5, 1.25, 1.375, 1.5, 1.9375, 2.0625, 3};
    const Pairs s{8, 3, variant, 2.0f};
    cases.push_back(contrastive_case(s, pairs_at(8, 3, distances), labelled(8, none), " every branch, dissimilar"));
    cases.push_back(contrastive_case(s, pairs_at(8, 3, distances), labelled(8, all), " every branch, similar"));
    cases.push_back(without_objective(
        contrastive_case({4, 3, variant, 2.0f}, pairs_at(4, 3, {std::nan(""), 0.5}), labelled(4, none), " with NaN")));
    if (depth == Depth::full) {
      for (const int n : {128, 1024, 65536}) {
        const Fill e{.kind = Fill::Kind::normal, .a = 0, .b = 1.0 / 16, .custom = {}};
        cases.push_back(
            without_objective(contrastive_case({n, 128, variant, 1.0f}, e, labelled(n, every_third), " bench")));
        cases.back().bench = true;
      }
    }
  }
  for (OpCase& c : all_pairs_cases(depth)) cases.push_back(std::move(c));
  return cases;
}

}  // namespace gemel::reference
