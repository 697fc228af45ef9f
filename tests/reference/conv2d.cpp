// SPDX-License-Identifier: MIT
//
// Convolution: plain loops in double, and the shapes every rung must get right.
#include <cstddef>
#include <string>

#include "tests/reference/conv2d_loops.h"
#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

// sum(y * dy), whose gradients are what dgrad and wgrad compute.
double objective(const Conv2dShape& shape, const Values& v, const std::vector<double>* bias) {
  const std::vector<double> y = convolution(shape, v.at("x"), v.at("w"));
  const std::vector<double>& dy = v.at("dy");
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += (y[i] + (bias != nullptr ? (*bias)[i % shape.k] : 0)) * dy[i];
  return sum;
}

OpCase base(const Conv2dShape& shape, const char* op, bool bench) {
  OpCase c;
  c.op = op;
  c.shape = text(shape);
  c.scratch = [shape](const Kernels& kernels) { return kernels.conv2d_scratch(shape); };
  const double x = static_cast<double>(shape.n) * shape.h * shape.w * shape.c;
  const double w = static_cast<double>(shape.k) * shape.r * shape.s * shape.c;
  const double y = static_cast<double>(shape.n) * shape.p() * shape.q() * shape.k;
  c.cost = {.flops = 2 * y * shape.r * shape.s * shape.c, .bytes = 4 * (x + w + y)};
  c.channels = shape.c;
  c.bench = bench;
  return c;
}

OpCase fprop(const Conv2dShape& s, bool with_bias, bool bench) {
  OpCase c = base(s, "conv2d_fprop", bench);
  if (!with_bias) c.shape += " no bias";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}},
               {.name = "bias", .shape = {s.k}},
               {.name = "y", .shape = {s.n, s.p(), s.q(), s.k}, .role = Role::output}};
  c.run = [s, with_bias](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.conv2d_fprop(queue, s, t.f32("x"), t.f32("w"), with_bias ? t.f32("bias") : nullptr, t.f32("y"));
  };
  c.reference = [s, with_bias](Values& v) {
    v["y"] = convolution(s, v["x"], v["w"]);
    for (std::size_t i = 0; with_bias && i < v["y"].size(); ++i) v["y"][i] += v["bias"][i % s.k];
  };
  return c;
}

OpCase dgrad(const Conv2dShape& s, bool bench) {
  OpCase c = base(s, "conv2d_dgrad", bench);
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},  // only the objective reads it
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}},
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.k}},
               {.name = "dx", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output}};
  c.run = [s](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.conv2d_dgrad(queue, s, t.f32("dy"), t.f32("w"), t.f32("dx"));
  };
  c.reference = [s](Values& v) {
    std::vector<double>&dx = v["dx"], &w = v["w"], &dy = v["dy"];
    dx.assign(dx.size(), 0.0);
    for_each_product(s, [&](std::size_t i, std::size_t f, std::size_t o) { dx[i] += dy[o] * w[f]; });
  };
  c.objective = [s](const Values& v) { return objective(s, v, nullptr); };
  c.gradients = {{"x", "dx"}};
  return c;
}

OpCase wgrad(const Conv2dShape& s, bool with_bias, bool bench) {
  OpCase c = base(s, "conv2d_wgrad", bench);
  if (!with_bias) c.shape += " no bias";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}},  // only the objective reads w and bias
               {.name = "bias", .shape = {s.k}},
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.k}},
               {.name = "dw", .shape = {s.k, s.r, s.s, s.c}, .role = Role::inout},
               {.name = "db", .shape = {s.k}, .role = Role::inout}};
  c.run = [s, with_bias](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.conv2d_wgrad(queue, s, t.f32("x"), t.f32("dy"), t.f32("dw"), with_bias ? t.f32("db") : nullptr);
  };
  c.reference = [s, with_bias](Values& v) {
    std::vector<double>&dw = v["dw"], &db = v["db"], &x = v["x"], &dy = v["dy"];
    for_each_product(s, [&](std::size_t i, std::size_t f, std::size_t o) { dw[f] += dy[o] * x[i]; });
    for (std::size_t i = 0; with_bias && i < dy.size(); ++i) db[i % s.k] += dy[i];
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

// Central differences prove the reference on small shapes; on these they would take minutes. Longer sums, larger
// errors.
void without_gradient_check(OpCase& c, double relative) {
  c.relative = relative;
  c.objective = nullptr;
  c.gradients.clear();
}

void add_without_gradient_check(std::vector<OpCase>& cases, const Conv2dShape& s, double relative, bool bench) {
  const std::size_t first = cases.size();
  add(cases, s, true, bench);
  for (std::size_t i = first; i < cases.size(); ++i) without_gradient_check(cases[i], relative);
}

}  // namespace

std::vector<OpCase> conv2d_cases(Depth depth) {
  std::vector<OpCase> cases;
  const Conv2dShape small[] = {
      {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},  // the smallest there is
      {.n = 2, .h = 7, .w = 5, .c = 3, .k = 4, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 3, .h = 9, .w = 11, .c = 1, .k = 5, .r = 5, .s = 5},                         // one channel
      {.n = 1, .h = 8, .w = 8, .c = 4, .k = 8, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // 4-wide accesses
      {.n = 2, .h = 6, .w = 9, .c = 5, .k = 3, .r = 2, .s = 4, .pad_h = 0, .pad_w = 2},  // oblong filter and padding
      {.n = 2, .h = 13, .w = 10, .c = 2, .k = 7, .r = 4, .s = 3, .stride_h = 3, .stride_w = 2, .pad_h = 2, .pad_w = 1},
      {.n = 2, .h = 9, .w = 9, .c = 4, .k = 4, .r = 2, .s = 2, .stride_h = 3, .stride_w = 3},  // pixels no window meets
      {.n = 1, .h = 5, .w = 5, .c = 3, .k = 31, .r = 5, .s = 5},                               // one output pixel
      {.n = 5, .h = 4, .w = 4, .c = 33, .k = 6, .r = 1, .s = 1},                               // 1x1
      {.n = 1, .h = 3, .w = 3, .c = 2, .k = 2, .r = 3, .s = 3, .pad_h = 2, .pad_w = 2},        // mostly padding
  };
  bool with_bias = true;
  for (const Conv2dShape& s : small) {
    add(cases, s, with_bias, false);
    with_bias = !with_bias;
  }
  // Several tiles in each direction, and sums long enough to be split.
  const Conv2dShape tiled[] = {
      {.n = 3, .h = 11, .w = 13, .c = 20, .k = 50, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 9, .w = 8, .c = 64, .k = 68, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 1, .h = 6, .w = 6, .c = 131, .k = 67, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 4, .h = 31, .w = 29, .c = 1, .k = 64, .r = 10, .s = 10},
      {.n = 25, .h = 4, .w = 3, .c = 19, .k = 71, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // more filters than pixels
      {.n = 1, .h = 4, .w = 5, .c = 67, .k = 131, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 1, .w = 1, .c = 33, .k = 131, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
  };
  for (const Conv2dShape& s : tiled) add_without_gradient_check(cases, s, 3e-5, false);
  // First layers, which nobody asks for dgrad: several tiles, parts of tiles, of teams and of filter groups.
  const Conv2dShape first[] = {
      {.n = 2, .h = 31, .w = 33, .c = 1, .k = 20, .r = 5, .s = 5},
      {.n = 1, .h = 33, .w = 31, .c = 3, .k = 33, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 3, .h = 31, .w = 31, .c = 3, .k = 5, .r = 7, .s = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3},
      {.n = 1, .h = 43, .w = 41, .c = 1, .k = 96, .r = 11, .s = 11, .stride_h = 4, .stride_w = 4, .pad_w = 2},
      {.n = 31, .h = 8, .w = 7, .c = 1, .k = 1, .r = 1, .s = 1},
      {.n = 2, .h = 19, .w = 17, .c = 3, .k = 64, .r = 1, .s = 1, .stride_h = 2, .stride_w = 4},
      {.n = 33, .h = 5, .w = 4, .c = 1, .k = 20, .r = 3, .s = 3, .pad_w = 1},
      {.n = 1, .h = 31, .w = 1, .c = 3, .k = 64, .r = 5, .s = 1, .stride_h = 2, .stride_w = 1, .pad_h = 2},
      {.n = 1,
       .h = 13,
       .w = 12,
       .c = 3,
       .k = 64,
       .r = 11,
       .s = 11,
       .stride_h = 4,
       .stride_w = 4,
       .pad_h = 5,
       .pad_w = 5},
  };
  for (const Conv2dShape& s : first) {
    cases.push_back(fprop(s, true, false));
    cases.push_back(wgrad(s, true, false));
    for (std::size_t i = cases.size() - 2; i < cases.size(); ++i) without_gradient_check(cases[i], 3e-5);
  }
  if (depth == Depth::full) {
    // Batches small enough for the plain loops: seconds, not minutes.
    const Conv2dShape networks[] = {
        {.n = 128, .h = 28, .w = 28, .c = 1, .k = 20, .r = 5, .s = 5},  // lenet
        {.n = 128, .h = 12, .w = 12, .c = 20, .k = 50, .r = 5, .s = 5},
        {.n = 64, .h = 28, .w = 28, .c = 1, .k = 32, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // small
        {.n = 64, .h = 28, .w = 28, .c = 32, .k = 32, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        {.n = 64, .h = 14, .w = 14, .c = 32, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        {.n = 64, .h = 14, .w = 14, .c = 64, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
        {.n = 2, .h = 105, .w = 105, .c = 1, .k = 64, .r = 10, .s = 10},  // Koch
        {.n = 1, .h = 48, .w = 48, .c = 64, .k = 128, .r = 7, .s = 7},
        {.n = 2, .h = 21, .w = 21, .c = 128, .k = 128, .r = 4, .s = 4},
        {.n = 4, .h = 56, .w = 56, .c = 64, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // residual networks
        {.n = 4,
         .h = 56,
         .w = 56,
         .c = 64,
         .k = 128,
         .r = 3,
         .s = 3,
         .stride_h = 2,
         .stride_w = 2,
         .pad_h = 1,
         .pad_w = 1},
    };
    for (const Conv2dShape& s : networks) add_without_gradient_check(cases, s, 1e-4, true);
  }
  return cases;
}

}  // namespace gemel::reference
