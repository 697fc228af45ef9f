// SPDX-License-Identifier: MIT
//
// Operations per channel over (M,C): affine, batch normalisation, PReLU, and a convolution's filters with an affine in
// them. Plain loops in double, and the shapes and values the kernels must get right.
#include <cmath>
#include <string>
#include <utility>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

using Doubles = std::vector<double>;

std::string text(int m, int c, const char* what = "") { return std::to_string(m) + "x" + std::to_string(c) + what; }

// Calls f(i, c) for every element i of channel c.
template <class F>
void for_each(int m, int channels, const F& f) {
  for (int row = 0; row < m; ++row) {
    for (int c = 0; c < channels; ++c) f(std::size_t(row) * channels + c, std::size_t(c));
  }
}

double dot(const Doubles& a, const Doubles& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += a[i] * b[i];
  return sum;
}

OpCase base(const char* op, int m, int c, const char* what, double bytes, double flops) {
  OpCase result;
  result.op = op;
  result.shape = text(m, c, what);
  result.scratch = [=](const Kernels& k) { return k.channel_scratch(static_cast<std::size_t>(m), c); };
  result.cost = {.flops = flops * m * c, .bytes = bytes * m * c};
  return result;
}

TensorSpec rows(const char* name, int m, int c, Role role = Role::input, Fill fill = {}) {
  return {.name = name, .shape = {m, c}, .role = role, .fill = std::move(fill)};
}
TensorSpec channels(const char* name, int c, Role role = Role::input, Fill fill = {}) {
  return {.name = name, .shape = {c}, .role = role, .fill = std::move(fill)};
}
constexpr Fill::Kind kUniform = Fill::Kind::uniform;

// Sums of thousands of terms in f32 against sums in double: relative to the largest of them.
constexpr double kSums = 2e-5;

// ---- affine
Doubles affine(int m, int c, const Values& v) {
  Doubles y(v.at("x").size());
  for_each(m, c, [&](std::size_t i, std::size_t k) { y[i] = v.at("x")[i] * v.at("scale")[k] + v.at("shift")[k]; });
  return y;
}

OpCase affine_forward_case(int m, int c, bool in_place = false) {
  OpCase result = base("affine_forward", m, c, in_place ? " in place" : "", 8, 2);
  result.tensors = {rows("x", m, c, in_place ? Role::inout : Role::input), channels("scale", c), channels("shift", c)};
  if (!in_place) result.tensors.push_back(rows("y", m, c, Role::output));
  const std::string y = in_place ? "x" : "y";
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.affine_forward(q, static_cast<std::size_t>(m), c, t.f32("x"), t.f32("scale"), t.f32("shift"), t.f32(y));
  };
  result.reference = [=](Values& v) { v[y] = affine(m, c, v); };
  return result;
}

OpCase affine_backward_case(int m, int c, bool wants_dx, bool wants_parameters) {
  OpCase result = base("affine_backward", m, c, !wants_dx ? " without dx" : wants_parameters ? "" : " dx alone", 12, 4);
  result.tensors = {rows("x", m, c),
                    channels("scale", c),
                    channels("shift", c),  // only the objective reads it
                    rows("dy", m, c),
                    channels("dscale", c, Role::inout),
                    channels("dshift", c, Role::inout)};
  if (wants_dx) result.tensors.push_back(rows("dx", m, c, Role::output));
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.affine_backward(q, static_cast<std::size_t>(m), c, t.f32("x"), t.f32("scale"), t.f32("dy"),
                      wants_dx ? t.f32("dx") : nullptr, wants_parameters ? t.f32("dscale") : nullptr,
                      wants_parameters ? t.f32("dshift") : nullptr);
  };
  result.reference = [=](Values& v) {
    for_each(m, c, [&](std::size_t i, std::size_t k) {
      if (wants_dx) v["dx"][i] = v["dy"][i] * v["scale"][k];
      if (!wants_parameters) return;
      v["dscale"][k] += v["dy"][i] * v["x"][i];
      v["dshift"][k] += v["dy"][i];
    });
  };
  if (wants_dx && wants_parameters) {
    result.objective = [=](const Values& v) { return dot(affine(m, c, v), v.at("dy")); };
    result.gradients = {{"x", "dx"}, {"scale", "dscale"}, {"shift", "dshift"}};
  }
  result.relative = kSums;
  return result;
}

OpCase scale_filters_case(int k, int row, bool bias) {
  OpCase result;
  result.op = "scale_filters";
  result.shape = text(k, row, bias ? "" : " without bias");
  result.tensors = {rows("w", k, row),
                    channels("bias", k),
                    channels("scale", k),
                    channels("shift", k),
                    rows("w_out", k, row, Role::output),
                    channels("bias_out", k, Role::output)};
  result.run = [=](const Kernels& kernels, Queue q, DeviceTensors& t) {
    kernels.scale_filters(q, k, row, t.f32("w"), bias ? t.f32("bias") : nullptr, t.f32("scale"), t.f32("shift"),
                          t.f32("w_out"), t.f32("bias_out"));
  };
  result.reference = [=](Values& v) {
    for (std::size_t f = 0; f < std::size_t(k); ++f) {
      for (std::size_t i = 0; i < std::size_t(row); ++i) {
        v["w_out"][f * row + i] = v["w"][f * row + i] * v["scale"][f];
      }
      v["bias_out"][f] = (bias ? v["bias"][f] * v["scale"][f] : 0) + v["shift"][f];
    }
  };
  result.cost = {.flops = 1.0 * k * row, .bytes = 8.0 * k * row};
  return result;
}

// ---- batch normalisation
struct Statistics {
  Doubles mean, squares;  // sums of squares about the mean
};

Statistics statistics(int m, int c, const Doubles& x) {
  Statistics s{Doubles(std::size_t(c), 0.0), Doubles(std::size_t(c), 0.0)};
  for_each(m, c, [&](std::size_t i, std::size_t k) { s.mean[k] += x[i] / m; });
  for_each(m, c, [&](std::size_t i, std::size_t k) { s.squares[k] += (x[i] - s.mean[k]) * (x[i] - s.mean[k]); });
  return s;
}

Doubles normalized(int m, int c, const Doubles& x, double epsilon) {
  const Statistics s = statistics(m, c, x);
  Doubles y(x.size());
  for_each(m, c,
           [&](std::size_t i, std::size_t k) { y[i] = (x[i] - s.mean[k]) / std::sqrt(s.squares[k] / m + epsilon); });
  return y;
}

Doubles batch_norm(int m, int c, double epsilon, const Values& v) {
  Doubles y = normalized(m, c, v.at("x"), epsilon);
  for_each(m, c, [&](std::size_t i, std::size_t k) { y[i] = v.at("gamma")[k] * y[i] + v.at("beta")[k]; });
  return y;
}

OpCase batch_norm_forward_case(int m, int c, Fill fill = {}, const char* what = "") {
  const BatchNormParams params{.epsilon = 1e-3f, .momentum = 0.25f};
  OpCase result = base("batch_norm_forward", m, c, what, 16, 7);
  result.tensors = {rows("x", m, c, Role::input, std::move(fill)),
                    channels("gamma", c),
                    channels("beta", c),
                    rows("y", m, c, Role::output),
                    channels("mean", c, Role::output),
                    channels("inverse_deviation", c, Role::output),
                    channels("running_mean", c, Role::inout),
                    channels("running_variance", c, Role::inout, {.kind = kUniform, .a = 0.5, .b = 2})};
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.batch_norm_forward(q, static_cast<std::size_t>(m), c, params, t.f32("x"), t.f32("gamma"), t.f32("beta"),
                         t.f32("y"), t.f32("mean"), t.f32("inverse_deviation"), t.f32("running_mean"),
                         t.f32("running_variance"));
  };
  result.reference = [=](Values& v) {
    const Statistics s = statistics(m, c, v["x"]);
    v["y"] = batch_norm(m, c, double{params.epsilon}, v);
    v["mean"] = s.mean;
    for (std::size_t k = 0; k < std::size_t(c); ++k) {
      v["inverse_deviation"][k] = 1 / std::sqrt(s.squares[k] / m + double{params.epsilon});
      const double unbiased = m > 1 ? s.squares[k] / (m - 1) : 0;
      v["running_mean"][k] += double{params.momentum} * (s.mean[k] - v["running_mean"][k]);
      v["running_variance"][k] += double{params.momentum} * (unbiased - v["running_variance"][k]);
    }
  };
  result.relative = kSums;
  return result;
}

// As a layer uses it: forward, then backward from what it left.
OpCase batch_norm_backward_case(int m, int c, bool wants_dx = true, bool in_place = false) {
  const BatchNormParams params{.epsilon = 1e-2f, .momentum = 0.1f};
  OpCase result = base("batch_norm_backward", m, c, !wants_dx ? " without dx" : in_place ? " in place" : "", 20, 10);
  result.tensors = {rows("x", m, c),
                    channels("gamma", c),
                    channels("beta", c),
                    rows("dy", m, c, in_place ? Role::inout : Role::input),
                    rows("y", m, c, Role::output),
                    channels("mean", c, Role::output),
                    channels("inverse_deviation", c, Role::output),
                    channels("running", 2 * c, Role::inout),
                    channels("dgamma", c, Role::inout),
                    channels("dbeta", c, Role::inout)};
  if (wants_dx && !in_place) result.tensors.push_back(rows("dx", m, c, Role::output));
  const std::string dx = in_place ? "dy" : "dx";
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    const auto count = static_cast<std::size_t>(m);
    k.batch_norm_forward(q, count, c, params, t.f32("x"), t.f32("gamma"), t.f32("beta"), t.f32("y"), t.f32("mean"),
                         t.f32("inverse_deviation"), t.f32("running"), t.f32("running") + c);
    k.batch_norm_backward(q, count, c, t.f32("x"), t.f32("gamma"), t.f32("mean"), t.f32("inverse_deviation"),
                          t.f32("dy"), wants_dx ? t.f32(dx) : nullptr, t.f32("dgamma"), t.f32("dbeta"));
  };
  result.reference = [=](Values& v) {
    const double epsilon = params.epsilon;
    const Statistics s = statistics(m, c, v["x"]);
    const Doubles xhat = normalized(m, c, v["x"], epsilon), dy = v["dy"];
    Doubles a(std::size_t(c), 0.0), b(std::size_t(c), 0.0);  // sums of dy, of dy xhat
    for_each(m, c, [&](std::size_t i, std::size_t k) {
      a[k] += dy[i];
      b[k] += dy[i] * xhat[i];
    });
    v["y"] = batch_norm(m, c, epsilon, v);
    v["mean"] = s.mean;
    for (std::size_t k = 0; k < std::size_t(c); ++k) {
      v["inverse_deviation"][k] = 1 / std::sqrt(s.squares[k] / m + epsilon);
      const double unbiased = m > 1 ? s.squares[k] / (m - 1) : 0;
      v["running"][k] += double{params.momentum} * (s.mean[k] - v["running"][k]);
      v["running"][c + k] += double{params.momentum} * (unbiased - v["running"][c + k]);
      v["dgamma"][k] += b[k];
      v["dbeta"][k] += a[k];
    }
    if (!wants_dx) return;
    for_each(m, c, [&](std::size_t i, std::size_t k) {
      v[dx][i] = v["gamma"][k] * v["inverse_deviation"][k] * (dy[i] - a[k] / m - xhat[i] * b[k] / m);
    });
  };
  if (wants_dx && !in_place) {
    result.objective = [=](const Values& v) { return dot(batch_norm(m, c, double{params.epsilon}, v), v.at("dy")); };
    result.gradients = {{"x", "dx"}, {"gamma", "dgamma"}, {"beta", "dbeta"}};
  }
  result.relative = kSums;
  return result;
}

OpCase batch_norm_fold_case(int c) {
  OpCase result;
  result.op = "batch_norm_fold";
  result.shape = std::to_string(c);
  result.tensors = {channels("gamma", c),
                    channels("beta", c),
                    channels("running_mean", c),
                    channels("running_variance", c, Role::input, {.kind = kUniform, .a = 0, .b = 2}),
                    channels("scale", c, Role::output),
                    channels("shift", c, Role::output)};
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.batch_norm_fold(q, c, 1e-3f, t.f32("gamma"), t.f32("beta"), t.f32("running_mean"), t.f32("running_variance"),
                      t.f32("scale"), t.f32("shift"));
  };
  result.reference = [=](Values& v) {
    for (std::size_t k = 0; k < std::size_t(c); ++k) {
      v["scale"][k] = v["gamma"][k] / std::sqrt(v["running_variance"][k] + double{1e-3f});
      v["shift"][k] = v["beta"][k] - v["running_mean"][k] * v["scale"][k];
    }
  };
  return result;
}

// ---- PReLU
double prelu(double x, double slope) { return x > 0 ? x : slope * x; }

Fill away_from_the_kink() {
  return {.kind = Fill::Kind::custom, .custom = [](Doubles& values, std::uint64_t seed) {
            for (double& v : values) {
              seed = seed * 6364136223846793005u + 1442695040888963407u;
              const double size = 0.1 + static_cast<double>((seed >> 33) % 101) / 64;
              v = (seed >> 50) % 2 == 0 ? size : -size;
            }
          }};
}

OpCase prelu_forward_case(int m, int c, Fill fill = {}, const char* what = "") {
  OpCase result = base("prelu_forward", m, c, what, 8, 1);
  result.tensors = {rows("x", m, c, Role::input, std::move(fill)), channels("slope", c), rows("y", m, c, Role::output)};
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.prelu_forward(q, static_cast<std::size_t>(m), c, t.f32("x"), t.f32("slope"), t.f32("y"));
  };
  result.reference = [=](Values& v) {
    for_each(m, c, [&](std::size_t i, std::size_t k) { v["y"][i] = prelu(v["x"][i], v["slope"][k]); });
  };
  return result;
}

OpCase prelu_backward_case(int m, int c, bool wants_dx, bool wants_slope) {
  OpCase result = base("prelu_backward", m, c, !wants_dx ? " without dx" : wants_slope ? "" : " dx alone", 12, 3);
  result.tensors = {rows("x", m, c, Role::input, away_from_the_kink()), channels("slope", c), rows("dy", m, c),
                    channels("dslope", c, Role::inout)};
  if (wants_dx) result.tensors.push_back(rows("dx", m, c, Role::output));
  result.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.prelu_backward(q, static_cast<std::size_t>(m), c, t.f32("x"), t.f32("slope"), t.f32("dy"),
                     wants_dx ? t.f32("dx") : nullptr, wants_slope ? t.f32("dslope") : nullptr);
  };
  result.reference = [=](Values& v) {
    for_each(m, c, [&](std::size_t i, std::size_t k) {
      const bool below = !(v["x"][i] > 0);
      if (wants_dx) v["dx"][i] = v["dy"][i] * (below ? v["slope"][k] : 1);
      if (wants_slope && below) v["dslope"][k] += v["dy"][i] * v["x"][i];
    });
  };
  if (wants_dx && wants_slope) {
    result.objective = [=](const Values& v) {
      double sum = 0;
      for_each(m, c,
               [&](std::size_t i, std::size_t k) { sum += prelu(v.at("x")[i], v.at("slope")[k]) * v.at("dy")[i]; });
      return sum;
    };
    result.gradients = {{"x", "dx"}, {"slope", "dslope"}};
  }
  result.relative = kSums;
  return result;
}

Fill specials() {
  return {.kind = Fill::Kind::custom, .custom = [](Doubles& values, std::uint64_t) {
            const double special[] = {std::nan(""), HUGE_VAL, -HUGE_VAL, 0, -1, 1};
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = special[i % 6];
          }};
}

// One value a channel in every row: variance 0.
Fill same_rows(int c) {
  return {.kind = Fill::Kind::custom, .custom = [c](Doubles& values, std::uint64_t) {
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i % std::size_t(c)) - 2;
          }};
}

// A case without its objective, to be timed.
OpCase timed(OpCase c) {
  c.objective = nullptr;
  c.gradients.clear();
  c.bench = true;
  return c;
}

}  // namespace

std::vector<OpCase> channel_cases(Depth depth) {
  std::vector<OpCase> cases;
  const std::pair<int, int> shapes[] = {{1, 1},  {1, 5},   {2, 33},   {31, 1},   {33, 31},
                                        {7, 64}, {257, 3}, {130, 17}, {1031, 2}, {67, 40}};
  for (const auto& [m, c] : shapes) {
    cases.push_back(affine_forward_case(m, c));
    cases.push_back(affine_backward_case(m, c, true, true));
    cases.push_back(batch_norm_forward_case(m, c));
    cases.push_back(batch_norm_backward_case(m, c));
    cases.push_back(prelu_forward_case(m, c));
    cases.push_back(prelu_backward_case(m, c, true, true));
  }
  cases.push_back(affine_forward_case(67, 19, true));
  cases.push_back(affine_backward_case(67, 19, false, true));
  cases.push_back(affine_backward_case(67, 19, true, false));
  cases.push_back(batch_norm_backward_case(67, 19, false));
  cases.push_back(batch_norm_backward_case(67, 19, true, true));
  cases.push_back(prelu_backward_case(67, 19, false, true));
  cases.push_back(prelu_backward_case(67, 19, true, false));
  cases.push_back(prelu_forward_case(5, 7, specials(), " NaN, infinities"));
  // A channel far from 0 keeps its variance: E[x^2] - E[x]^2 in f32 would be wrong by 6 % here. The mean itself, as a
  // float, is within 3e-5 of the true one.
  OpCase far = batch_norm_forward_case(2053, 5, {.kind = Fill::Kind::normal, .a = 1000, .b = 1}, " mean 1000");
  far.relative = 1e-4;
  cases.push_back(std::move(far));
  cases.push_back(batch_norm_forward_case(67, 5, same_rows(5), " variance 0"));
  for (const int c : {1, 33, 300}) cases.push_back(batch_norm_fold_case(c));
  for (const auto& [k, row] : shapes) {
    cases.push_back(scale_filters_case(k, row, true));
    cases.push_back(scale_filters_case(k, row, false));
  }
  if (depth == Depth::full) {
    for (const auto& [m, c] : {std::pair{32 * 72 * 72, 32}, {64 * 12 * 12, 128}}) {
      cases.push_back(timed(affine_forward_case(m, c)));
      cases.push_back(timed(affine_backward_case(m, c, true, true)));
      cases.push_back(timed(batch_norm_forward_case(m, c)));
      cases.push_back(timed(batch_norm_backward_case(m, c)));
      cases.push_back(timed(prelu_forward_case(m, c)));
      cases.push_back(timed(prelu_backward_case(m, c, true, true)));
    }
  }
  return cases;
}

}  // namespace gemel::reference
