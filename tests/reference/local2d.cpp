// SPDX-License-Identifier: MIT
//
// The locally connected layer: plain loops in double, and the shapes every rung must get right. Its products are those
// of a convolution, with another filter at each place.
#include <cstddef>
#include <string>

#include "tests/reference/conv2d_loops.h"
#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

std::size_t filter_floats(const Conv2dShape& s) { return static_cast<std::size_t>(s.k) * s.r * s.s * s.c; }
std::size_t outputs(const Conv2dShape& s) { return static_cast<std::size_t>(s.p()) * s.q() * s.k; }  // of an image

// Calls f(index into x, index into w (P,Q,K,R,S,C), index into y) for every product.
template <class F>
void for_each_local_product(const Conv2dShape& s, const F& f) {
  const std::size_t floats = filter_floats(s), places = outputs(s) / s.k;
  for_each_product(
      s, [&](std::size_t i, std::size_t filter, std::size_t o) { f(i, o / s.k % places * floats + filter, o); });
}

std::vector<double> layer(const Conv2dShape& s, const std::vector<double>& x, const std::vector<double>& w,
                          const std::vector<double>* bias) {
  std::vector<double> y(s.n * outputs(s), 0.0);
  for_each_local_product(s, [&](std::size_t i, std::size_t f, std::size_t o) { y[o] += x[i] * w[f]; });
  for (std::size_t i = 0; bias != nullptr && i < y.size(); ++i) y[i] += (*bias)[i % bias->size()];
  return y;
}

// sum(y * dy), whose gradients are what dgrad and wgrad compute.
double objective(const Conv2dShape& s, const Values& v, const std::vector<double>* bias) {
  const std::vector<double> y = layer(s, v.at("x"), v.at("w"), bias);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * v.at("dy")[i];
  return sum;
}

OpCase base(const Conv2dShape& s, const char* op, bool bench) {
  OpCase c;
  c.op = op;
  c.shape = text(s);
  c.scratch = [s](const Kernels& kernels) { return kernels.local2d_scratch(s); };
  const double x = static_cast<double>(s.n) * s.h * s.w * s.c, y = static_cast<double>(s.n) * outputs(s);
  const double w = static_cast<double>(outputs(s)) * s.r * s.s * s.c;
  c.cost = {.flops = 2 * y * s.r * s.s * s.c, .bytes = 4 * (x + w + y)};
  c.bench = bench;
  return c;
}

TensorSpec filters(const Conv2dShape& s, const char* name, Role role) {
  return {.name = name, .shape = {s.p(), s.q(), s.k, s.r, s.s, s.c}, .role = role};
}

OpCase fprop(const Conv2dShape& s, bool with_bias, bool bench) {
  OpCase c = base(s, "local2d_fprop", bench);
  if (!with_bias) c.shape += " no bias";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               filters(s, "w", Role::input),
               {.name = "bias", .shape = {s.p(), s.q(), s.k}},
               {.name = "y", .shape = {s.n, s.p(), s.q(), s.k}, .role = Role::output}};
  c.run = [s, with_bias](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.local2d_fprop(queue, s, t.f32("x"), t.f32("w"), with_bias ? t.f32("bias") : nullptr, t.f32("y"));
  };
  c.reference = [s, with_bias](Values& v) { v["y"] = layer(s, v["x"], v["w"], with_bias ? &v["bias"] : nullptr); };
  return c;
}

OpCase dgrad(const Conv2dShape& s, bool bench) {
  OpCase c = base(s, "local2d_dgrad", bench);
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},  // only the objective reads it
               filters(s, "w", Role::input),
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.k}},
               {.name = "dx", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output}};
  c.run = [s](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.local2d_dgrad(queue, s, t.f32("dy"), t.f32("w"), t.f32("dx"));
  };
  c.reference = [s](Values& v) {
    std::vector<double>&dx = v["dx"], &w = v["w"], &dy = v["dy"];
    dx.assign(dx.size(), 0.0);
    for_each_local_product(s, [&](std::size_t i, std::size_t f, std::size_t o) { dx[i] += dy[o] * w[f]; });
  };
  c.objective = [s](const Values& v) { return objective(s, v, nullptr); };
  c.gradients = {{"x", "dx"}};
  return c;
}

OpCase wgrad(const Conv2dShape& s, bool with_bias, bool bench) {
  OpCase c = base(s, "local2d_wgrad", bench);
  if (!with_bias) c.shape += " no bias";
  c.cost.bytes += 4.0 * static_cast<double>(outputs(s)) * s.r * s.s * s.c;  // dw is read and written
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               filters(s, "w", Role::input),  // only the objective reads w and bias
               {.name = "bias", .shape = {s.p(), s.q(), s.k}},
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.k}},
               filters(s, "dw", Role::inout),
               {.name = "db", .shape = {s.p(), s.q(), s.k}, .role = Role::inout}};
  c.run = [s, with_bias](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.local2d_wgrad(queue, s, t.f32("x"), t.f32("dy"), t.f32("dw"), with_bias ? t.f32("db") : nullptr);
  };
  c.reference = [s, with_bias](Values& v) {
    std::vector<double>&dw = v["dw"], &db = v["db"], &x = v["x"], &dy = v["dy"];
    for_each_local_product(s, [&](std::size_t i, std::size_t f, std::size_t o) { dw[f] += dy[o] * x[i]; });
    for (std::size_t i = 0; with_bias && i < dy.size(); ++i) db[i % db.size()] += dy[i];
  };
  c.objective = [s, with_bias](const Values& v) { return objective(s, v, with_bias ? &v.at("bias") : nullptr); };
  c.gradients = {{"w", "dw"}};
  if (with_bias) c.gradients.push_back({"bias", "db"});
  return c;
}

void add(std::vector<OpCase>& cases, const Conv2dShape& s, bool with_bias, bool bench) {
  cases.push_back(fprop(s, with_bias, bench));
  cases.push_back(dgrad(s, bench));
  cases.push_back(wgrad(s, with_bias, bench));
}

// As for conv2d: central differences on these would take minutes.
void add_without_gradient_check(std::vector<OpCase>& cases, const Conv2dShape& s, bool bench) {
  const std::size_t first = cases.size();
  add(cases, s, true, bench);
  for (std::size_t i = first; i < cases.size(); ++i) {
    cases[i].relative = 3e-5;
    cases[i].objective = nullptr;
    cases[i].gradients.clear();
  }
}

}  // namespace

std::vector<OpCase> local2d_cases(Depth depth) {
  std::vector<OpCase> cases;
  const Conv2dShape small[] = {
      {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},  // the smallest there is
      {.n = 2, .h = 7, .w = 5, .c = 3, .k = 4, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 31, .h = 4, .w = 5, .c = 1, .k = 2, .r = 2, .s = 3},
      {.n = 1, .h = 3, .w = 3, .c = 17, .k = 33, .r = 3, .s = 3},                        // one place
      {.n = 2, .h = 4, .w = 5, .c = 16, .k = 16, .r = 3, .s = 4},                        // whole vectors
      {.n = 2, .h = 5, .w = 7, .c = 5, .k = 3, .r = 2, .s = 4, .pad_h = 0, .pad_w = 2},  // oblong
      {.n = 2, .h = 9, .w = 6, .c = 2, .k = 7, .r = 4, .s = 3, .stride_h = 3, .stride_w = 2, .pad_h = 2, .pad_w = 1},
      {.n = 2, .h = 6, .w = 6, .c = 4, .k = 4, .r = 2, .s = 2, .stride_h = 3, .stride_w = 3},  // pixels no window met
      {.n = 1, .h = 3, .w = 3, .c = 2, .k = 2, .r = 3, .s = 3, .pad_h = 2, .pad_w = 2},        // mostly padding
  };
  bool with_bias = true;
  for (const Conv2dShape& s : small) {
    add(cases, s, with_bias, false);
    with_bias = !with_bias;
  }
  // Several tiles in each direction, long sums, batches beyond a block of rows.
  const Conv2dShape tiled[] = {
      {.n = 33, .h = 5, .w = 6, .c = 16, .k = 16, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 139, .h = 4, .w = 4, .c = 8, .k = 17, .r = 3, .s = 2},
      {.n = 5, .h = 8, .w = 7, .c = 36, .k = 20, .r = 5, .s = 5, .stride_h = 3, .stride_w = 2},
      {.n = 1, .h = 6, .w = 5, .c = 131, .k = 35, .r = 3, .s = 4},
      {.n = 67, .h = 3, .w = 2, .c = 33, .k = 36, .r = 2, .s = 2, .pad_h = 1},
  };
  for (const Conv2dShape& s : tiled) add_without_gradient_check(cases, s, false);
  if (depth == Depth::full) {
    // DeepFace's L5 and L6. L4, 251 MB of weights, is in bench/cpu_conv_bench.
    for (const int n : {1, 32}) {
      const Conv2dShape l5{.n = n, .h = 55, .w = 55, .c = 16, .k = 16, .r = 7, .s = 7, .stride_h = 2, .stride_w = 2};
      const Conv2dShape l6{.n = n, .h = 25, .w = 25, .c = 16, .k = 16, .r = 5, .s = 5};
      add_without_gradient_check(cases, l5, true);
      add_without_gradient_check(cases, l6, true);
    }
  }
  return cases;
}

}  // namespace gemel::reference
