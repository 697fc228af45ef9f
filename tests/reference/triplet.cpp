// SPDX-License-Identifier: MIT
//
// The loss of all triplets of a batch as a plain loop over them, the gradient behind the distances, and the cases of
// `triplet` and `pairwise_backward`.
#include <cmath>
#include <limits>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {

TripletTerm triplet_term(const TripletParams& params, double d2_positive, double d2_negative) {
  const auto metric = [&](double x) { return params.squared ? x : std::sqrt(x); };
  const auto metric_slope = [&](double x) { return params.squared ? 1.0 : x == 0 ? 0.0 : 0.5 / std::sqrt(x); };
  const double u = metric(d2_positive) - metric(d2_negative);
  double loss = 0, slope = 0;
  if (params.soft_margin) {
    loss = softplus(u);
    slope = logistic(u);
  } else if (!(params.margin + u <= 0)) {
    loss = double(params.margin) + u;
    slope = 1;
  }
  return {loss, slope * metric_slope(d2_positive), slope * metric_slope(d2_negative)};
}

// distance2_ij = ||e_i - e_j||^2.
void distances_of_rows(int n, int d, Values& v) {
  v["distance2"].assign(std::size_t(n) * n, 0);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      for (int k = 0; k < d; ++k) {
        const double difference = v["e"][std::size_t(i) * d + k] - v["e"][std::size_t(j) * d + k];
        v["distance2"][std::size_t(i) * n + j] += difference * difference;
      }
    }
  }
}

std::string described(const TripletParams& params) {
  const char* mining = params.mining == Mining::all         ? "all"
                       : params.mining == Mining::semi_hard ? "semi_hard"
                                                            : "batch_hard";
  return std::string(mining) + (params.squared ? " squared" : "") + (params.soft_margin ? " soft" : "");
}

std::vector<TripletParams> every_kind(Mining mining) {
  std::vector<TripletParams> kinds;
  for (const bool squared : {true, false}) {
    for (const bool soft : {false, true}) kinds.push_back({0.5f, mining, squared, soft});
  }
  return kinds;
}

namespace {

// Writes g (n,n), loss, count, active (n) of v from its distance2 and labels.
void triplet(int n, const TripletParams& params, Values& v) {
  v["g"].assign(std::size_t(n) * n, 0);
  for (const char* name : {"loss", "count", "active"}) v[name].assign(std::size_t(n), 0);
  const std::vector<double>& labels = v["labels"];
  for (int a = 0; a < n; ++a) {
    for (int p = 0; p < n; ++p) {
      for (int k = 0; k < n; ++k) {
        if (p == a || labels[p] != labels[a] || labels[k] == labels[a]) continue;
        const std::size_t ap = std::size_t(a) * n + p, an = std::size_t(a) * n + k;
        const TripletTerm term = triplet_term(params, v["distance2"][ap], v["distance2"][an]);
        v["g"][ap] += term.pull;
        v["g"][an] -= term.push;
        v["loss"][a] += term.loss;
        v["active"][a] += term.loss != 0;
        v["count"][a] += term.loss != 0;
      }
    }
  }
}

// de_i = scale sum_j (g_ij + g_ji) 2 (e_i - e_j).
void pairwise_backward(int n, int d, Values& v) {
  const std::vector<double>&e = v["e"], &g = v["g"];
  v["de"].assign(std::size_t(n) * d, 0);
  for (int i = 0; i < n; ++i) {
    for (int j = 0; j < n; ++j) {
      const double weight = v["scale"][0] * (g[std::size_t(i) * n + j] + g[std::size_t(j) * n + i]);
      for (int k = 0; k < d; ++k) {
        v["de"][std::size_t(i) * d + k] += weight * 2 * (e[std::size_t(i) * d + k] - e[std::size_t(j) * d + k]);
      }
    }
  }
}

// ---- cases
// The loss from given distances; the objective is the sum of the losses.
OpCase triplet_case(int n, const TripletParams& params, Fill distance2, Fill labels, const std::string& what) {
  OpCase c = coefficient_case(n, "distance2", std::move(distance2), std::move(labels),
                              [=](Values& v) { triplet(n, params, v); });
  c.op = "triplet";
  c.shape = described(params) + " n=" + std::to_string(n) + what;
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.triplet(q, n, params, t.f32("distance2"), t.i32("labels"), t.f32("g"), t.f32("loss"), t.f32("count"),
              t.f32("active"));
  };
  c.cost = {.flops = 4.0 * n * n, .bytes = 8.0 * n * n};
  return c;
}

// The whole of a triplet loss: distances, triplets, means, gradient of the embeddings. The objective is the mean loss.
OpCase chain_case(int n, int d, const TripletParams& params, Fill e, Fill labels, const std::string& what,
                  bool differentiable) {
  OpCase c;
  c.op = "pairwise_backward";
  c.shape = "of triplet " + described(params) + " n=" + std::to_string(n) + " d=" + std::to_string(d) + what;
  const StepState zero{};
  c.tensors = {{.name = "e", .shape = {n, d}, .fill = std::move(e)},
               {.name = "labels", .shape = {n}, .fill = std::move(labels), .dtype = Dtype::i32},
               {.name = "distance2", .shape = {n, n}, .role = Role::output},
               {.name = "g", .shape = {n, n}, .role = Role::output},
               {.name = "loss", .shape = {n}, .role = Role::output},
               {.name = "count", .shape = {n}, .role = Role::output},
               {.name = "active", .shape = {n}, .role = Role::output},
               {.name = "scale", .shape = {1}, .role = Role::output},
               {.name = "de", .shape = {n, d}, .role = Role::output},
               state_tensor(zero, Role::inout, Dtype::f32)};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.pairwise_distance(q, n, n, d, t.f32("e"), t.f32("e"), true, t.f32("distance2"));
    k.triplet(q, n, params, t.f32("distance2"), t.i32("labels"), t.f32("g"), t.f32("loss"), t.f32("count"),
              t.f32("active"));
    k.loss_reduce(q, n, t.f32("loss"), t.f32("count"), t.f32("active"), static_cast<StepState*>(t.raw("state")),
                  t.f32("scale"));
    k.pairwise_backward(q, n, d, t.f32("e"), t.f32("g"), t.f32("scale"), t.f32("de"));
  };
  const auto forward = [=](Values& v) {
    distances_of_rows(n, d, v);
    triplet(n, params, v);
    const double count = sum(v["count"]);
    v["scale"] = {count == 0 ? 0 : 1 / count};
    return sum(v["loss"]) * v["scale"][0];
  };
  c.reference = [=](Values& v) {
    const double mean = forward(v);
    v["state"] = {0, mean, sum(v["active"]) * v["scale"][0], as_float_bits(1), 0, 0};
    pairwise_backward(n, d, v);
  };
  if (differentiable) {
    c.objective = [=](const Values& v) {
      Values copy{{"e", v.at("e")}, {"labels", v.at("labels")}};
      return forward(copy);
    };
    c.gradients = {{"e", "de"}};
  }
  return c;
}

// Backward from any g; the objective is scale sum_ij g_ij ||e_i - e_j||^2.
OpCase backward_case(int n, int d) {
  OpCase c;
  c.op = "pairwise_backward";
  c.shape = "n=" + std::to_string(n) + " d=" + std::to_string(d);
  c.tensors = {{.name = "e", .shape = {n, d}},
               {.name = "g", .shape = {n, n}},
               {.name = "scale", .shape = {1}, .fill = {.kind = Fill::Kind::uniform, .a = 0.1, .b = 1, .custom = {}}},
               {.name = "de", .shape = {n, d}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.pairwise_backward(q, n, d, t.f32("e"), t.f32("g"), t.f32("scale"), t.f32("de"));
  };
  c.reference = [=](Values& v) { pairwise_backward(n, d, v); };
  if (n * d < 200) {
    c.objective = [=](const Values& v) {
      Values copy{{"e", v.at("e")}};
      distances_of_rows(n, d, copy);
      double total = 0;
      for (std::size_t i = 0; i < copy["distance2"].size(); ++i) total += v.at("g")[i] * copy["distance2"][i];
      return total * v.at("scale")[0];
    };
    c.gradients = {{"e", "de"}};
  }
  c.cost = {.flops = 3.0 * n * n * d, .bytes = 4.0 * n * n + 8.0 * n * d};
  return c;
}

}  // namespace

std::vector<OpCase> triplet_cases(Depth depth) {
  const Fill distances{.kind = Fill::Kind::uniform, .a = 0.05, .b = 3, .custom = {}};
  const Fill zeros{.kind = Fill::Kind::constant, .a = 0, .b = 0, .custom = {}};
  const Fill few{.kind = Fill::Kind::integers, .a = 0, .b = 3, .custom = {}};
  // Squared distances around 1, whatever the width: the margin decides, and f32 keeps 7 digits of their differences.
  const auto rows = [](int d) {
    return Fill{.kind = Fill::Kind::normal, .a = 0, .b = 1 / std::sqrt(2.0 * d), .custom = {}};
  };
  const Fill one_nan{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
                       for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.125 * static_cast<double>(i * 7 % 31);
                       x[1] = x[12 + 4] = std::nan("");  // of 12 columns: anchor 0's positive, anchor 1's negative
                     }};
  // Of 12 columns: all of anchor 0's negatives, one of anchor 1's, a positive of anchor 2 that is beyond all negatives.
  const Fill infinite{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
                        for (std::size_t i = 0; i < x.size(); ++i) x[i] = 0.125 * static_cast<double>(i * 7 % 31);
                        for (std::size_t j = 4; j < 12; ++j) x[j] = std::numeric_limits<double>::infinity();
                        x[12 + 5] = x[24 + 3] = x[4];
                      }};
  std::vector<OpCase> cases;
  for (const TripletParams& kind : every_kind(Mining::all)) {
    cases.push_back(with_objective(triplet_case(12, kind, distances, groups_of(4), " 3 groups of 4"), "distance2"));
    cases.push_back(with_objective(triplet_case(13, kind, distances, in_turn(3), " 3 in turn"), "distance2"));
    cases.push_back(triplet_case(1, kind, distances, groups_of(1), ""));
    cases.push_back(triplet_case(9, kind, distances, groups_of(9), " all of one label"));
    cases.push_back(triplet_case(9, kind, distances, groups_of(1), " all of different labels"));
    cases.push_back(triplet_case(5, kind, distances, groups_of(4), " one row without positives"));
    cases.push_back(triplet_case(33, kind, few, in_turn(4), " many ties"));
    cases.push_back(triplet_case(9, kind, zeros, groups_of(3), " identical rows"));
    cases.push_back(triplet_case(12, kind, one_nan, groups_of(4), " with NaN"));
    cases.push_back(triplet_case(12, kind, infinite, groups_of(4), " at infinity"));
    cases.push_back(triplet_case(131, kind, distances, in_turn(40), " over two chunks"));
    cases.push_back(chain_case(12, 5, kind, rows(5), groups_of(4), "", true));
    cases.push_back(chain_case(9, 1, kind, rows(1), in_turn(3), "", true));
    cases.push_back(chain_case(33, 127, kind, rows(127), in_turn(5), "", false));
    cases.push_back(chain_case(7, 3, kind, zeros, in_turn(2), " identical rows", false));
    cases.push_back(chain_case(6, 3, kind, rows(3), groups_of(6), " all of one label", false));
  }
  for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {31, 33}, {33, 127}, {32, 128}, {65, 130}}) {
    cases.push_back(backward_case(n, d));
  }
  // Integers far from the origin: exact in f32 by direct differences, and only so.
  cases.push_back(backward_case(33, 36));
  cases.back().shape += " integers at 4096";
  cases.back().relative = cases.back().absolute = 0;
  cases.back().tensors[0].fill = {.kind = Fill::Kind::integers, .a = 4093, .b = 4099, .custom = {}};
  cases.back().tensors[1].fill = {.kind = Fill::Kind::integers, .a = -3, .b = 3, .custom = {}};
  cases.back().tensors[2].fill = {.kind = Fill::Kind::constant, .a = 0.5, .b = 0, .custom = {}};
  if (depth == Depth::full) {
    for (const int n : {128, 512}) {
      const TripletParams kind{.margin = 0.2f, .mining = Mining::all, .squared = true, .soft_margin = false};
      cases.push_back(triplet_case(n, kind, distances, groups_of(8), " groups of 8"));
      cases.back().bench = true;
    }
    for (const int n : {128, 512}) {
      cases.push_back(backward_case(n, 128));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
