// SPDX-License-Identifier: MIT
//
// Element-wise activations: the definition, and cases of activation_forward and activation_backward.
#include <cmath>
#include <limits>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

double activate(Activation kind, double x) {
  switch (kind) {
    case Activation::none:
      return x;
    case Activation::relu:
      return x <= 0 ? 0 : x;  // NaN stays NaN
    case Activation::sigmoid:
      return 1 / (1 + std::exp(-x));
  }
  return x;
}

// dy/dx from y = f(x); relu at 0: 0.
double derivative(Activation kind, double y) {
  switch (kind) {
    case Activation::none:
      return 1;
    case Activation::relu:
      return y <= 0 ? 0 : 1;
    case Activation::sigmoid:
      return y * (1 - y);
  }
  return 1;
}

const char* name(Activation kind) {
  return kind == Activation::none ? "none" : kind == Activation::relu ? "relu" : "sigmoid";
}

std::string described(Activation kind, int count, const char* what) {
  return std::string(name(kind)) + " " + std::to_string(count) + what;
}

OpCase forward_case(Activation kind, int count, Fill fill, const char* what = "") {
  OpCase c;
  c.op = "activation_forward";
  c.shape = described(kind, count, what);
  c.tensors = {{.name = "x", .shape = {count}, .fill = std::move(fill)},
               {.name = "y", .shape = {count}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.activation_forward(q, kind, static_cast<std::size_t>(count), t.f32("x"), t.f32("y"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < count; ++i) v["y"][i] = activate(kind, v["x"][i]);
  };
  c.cost = {.flops = (kind == Activation::sigmoid ? 4.0 : 1.0) * count, .bytes = 8.0 * count};
  return c;
}

OpCase forward_in_place_case(Activation kind, int count) {
  OpCase c;
  c.op = "activation_forward";
  c.shape = described(kind, count, " in place");
  c.tensors = {{.name = "x", .shape = {count}, .role = Role::inout}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.activation_forward(q, kind, static_cast<std::size_t>(count), t.f32("x"), t.f32("x"));
  };
  c.reference = [=](Values& v) {
    for (double& x : v["x"]) x = activate(kind, x);
  };
  return c;
}

// As a layer uses it: y from x, then dx from y. The objective is sum(f(x) dy).
OpCase backward_case(Activation kind, int count) {
  OpCase c;
  c.op = "activation_backward";
  c.shape = described(kind, count, " after forward");
  Fill away_from_the_kink{.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
                            for (std::size_t i = 0; i < x.size(); ++i) {
                              const double size = 0.1 + 0.37 * static_cast<double>(i % 11);
                              x[i] = i % 3 == 0 ? -size : size;
                            }
                          }};
  c.tensors = {{.name = "x", .shape = {count}, .fill = away_from_the_kink},
               {.name = "dy", .shape = {count}},
               {.name = "y", .shape = {count}, .role = Role::output},
               {.name = "dx", .shape = {count}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.activation_forward(q, kind, static_cast<std::size_t>(count), t.f32("x"), t.f32("y"));
    k.activation_backward(q, kind, static_cast<std::size_t>(count), t.f32("y"), t.f32("dy"), t.f32("dx"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < count; ++i) {
      v["y"][i] = activate(kind, v["x"][i]);
      v["dx"][i] = v["dy"][i] * derivative(kind, v["y"][i]);
    }
  };
  c.objective = [=](const Values& v) {
    double sum = 0;
    for (int i = 0; i < count; ++i) sum += activate(kind, v.at("x")[i]) * v.at("dy")[i];
    return sum;
  };
  c.gradients = {{"x", "dx"}};
  return c;
}

// Backward alone, from any y; in place over dy or not.
OpCase backward_from_output_case(Activation kind, int count, bool in_place) {
  OpCase c;
  c.op = "activation_backward";
  c.shape = described(kind, count, in_place ? " in place" : "");
  c.tensors = {{.name = "y", .shape = {count}},
               {.name = "dy", .shape = {count}, .role = in_place ? Role::inout : Role::input}};
  if (!in_place) c.tensors.push_back({.name = "dx", .shape = {count}, .role = Role::output});
  const std::string dx = in_place ? "dy" : "dx";
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.activation_backward(q, kind, static_cast<std::size_t>(count), t.f32("y"), t.f32("dy"), t.f32(dx));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < count; ++i) v[dx][i] = v["dy"][i] * derivative(kind, v["y"][i]);
  };
  c.cost = {.flops = (kind == Activation::sigmoid ? 3.0 : 1.0) * count, .bytes = 12.0 * count};
  return c;
}

// Values where a careless formula overflows, or swallows NaN.
Fill extremes() {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& x, auto) {
            constexpr double kInfinity = std::numeric_limits<double>::infinity();
            const double special[] = {
                std::numeric_limits<double>::quiet_NaN(), kInfinity, -kInfinity, 0, -100, 100, 1, -1};
            for (std::size_t i = 0; i < x.size(); ++i) x[i] = special[i % 8];
          }};
}

}  // namespace

std::vector<OpCase> activation_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const Activation kind : {Activation::none, Activation::relu, Activation::sigmoid}) {
    for (const int count : {1, 3, 4, 31, 1023, 4099}) {
      cases.push_back(forward_case(kind, count, Fill{}));
      cases.push_back(backward_case(kind, count));
    }
    cases.push_back(forward_case(kind, 19, extremes(), " extremes"));
    cases.push_back(forward_in_place_case(kind, 33));
    cases.push_back(backward_from_output_case(kind, 33, true));
    cases.push_back(backward_from_output_case(kind, 33, false));
  }
  if (depth == Depth::full) {
    for (const Activation kind : {Activation::relu, Activation::sigmoid}) {
      cases.push_back(forward_case(kind, 1 << 22, Fill{}));
      cases.back().bench = true;
      cases.push_back(backward_from_output_case(kind, 1 << 22, false));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
