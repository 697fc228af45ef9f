// SPDX-License-Identifier: MIT
//
// Mined triplets of a batch's rows: the choice as plain loops over a matrix of distances, the gradient as one over
// triplets, and the cases of `mined_triplet` and `mined_triplet_backward`.
#include <array>
#include <cmath>
#include <limits>
#include <random>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {

std::vector<Chosen> mine(Mining mining, int n, int a, const std::vector<double>& d2,
                         const std::vector<double>& labels) {
  const auto distance = [&](int j) { return d2[std::size_t(a) * n + j]; };
  const auto nearer = [&](int j, int best) {
    return best < 0 || distance(j) < distance(best) || (std::isnan(distance(j)) && !std::isnan(distance(best)));
  };
  const auto farther = [&](int j, int best) {
    return best < 0 || distance(j) > distance(best) || (std::isnan(distance(j)) && !std::isnan(distance(best)));
  };
  std::vector<int> positives, negatives;
  for (int j = 0; j < n; ++j) {
    if (labels[j] != labels[a]) {
      negatives.push_back(j);
    } else if (j != a) {
      positives.push_back(j);
    }
  }
  if (positives.empty() || negatives.empty()) return {};

  std::vector<Chosen> triplets;
  if (mining == Mining::semi_hard) {  // FaceNet (Schroff et al. 2015), section 3.2
    for (const int p : positives) {
      int beyond = -1, farthest = -1;
      for (const int k : negatives) {
        if (!(distance(k) <= distance(p)) && nearer(k, beyond)) beyond = k;
        if (farther(k, farthest)) farthest = k;
      }
      triplets.push_back({p, beyond >= 0 ? beyond : farthest});
    }
  } else {  // Hermans et al. 2017, eq. 5
    int farthest = -1, nearest = -1;
    for (const int p : positives) {
      if (farther(p, farthest)) farthest = p;
    }
    for (const int k : negatives) {
      if (nearer(k, nearest)) nearest = k;
    }
    triplets.push_back({farthest, nearest});
  }
  return triplets;
}

namespace {

// One mined loss on one shape.
struct Mined {
  int n, d, most;
  TripletParams params;
  Fill e, labels;
  std::string what = "";
};

// Fills what mined_triplet writes, from e and labels.
void mined_triplet(const Mined& m, Values& v) {
  distances_of_rows(m.n, m.d, v);
  const std::size_t n = std::size_t(m.n), most = std::size_t(m.most);
  for (const char* name : {"positive", "negative"}) v[name].assign(most * n, -1);
  for (const char* name : {"pull", "push"}) v[name].assign(most * n, 0);
  for (const char* name : {"loss", "count", "active"}) v[name].assign(n, 0);
  for (std::size_t a = 0; a < n; ++a) {
    const std::vector<Chosen> chosen = mine(m.params.mining, m.n, int(a), v["distance2"], v["labels"]);
    const double spoil = chosen.size() > most ? std::nan("") : 0;
    for (std::size_t q = 0; q < chosen.size(); ++q) {
      const auto& [p, k] = chosen[q];
      const TripletTerm term = triplet_term(m.params, v["distance2"][a * n + p], v["distance2"][a * n + k]);
      const double loss = term.loss + spoil;
      v["loss"][a] += loss;
      v["count"][a] += 1;
      v["active"][a] += loss != 0;
      if (q >= most) continue;
      v["positive"][q * n + a] = p;
      v["negative"][q * n + a] = k;
      v["pull"][q * n + a] = term.pull + spoil;
      v["push"][q * n + a] = term.push + spoil;
    }
  }
}

// de of v from its e, scale and triplets: the gradient of scale times the sum of pull ||e_a - e_p||^2 - push ||e_a -
// e_n||^2, slopes of 0 left out.
void backward(int n, int d, int most, Values& v) {
  std::vector<double>& de = v["de"];
  de.assign(std::size_t(n) * d, 0);
  const auto add = [&](std::size_t a, std::size_t j, double weight) {
    for (std::size_t k = 0; weight != 0 && k < std::size_t(d); ++k) {
      const double g = 2 * v["scale"][0] * weight * (v["e"][a * d + k] - v["e"][j * d + k]);
      de[a * d + k] += g;
      de[j * d + k] -= g;
    }
  };
  for (std::size_t at = 0; at < std::size_t(n) * most; ++at) {
    if (v["positive"][at] < 0) continue;
    add(at % n, std::size_t(v["positive"][at]), v["pull"][at]);
    add(at % n, std::size_t(v["negative"][at]), -v["push"][at]);
  }
}

// ---- cases
std::string shape_of(const Mined& m) {
  const auto number = [](const char* name, int value) { return " " + std::string(name) + std::to_string(value); };
  return described(m.params) + number("n=", m.n) + number("d=", m.d) + number("most ", m.most) + m.what;
}

std::vector<TensorSpec> mined_tensors(const Mined& m) {
  std::vector<TensorSpec> tensors{
      {.name = "e", .shape = {m.n, m.d}, .fill = m.e},
      {.name = "labels", .shape = {m.n}, .fill = m.labels, .dtype = Dtype::i32},
  };
  for (const char* name : {"positive", "negative"}) {
    tensors.push_back({.name = name, .shape = {m.most, m.n}, .role = Role::output, .dtype = Dtype::i32});
  }
  for (const char* name : {"pull", "push"}) {
    tensors.push_back({.name = name, .shape = {m.most, m.n}, .role = Role::output});
  }
  for (const char* name : {"loss", "count", "active"}) {
    tensors.push_back({.name = name, .shape = {m.n}, .role = Role::output});
  }
  return tensors;
}

MinedTriplets triplets_of(DeviceTensors& t) {
  return {t.i32("positive"), t.i32("negative"), t.f32("pull"), t.f32("push")};
}

OpCase mined_case(const Mined& m) {
  OpCase c;
  c.op = "mined_triplet";
  c.shape = shape_of(m);
  c.tensors = mined_tensors(m);
  c.scratch = [=](const Kernels& k) { return k.mined_triplet_scratch(m.n, m.d, m.params, m.most); };
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.mined_triplet(q, m.n, m.d, m.params, m.most, t.f32("e"), t.i32("labels"), triplets_of(t), t.f32("loss"),
                    t.f32("count"), t.f32("active"));
  };
  c.reference = [=](Values& v) { mined_triplet(m, v); };
  c.cost = {.flops = 3.0 * m.n * m.n * m.d, .bytes = 4.0 * m.n * (m.d + 4.0 + 4 * m.most)};
  return c;
}

// The whole of a mined loss: triplets, means, gradient of the embeddings. The objective is the mean loss.
OpCase chain_case(const Mined& m, bool differentiable) {
  OpCase c = mined_case(m);
  c.op = "mined_triplet_backward";
  c.shape = "of " + c.shape;
  c.tensors.push_back({.name = "scale", .shape = {1}, .role = Role::output});
  c.tensors.push_back({.name = "de", .shape = {m.n, m.d}, .role = Role::output});
  c.tensors.push_back(state_tensor(StepState{}, Role::inout, Dtype::f32));
  c.run = [=, mined = c.run](const Kernels& k, Queue q, DeviceTensors& t) {
    mined(k, q, t);
    k.loss_reduce(q, m.n, t.f32("loss"), t.f32("count"), t.f32("active"), static_cast<StepState*>(t.raw("state")),
                  t.f32("scale"));
    k.mined_triplet_backward(q, m.n, m.d, m.most, t.f32("e"), triplets_of(t), t.f32("scale"), t.f32("de"));
  };
  const auto forward = [=](Values& v) {
    mined_triplet(m, v);
    const double count = sum(v["count"]);
    v["scale"] = {count == 0 ? 0 : 1 / count};
    return sum(v["loss"]) * v["scale"][0];
  };
  c.reference = [=](Values& v) {
    const double mean = forward(v);
    v["state"] = {0, mean, sum(v["active"]) * v["scale"][0], as_float_bits(1), 0, 0};
    backward(m.n, m.d, m.most, v);
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

// Backward from any triplets, rows that are chosen by many among them; every third anchor has fewer than `most`.
OpCase backward_case(int n, int d, int most) {
  const auto rows = [=](int stride, int shift) {
    return Fill{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, auto) {
                  for (std::size_t at = 0; at < x.size(); ++at) {
                    const int a = int(at) % n, q = int(at) / n;
                    x[at] = a % 3 == 0 && q >= most / 2 ? -1 : (a / stride + q + shift) % n;
                  }
                }};
  };
  OpCase c;
  c.op = "mined_triplet_backward";
  c.shape = "n=" + std::to_string(n) + " d=" + std::to_string(d) + " most " + std::to_string(most);
  c.tensors = {{.name = "e", .shape = {n, d}},
               {.name = "positive", .shape = {most, n}, .fill = rows(1, 1), .dtype = Dtype::i32},
               {.name = "negative", .shape = {most, n}, .fill = rows(7, n / 2), .dtype = Dtype::i32},
               {.name = "pull", .shape = {most, n}},
               {.name = "push", .shape = {most, n}},
               {.name = "scale", .shape = {1}, .fill = {.kind = Fill::Kind::uniform, .a = 0.1, .b = 1, .custom = {}}},
               {.name = "de", .shape = {n, d}, .role = Role::output}};
  const TripletParams any{};
  c.scratch = [=](const Kernels& k) { return k.mined_triplet_scratch(n, d, any, most); };
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.mined_triplet_backward(q, n, d, most, t.f32("e"), triplets_of(t), t.f32("scale"), t.f32("de"));
  };
  c.reference = [=](Values& v) { backward(n, d, most, v); };
  c.cost = {.flops = 12.0 * n * most * d, .bytes = 4.0 * n * (4.0 * most + 2 * d)};
  return c;
}

// Sixteenths: squared distances are exact in f32, by whatever form, so that no device chooses otherwise for rounding.
Fill sixteenths() {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, std::uint64_t seed) {
            std::mt19937_64 random(seed);
            for (double& v : x) v = (double(random() % 17) - 8) / 16;
          }};
}

// Row `row` of d columns all `value`.
Fill with_row(Fill fill, int d, int row, double value) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& x, std::uint64_t) {
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = fill.a + double(i * i * 7 % 31) / 16;
            for (int k = 0; k < d; ++k) x[std::size_t(row) * d + k] = value;
          }};
}

}  // namespace

std::vector<OpCase> mined_triplet_cases(Depth depth) {
  const Fill zeros{.kind = Fill::Kind::constant, .a = 0, .b = 0, .custom = {}};
  const Fill few{.kind = Fill::Kind::integers, .a = 0, .b = 3, .custom = {}};
  const double infinity = std::numeric_limits<double>::infinity();
  // Squared distances around 1, whatever the width.
  const auto rows = [](int d) {
    return Fill{.kind = Fill::Kind::normal, .a = 0, .b = 1 / std::sqrt(2.0 * d), .custom = {}};
  };
  std::vector<OpCase> cases;
  for (const Mining mining : {Mining::semi_hard, Mining::batch_hard}) {
    const auto room = [=](int alike) { return mining == Mining::batch_hard || alike < 2 ? 1 : alike - 1; };
    for (const TripletParams& kind : every_kind(mining)) {
      const auto mined = [&](int n, int d, int alike, Fill e, Fill labels, const char* what) {
        cases.push_back(mined_case({n, d, room(alike), kind, std::move(e), std::move(labels), what}));
      };
      const auto chain = [&](int n, int d, int alike, Fill e, Fill labels, const char* what, bool differentiable) {
        cases.push_back(chain_case({n, d, room(alike), kind, std::move(e), std::move(labels), what}, differentiable));
      };
      mined(1, 5, 1, rows(5), groups_of(1), "");
      mined(9, 4, 9, rows(4), groups_of(9), " all of one label");
      mined(9, 4, 1, rows(4), groups_of(1), " all of different labels");
      mined(5, 3, 4, rows(3), groups_of(4), " one row without positives");
      mined(9, 7, 3, zeros, groups_of(3), " identical rows");
      mined(33, 2, 9, few, in_turn(4), " many ties");
      mined(131, 1, 44, few, in_turn(3), " many ties over three tiles");
      mined(67, 127, 2, sixteenths(), groups_of(2), " pairs");
      mined(131, 36, 17, sixteenths(), in_turn(8), " in turn");
      mined(203, 8, 8, sixteenths(), groups_of(8), " groups of 8");
      mined(12, 3, 4, with_row(zeros, 3, 5, std::nan("")), groups_of(4), " with NaN");
      mined(131, 3, 33, with_row(zeros, 3, 70, std::nan("")), in_turn(4), " with NaN in the second tile");
      mined(12, 3, 4, with_row(zeros, 3, 5, infinity), groups_of(4), " at infinity");
      chain(12, 7, 4, rows(7), groups_of(4), "", true);
      chain(13, 5, 5, rows(5), in_turn(3), " in turn", true);
      chain(9, 1, 3, rows(1), in_turn(3), "", true);
      chain(33, 131, 7, rows(131), in_turn(5), "", false);
      chain(131, 20, 8, sixteenths(), groups_of(8), "", false);
      chain(7, 3, 4, zeros, in_turn(2), " identical rows", false);
      chain(6, 3, 6, rows(3), groups_of(6), " all of one label", false);
      if (mining == Mining::batch_hard) continue;
      cases.push_back(mined_case({12, 5, 2, kind, rows(5), groups_of(4), " too little room"}));
      cases.push_back(mined_case({12, 5, 7, kind, rows(5), groups_of(4), " room to spare"}));
    }
    cases.push_back(mined_case({12, 5, 3, every_kind(mining)[0], rows(5), groups_of(4), " room for three"}));
  }
  for (const auto& [n, d, most] : {std::array{1, 1, 1}, {33, 7, 1}, {67, 33, 5}, {131, 130, 3}, {259, 64, 2}}) {
    cases.push_back(backward_case(n, d, most));
  }
  // Integers far from the origin: exact in f32 by direct differences, and only so.
  cases.push_back(backward_case(33, 36, 3));
  cases.back().shape += " integers at 4096";
  cases.back().relative = cases.back().absolute = 0;
  cases.back().tensors[0].fill = {.kind = Fill::Kind::integers, .a = 4093, .b = 4099, .custom = {}};
  for (const int slopes : {3, 4}) {
    cases.back().tensors[std::size_t(slopes)].fill = {.kind = Fill::Kind::integers, .a = -3, .b = 3, .custom = {}};
  }
  cases.back().tensors[5].fill = {.kind = Fill::Kind::constant, .a = 0.5, .b = 0, .custom = {}};
  if (depth == Depth::full) {
    for (const Mining mining : {Mining::semi_hard, Mining::batch_hard}) {
      const int most = mining == Mining::semi_hard ? 7 : 1;
      const TripletParams kind{.margin = 0.2f, .mining = mining, .squared = true, .soft_margin = false};
      for (const int n : {128, 512}) {
        cases.push_back(mined_case({n, 128, most, kind, sixteenths(), groups_of(8), " groups of 8"}));
        cases.back().bench = true;
      }
    }
    for (const int n : {128, 512}) {
      cases.push_back(backward_case(n, 128, 7));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
