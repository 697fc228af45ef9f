// SPDX-License-Identifier: MIT
//
// Losses over all pairs from similarities: the formulas as plain loops over pairs, the gradient of dot products, and the
// cases of `similarity_loss` and `similarity_backward`.
#include <algorithm>
#include <cmath>
#include <limits>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {
namespace {

constexpr double kInfinity = std::numeric_limits<double>::infinity();

// The other rows of anchor i's label, and those of other labels.
struct Sides {
  std::vector<int> positives, negatives;
};
Sides sides_of(int n, int i, const std::vector<double>& labels) {
  Sides sides;
  for (int j = 0; j < n; ++j) {
    if (labels[j] != labels[i]) {
      sides.negatives.push_back(j);
    } else if (j != i) {
      sides.positives.push_back(j);
    }
  }
  return sides;
}

struct RowLoss {
  double loss = 0, count = 0, active = 0;
};

// One row of similarities s -> its loss, and its row of g, which is 0 before.
// Sohn 2016, eq. 6: every (i, p) against all negatives of i.
RowLoss nt_xent(const Sides& sides, double t, const double* s, double* g) {
  RowLoss row;
  for (const int p : sides.positives) {
    double others = 0;
    bool beaten = false;
    for (const int k : sides.negatives) {
      others += std::exp((s[k] - s[p]) / t);
      beaten = beaten || !(std::isnan(s[k]) || s[k] < s[p]);
    }
    row.loss += std::log1p(others);
    row.count += 1;
    row.active += beaten;
    g[p] -= others / (1 + others) / t;
    for (const int k : sides.negatives) g[k] += std::exp((s[k] - s[p]) / t) / (1 + others) / t;
  }
  return row;
}

// Khosla et al. 2020, eq. 2.
RowLoss supcon(const Sides& sides, double t, const double* s, double* g) {
  if (sides.positives.empty()) return {};
  double most_positive = -kInfinity, most_negative = -kInfinity, sum = 0;
  for (const int p : sides.positives) most_positive = std::max(most_positive, s[p]);
  for (const int k : sides.negatives) most_negative = std::max(most_negative, s[k]);
  const double most = std::max(most_positive, most_negative);
  for (const auto* side : {&sides.positives, &sides.negatives}) {
    for (const int j : *side) sum += std::exp((s[j] - most) / t);
  }
  RowLoss row{0, 1, double(most_negative >= most_positive)};
  const double positives = static_cast<double>(sides.positives.size());
  for (const int p : sides.positives) {
    row.loss += (std::log(sum) - (s[p] - most) / t) / positives;
    g[p] = (std::exp((s[p] - most) / t) / sum - 1 / positives) / t;
  }
  for (const int k : sides.negatives) g[k] = std::exp((s[k] - most) / t) / sum / t;
  return row;
}

// Wang et al. 2019, eqs. 10 to 15. NaN is mined, and mines nothing.
RowLoss multi_similarity(const Sides& sides, const SimilarityParams& params, const double* s, double* g) {
  if (sides.positives.empty() || sides.negatives.empty()) return {};
  const double alpha = params.alpha, beta = params.beta, lambda = params.lambda, epsilon = params.epsilon;
  double least_positive = kInfinity, most_negative = -kInfinity;
  for (const int p : sides.positives) least_positive = std::min(least_positive, s[p]);
  for (const int k : sides.negatives) most_negative = std::max(most_negative, s[k]);
  double pull = 0, push = 0;
  const auto mined_positive = [&](int p) { return !(s[p] - epsilon >= most_negative); };
  const auto mined_negative = [&](int k) { return !(s[k] + epsilon <= least_positive); };
  for (const int p : sides.positives) pull += mined_positive(p) ? std::exp(-alpha * (s[p] - lambda)) : 0;
  for (const int k : sides.negatives) push += mined_negative(k) ? std::exp(beta * (s[k] - lambda)) : 0;
  for (const int p : sides.positives) {
    g[p] = (mined_positive(p) ? -std::exp(-alpha * (s[p] - lambda)) : 0) / (1 + pull);
  }
  for (const int k : sides.negatives) {
    g[k] = (mined_negative(k) ? std::exp(beta * (s[k] - lambda)) : 0) / (1 + push);
  }
  const double loss = std::log1p(pull) / alpha + std::log1p(push) / beta;
  return {loss, 1, double(loss != 0)};
}

// Writes g (n,n), loss, count, active (n) of v from its similarity and labels.
void similarity_loss(int n, const SimilarityParams& params, Values& v) {
  v["g"].assign(std::size_t(n) * n, 0);
  for (const char* name : {"loss", "count", "active"}) v[name].assign(std::size_t(n), 0);
  for (int i = 0; i < n; ++i) {
    const Sides sides = sides_of(n, i, v["labels"]);
    const double* s = &v["similarity"][std::size_t(i) * n];
    double* g = &v["g"][std::size_t(i) * n];
    RowLoss row;
    if (params.kind == Similarity::nt_xent) row = nt_xent(sides, params.temperature, s, g);
    if (params.kind == Similarity::supcon) row = supcon(sides, params.temperature, s, g);
    if (params.kind == Similarity::multi_similarity) row = multi_similarity(sides, params, s, g);
    v["loss"][i] = row.loss;
    v["count"][i] = row.count;
    v["active"][i] = row.active;
  }
}

// de_i = scale sum_j (g_ij + g_ji) e_j.
void similarity_backward(int n, int d, Values& v) {
  v["de"].assign(std::size_t(n) * d, 0);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      const double weight = v["scale"][0] * (v["g"][std::size_t(i) * n + j] + v["g"][std::size_t(j) * n + i]);
      for (int k = 0; k < d; ++k) v["de"][std::size_t(i) * d + k] += weight * v["e"][std::size_t(j) * d + k];
    }
  }
}

double weighted_products(int n, int d, const Values& v) {
  double total = 0;
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      double product = 0;
      for (int k = 0; k < d; ++k) product += v.at("e")[std::size_t(i) * d + k] * v.at("e")[std::size_t(j) * d + k];
      total += v.at("g")[std::size_t(i) * n + j] * product;
    }
  }
  return total * v.at("scale")[0];
}

// ---- cases
std::string described(const SimilarityParams& params) {
  switch (params.kind) {
    case Similarity::nt_xent:
      return "nt_xent";
    case Similarity::supcon:
      return "supcon";
    case Similarity::multi_similarity:
      break;
  }
  return "multi_similarity";
}

OpCase loss_case(int n, const SimilarityParams& params, Fill similarity, Fill labels, const std::string& what) {
  OpCase c = coefficient_case(n, "similarity", std::move(similarity), std::move(labels),
                              [=](Values& v) { similarity_loss(n, params, v); });
  c.op = "similarity_loss";
  c.shape = described(params) + " n=" + std::to_string(n) + what;
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.similarity_loss(q, n, params, t.f32("similarity"), t.i32("labels"), t.f32("g"), t.f32("loss"), t.f32("count"),
                      t.f32("active"));
  };
  c.cost = {.flops = 10.0 * n * n, .bytes = 8.0 * n * n};
  return c;
}

OpCase backward_case(int n, int d, const char* what = "") {
  OpCase c;
  c.op = "similarity_backward";
  c.shape = "n=" + std::to_string(n) + " d=" + std::to_string(d) + what;
  c.tensors = {{.name = "e", .shape = {n, d}},
               {.name = "g",
                .shape = {n, n},
                .fill = {.kind = Fill::Kind::custom,
                         .a = 0,
                         .b = 0,
                         .custom =
                             [n](std::vector<double>& g, auto) {
                               for (int i = 0; i < n; ++i) {
                                 for (int j = 0; j < n; ++j) {
                                   g[std::size_t(i) * n + j] = i == j ? 0 : ((i * 37 + j * 11) % 29 - 14) / 8.0;
                                 }
                               }
                             }}},
               {.name = "scale", .shape = {1}, .fill = {.kind = Fill::Kind::uniform, .a = 0.1, .b = 1, .custom = {}}},
               {.name = "de", .shape = {n, d}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.similarity_backward(q, n, d, t.f32("e"), t.f32("g"), t.f32("scale"), t.f32("de"));
  };
  c.reference = [=](Values& v) { similarity_backward(n, d, v); };
  if (n * d < 200) {
    c.objective = [=](const Values& v) { return weighted_products(n, d, v); };
    c.gradients = {{"e", "de"}};
  }
  c.cost = {.flops = 2.0 * n * n * d, .bytes = 4.0 * n * n + 8.0 * n * d};
  return c;
}

}  // namespace

std::vector<OpCase> similarity_cases(Depth depth) {
  const Fill cosines{.kind = Fill::Kind::uniform, .a = -1, .b = 1, .custom = {}};
  const Fill ones{.kind = Fill::Kind::constant, .a = 1, .b = 0, .custom = {}};
  const Fill products{.kind = Fill::Kind::normal, .a = 0, .b = 60, .custom = {}};  // e^(600) overflows in f32 and f64
  const Fill quarters{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
                        for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i * i % 7) / 4 - 0.75;
                      }};
  // Positives at 0.9 and negatives at -0.9 in groups of 4, or the other way round: nothing is mined, or all.
  const auto apart = [](double positive, double negative) {
    return Fill{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, auto) {
                  const int n = static_cast<int>(std::lround(std::sqrt(static_cast<double>(x.size()))));
                  for (int i = 0; i < n; ++i) {
                    for (int j = 0; j < n; ++j) x[std::size_t(i) * n + j] = i / 4 == j / 4 ? positive : negative;
                  }
                }};
  };
  // Of 12 columns in groups of 4: anchor 0's first positive, anchor 1's first negative; the diagonal, which nobody reads.
  const Fill one_nan{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
                       for (std::size_t i = 0; i < x.size(); ++i) x[i] = static_cast<double>(i * 7 % 31) / 16 - 1;
                       x[1] = x[12 + 4] = x[2 * 12 + 2] = std::nan("");
                     }};
  std::vector<OpCase> cases;
  for (const Similarity kind : {Similarity::nt_xent, Similarity::supcon, Similarity::multi_similarity}) {
    const SimilarityParams usual{.kind = kind}, warm{.kind = kind, .temperature = 1, .alpha = 3, .beta = 4};
    for (const SimilarityParams& params : {usual, warm}) {
      const std::string which = params.temperature == 1 ? " warm" : "";
      cases.push_back(with_objective(loss_case(12, params, cosines, groups_of(4), which), "similarity"));
      cases.push_back(with_objective(loss_case(13, params, cosines, in_turn(3), which + " 3 in turn"), "similarity"));
    }
    cases.push_back(loss_case(1, usual, cosines, groups_of(1), ""));
    cases.push_back(loss_case(2, usual, cosines, groups_of(2), " one pair"));
    cases.push_back(loss_case(9, usual, cosines, groups_of(9), " all of one label"));
    cases.push_back(loss_case(9, usual, cosines, groups_of(1), " all of different labels"));
    cases.push_back(loss_case(5, usual, cosines, groups_of(4), " one row without positives"));
    cases.push_back(loss_case(33, usual, quarters, in_turn(4), " many ties"));
    cases.push_back(loss_case(9, usual, ones, groups_of(3), " identical rows"));
    cases.push_back(loss_case(12, usual, apart(0.9, -0.9), groups_of(4), " parted"));
    cases.push_back(loss_case(12, usual, apart(-0.9, 0.9), groups_of(4), " crossed"));
    cases.push_back(loss_case(12, usual, one_nan, groups_of(4), " with NaN"));
    for (const int n : {31, 131, 257}) cases.push_back(loss_case(n, usual, cosines, in_turn(n / 3), " in turn"));
    if (kind != Similarity::multi_similarity) {
      const SimilarityParams dots{.kind = kind, .temperature = 1};
      cases.push_back(loss_case(33, dots, products, in_turn(5), " large products"));
    }
  }
  for (const auto& [n, d] : {std::pair{1, 1}, {2, 3}, {5, 2}, {31, 33}, {33, 127}, {32, 128}, {65, 130}, {300, 5}}) {
    cases.push_back(backward_case(n, d));
  }
  if (depth == Depth::full) {
    for (const int n : {128, 1024}) {
      for (const Similarity kind : {Similarity::nt_xent, Similarity::supcon, Similarity::multi_similarity}) {
        cases.push_back(loss_case(n, {.kind = kind}, cosines, groups_of(4), " groups of 4"));
        cases.back().bench = true;
      }
      cases.push_back(backward_case(n, 128, " bench"));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
