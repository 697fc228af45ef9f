// SPDX-License-Identifier: MIT
//
// The fully connected layer: plain loops in double, and the shapes every rung must get right.
#include <cstddef>
#include <string>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

// x w^T + b
std::vector<double> product(const LinearShape& s, const std::vector<double>& x, const std::vector<double>& w,
                            const std::vector<double>* bias) {
  std::vector<double> y(static_cast<std::size_t>(s.n) * s.out);
  for (int n = 0; n < s.n; ++n) {
    for (int o = 0; o < s.out; ++o) {
      double sum = bias != nullptr ? (*bias)[o] : 0;
      for (int i = 0; i < s.in; ++i) {
        sum += x[static_cast<std::size_t>(n) * s.in + i] * w[static_cast<std::size_t>(o) * s.in + i];
      }
      y[static_cast<std::size_t>(n) * s.out + o] = sum;
    }
  }
  return y;
}

// sum(y * dy), whose gradients are what dgrad and wgrad compute.
double objective(const LinearShape& s, const Values& v, const std::vector<double>* bias) {
  const std::vector<double> y = product(s, v.at("x"), v.at("w"), bias);
  double sum = 0;
  for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * v.at("dy")[i];
  return sum;
}

OpCase base(const LinearShape& s, const char* op, bool bench) {
  OpCase c;
  c.op = op;
  c.shape = "n=" + std::to_string(s.n) + " " + std::to_string(s.in) + " -> " + std::to_string(s.out);
  c.scratch = [s](const Kernels& kernels) { return kernels.linear_scratch(s); };
  const double n = s.n, in = s.in, out = s.out;
  c.cost = {.flops = 2 * n * in * out, .bytes = 4 * (n * in + in * out + n * out)};
  c.bench = bench;
  return c;
}

// `packed`: with the weights in the device's own form, kept behind the scratch.
OpCase fprop(const LinearShape& s, bool with_bias, bool bench, bool packed = false) {
  OpCase c = base(s, "linear_fprop", bench);
  if (!with_bias) c.shape += " no bias";
  if (packed) c.shape += " packed";
  if (packed) c.scratch = with_packed(c.scratch, [s](const Kernels& k) { return k.linear_packed_bytes(s); });
  c.tensors = {{.name = "x", .shape = {s.n, s.in}},
               {.name = "w", .shape = {s.out, s.in}},
               {.name = "bias", .shape = {s.out}},
               {.name = "y", .shape = {s.n, s.out}, .role = Role::output}};
  c.run = [s, with_bias, packed](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    void* weights = packed ? take_packed(queue, kernels.linear_packed_bytes(s)) : nullptr;
    if (weights != nullptr) kernels.linear_pack(queue, s, t.f32("w"), weights);
    // Whoever packed the weights need not have them any more.
    kernels.linear_fprop(queue, s, t.f32("x"), weights == nullptr ? t.f32("w") : nullptr, weights,
                         with_bias ? t.f32("bias") : nullptr, t.f32("y"));
  };
  c.reference = [s, with_bias](Values& v) { v["y"] = product(s, v["x"], v["w"], with_bias ? &v["bias"] : nullptr); };
  return c;
}

OpCase dgrad(const LinearShape& s, bool bench) {
  OpCase c = base(s, "linear_dgrad", bench);
  c.tensors = {{.name = "x", .shape = {s.n, s.in}},  // only the objective reads it
               {.name = "w", .shape = {s.out, s.in}},
               {.name = "dy", .shape = {s.n, s.out}},
               {.name = "dx", .shape = {s.n, s.in}, .role = Role::output}};
  c.run = [s](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.linear_dgrad(queue, s, t.f32("dy"), t.f32("w"), t.f32("dx"));
  };
  c.reference = [s](Values& v) {
    std::vector<double>&dx = v["dx"], &w = v["w"], &dy = v["dy"];
    dx.assign(dx.size(), 0.0);
    for (int n = 0; n < s.n; ++n) {
      for (int o = 0; o < s.out; ++o) {
        for (int i = 0; i < s.in; ++i) {
          dx[static_cast<std::size_t>(n) * s.in + i] +=
              dy[static_cast<std::size_t>(n) * s.out + o] * w[static_cast<std::size_t>(o) * s.in + i];
        }
      }
    }
  };
  c.objective = [s](const Values& v) { return objective(s, v, nullptr); };
  c.gradients = {{"x", "dx"}};
  return c;
}

OpCase wgrad(const LinearShape& s, bool with_bias, bool bench) {
  OpCase c = base(s, "linear_wgrad", bench);
  if (!with_bias) c.shape += " no bias";
  c.tensors = {{.name = "x", .shape = {s.n, s.in}},
               {.name = "w", .shape = {s.out, s.in}},  // only the objective reads w and bias
               {.name = "bias", .shape = {s.out}},
               {.name = "dy", .shape = {s.n, s.out}},
               {.name = "dw", .shape = {s.out, s.in}, .role = Role::inout},
               {.name = "db", .shape = {s.out}, .role = Role::inout}};
  c.run = [s, with_bias](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.linear_wgrad(queue, s, t.f32("x"), t.f32("dy"), t.f32("dw"), with_bias ? t.f32("db") : nullptr);
  };
  c.reference = [s, with_bias](Values& v) {
    std::vector<double>&dw = v["dw"], &db = v["db"], &x = v["x"], &dy = v["dy"];
    for (int n = 0; n < s.n; ++n) {
      for (int o = 0; o < s.out; ++o) {
        const double gradient = dy[static_cast<std::size_t>(n) * s.out + o];
        if (with_bias) db[o] += gradient;
        for (int i = 0; i < s.in; ++i) {
          dw[static_cast<std::size_t>(o) * s.in + i] += gradient * x[static_cast<std::size_t>(n) * s.in + i];
        }
      }
    }
  };
  c.objective = [s, with_bias](const Values& v) { return objective(s, v, with_bias ? &v.at("bias") : nullptr); };
  c.gradients = {{"w", "dw"}};
  if (with_bias) c.gradients.push_back({"bias", "db"});
  return c;
}

void add(std::vector<OpCase>& cases, const LinearShape& s, bool with_bias, bool bench) {
  cases.push_back(fprop(s, with_bias, bench));
  cases.push_back(dgrad(s, bench));
  cases.push_back(wgrad(s, with_bias, bench));
}

// Central differences prove the reference on small shapes; on these they would take minutes. Longer sums, larger
// errors.
void add_without_gradient_check(std::vector<OpCase>& cases, const LinearShape& s, double relative, bool bench) {
  const std::size_t first = cases.size();
  add(cases, s, true, bench);
  for (std::size_t i = first; i < cases.size(); ++i) {
    cases[i].relative = relative;
    cases[i].objective = nullptr;
    cases[i].gradients.clear();
  }
}

}  // namespace

std::vector<OpCase> linear_cases(Depth depth) {
  std::vector<OpCase> cases;
  bool with_bias = true;
  for (const LinearShape& s :
       {LinearShape{1, 1, 1}, LinearShape{1, 31, 7}, LinearShape{5, 4, 8}, LinearShape{33, 20, 1},
        LinearShape{31, 1, 33}, LinearShape{3, 17, 12}, LinearShape{17, 32, 10}}) {
    add(cases, s, with_bias, false);
    with_bias = !with_bias;
  }
  for (const LinearShape& s : {LinearShape{1, 31, 7}, LinearShape{1, 1601, 37}, LinearShape{7, 300, 33}}) {
    cases.push_back(fprop(s, true, false, true));
  }
  // Several tiles in each direction, ragged and 4-wide, and sums long enough to be split.
  for (const LinearShape& s : {LinearShape{131, 67, 137}, LinearShape{132, 64, 196}, LinearShape{1, 1601, 5},
                               LinearShape{2, 1200, 516}, LinearShape{517, 9, 1030}}) {
    add_without_gradient_check(cases, s, 3e-5, false);
  }
  if (depth == Depth::full) {
    for (const LinearShape& s : {LinearShape{256, 800, 500}, LinearShape{256, 500, 10},     // LeNet
                                 LinearShape{128, 3136, 128}, LinearShape{64, 9216, 4096},  // small, Koch
                                 LinearShape{1, 9216, 4096}, LinearShape{256, 25088, 512}}) {
      add_without_gradient_check(cases, s, 1e-4, true);
    }
  }
  return cases;
}

}  // namespace gemel::reference
