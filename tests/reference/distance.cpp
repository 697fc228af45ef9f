// SPDX-License-Identifier: MIT
//
// Euclidean distances: the definition, and cases of paired_distance, pairwise_distance and nearest.
#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

// ||a_i - b_j||^2 of rows of d.
double squared_distance(int d, const std::vector<double>& a, int i, const std::vector<double>& b, int j) {
  double sum = 0;
  for (int k = 0; k < d; ++k) {
    const double difference = a[std::size_t(i) * d + k] - b[std::size_t(j) * d + k];
    sum += difference * difference;
  }
  return sum;
}

OpCase paired_case(int n, int d) {
  OpCase c;
  c.op = "paired_distance";
  c.shape = "n=" + std::to_string(n) + " d=" + std::to_string(d);
  c.tensors = {{.name = "a", .shape = {n, d}},
               {.name = "b", .shape = {n, d}},
               {.name = "distance", .shape = {n}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.paired_distance(q, n, d, t.f32("a"), t.f32("b"), t.f32("distance"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < n; ++i) v["distance"][i] = std::sqrt(squared_distance(d, v["a"], i, v["b"], i));
  };
  c.cost = {.flops = 3.0 * n * d, .bytes = 8.0 * n * d + 4.0 * n};
  return c;
}

OpCase pairwise_case(int n, int m, int d, bool squared) {
  OpCase c;
  c.op = "pairwise_distance";
  c.shape =
      "n=" + std::to_string(n) + " m=" + std::to_string(m) + " d=" + std::to_string(d) + (squared ? " squared" : "");
  c.tensors = {{.name = "a", .shape = {n, d}},
               {.name = "b", .shape = {m, d}},
               {.name = "distance", .shape = {n, m}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.pairwise_distance(q, n, m, d, t.f32("a"), t.f32("b"), squared, t.f32("distance"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < m; ++j) {
        const double d2 = squared_distance(d, v["a"], i, v["b"], j);
        v["distance"][std::size_t(i) * m + j] = squared ? d2 : std::sqrt(d2);
      }
    }
  };
  // One multiply-add a term, as |a|^2 + |b|^2 - 2ab has it.
  c.cost = {.flops = 2.0 * n * m * d, .bytes = 4.0 * (double(n) * d + double(m) * d + double(n) * m)};
  return c;
}

// Rows against themselves: the diagonal must be exactly 0.
OpCase self_case(OpCase c, const char* b) {
  c.shape += " with itself";
  std::erase_if(c.tensors, [&](const TensorSpec& t) { return t.name == b; });
  struct Alias : DeviceTensors {
    explicit Alias(DeviceTensors& t) : tensors(t) {}
    void* raw(const std::string& name) override { return tensors.raw(name == "b" ? "a" : name); }
    DeviceTensors& tensors;
  };
  c.run = [run = c.run](const Kernels& k, Queue q, DeviceTensors& t) {
    Alias alias(t);
    run(k, q, alias);
  };
  c.reference = [reference = c.reference](Values& v) {
    v["b"] = v["a"];
    reference(v);
  };
  return c;
}

// Row i is equal to row i % period, and a quarter of its values off by `step`: pairs at 0, near each other, and far.
OpCase near_case(OpCase c, int d, int period, double offset, double step, const char* what) {
  c.shape += what;
  for (TensorSpec& t : c.tensors) {
    if (t.role != Role::input) continue;
    t.fill = {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& rows, auto) {
                for (std::size_t at = 0; at < rows.size(); ++at) {
                  const int i = int(at) / d, k = int(at) % d, source = i % period;
                  rows[at] =
                      offset + 0.125 * ((source * 37 + k * 11) % 29 - 14) + (i % 3 == 1 && k % 4 == 0 ? step : 0);
                }
              }};
  }
  return c;
}

// The k nearest of m rows, by distance and then by index; NaN behind everything.
OpCase nearest_case(int n, int m, int d, int k, bool squared, Fill rows, const char* what = "") {
  OpCase c;
  c.op = "nearest";
  c.shape = "n=" + std::to_string(n) + " m=" + std::to_string(m) + " d=" + std::to_string(d) +
            " k=" + std::to_string(k) + (squared ? " squared" : "") + what;
  c.tensors = {{.name = "a", .shape = {n, d}, .fill = rows},
               {.name = "b", .shape = {m, d}, .fill = rows},
               {.name = "distance", .shape = {n, k}, .role = Role::output},
               {.name = "index", .shape = {n, k}, .role = Role::output, .dtype = Dtype::i32}};
  c.scratch = [=](const Kernels& kernels) { return kernels.nearest_scratch(n, m, d, k); };
  c.run = [=](const Kernels& kernels, Queue q, DeviceTensors& t) {
    kernels.nearest(q, n, m, d, k, t.f32("a"), t.f32("b"), squared, t.f32("distance"), t.i32("index"));
  };
  c.reference = [=](Values& v) {
    std::vector<double> d2(m);
    std::vector<int> order(m);
    for (int i = 0; i < n; ++i) {
      for (int j = 0; j < m; ++j) d2[j] = squared_distance(d, v["a"], i, v["b"], j);
      std::iota(order.begin(), order.end(), 0);
      std::partial_sort(order.begin(), order.begin() + k, order.end(), [&](int x, int y) {
        if (std::isnan(d2[x]) != std::isnan(d2[y])) return std::isnan(d2[y]);
        return d2[x] != d2[y] && !std::isnan(d2[x]) ? d2[x] < d2[y] : x < y;
      });
      for (int r = 0; r < k; ++r) {
        const std::size_t at = std::size_t(i) * k + r;
        v["distance"][at] = squared ? d2[order[r]] : std::sqrt(d2[order[r]]);
        v["index"][at] = order[r];
      }
    }
  };
  c.cost = {.flops = 2.0 * n * m * d, .bytes = 4.0 * (double(n) * d + double(m) * d) + 8.0 * n * k};
  return c;
}

// Integers around `offset`: every difference, square and sum is exact in f32, and so must the result be. ||a||^2 +
// ||b||^2 - 2ab is not: with offset 4096 its terms need 24 bits and more.
OpCase exact_case(OpCase c, double offset) {
  c.shape += " integers at " + std::to_string(int(offset));
  for (TensorSpec& t : c.tensors) {
    if (t.role == Role::input) t.fill = {.kind = Fill::Kind::integers, .a = offset - 3, .b = offset + 3};
  }
  c.relative = c.absolute = 0;
  return c;
}

// One NaN in row 0 of a makes all of that row's distances NaN, and no other.
OpCase nan_case(OpCase c) {
  c.shape += " with NaN";
  c.tensors[0].fill = {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& a, auto) {
                         for (std::size_t i = 0; i < a.size(); ++i) a[i] = 0.25 * static_cast<double>(i % 7);
                         a[1] = std::nan("");
                       }};
  return c;
}

}  // namespace

std::vector<OpCase> distance_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const auto& [n, d] : {std::pair{1, 1}, {5, 2}, {33, 127}, {3, 128}, {31, 130}}) {
    cases.push_back(paired_case(n, d));
  }
  cases.push_back(self_case(paired_case(7, 33), "b"));
  cases.back().relative = cases.back().absolute = 0;
  cases.push_back(nan_case(paired_case(5, 33)));

  struct Shape {
    int n, m, d;
  };
  for (const Shape& s : {Shape{1, 1, 1}, {1, 65, 2}, {31, 33, 127}, {64, 64, 128}, {67, 130, 130}, {3, 2, 31}}) {
    for (const bool squared : {true, false}) cases.push_back(pairwise_case(s.n, s.m, s.d, squared));
  }
  for (const double offset : {0.0, 4096.0}) {
    cases.push_back(exact_case(pairwise_case(33, 67, 31, true), offset));
    cases.push_back(exact_case(pairwise_case(5, 65, 36, true), offset));
    cases.push_back(exact_case(self_case(pairwise_case(67, 67, 33, true), "b"), offset));
  }
  cases.push_back(nan_case(pairwise_case(5, 7, 33, true)));
  for (const bool squared : {true, false}) {
    cases.push_back(near_case(pairwise_case(41, 53, 131, squared), 131, 9, 0, 0.0625, " near and equal"));
    cases.push_back(near_case(pairwise_case(29, 31, 300, squared), 300, 31, 500, 0.0625, " near, far from 0"));
  }

  // Integers in a small range: most distances are shared by many rows.
  const auto integers = [](double most) { return Fill{.kind = Fill::Kind::integers, .a = 0, .b = most, .custom = {}}; };
  for (const Shape& s : {Shape{1, 1, 1}, {1, 65, 2}, {3, 97, 33}, {33, 31, 131}, {67, 130, 3}, {2, 9001, 5}}) {
    for (const int k : {1, std::min(s.m, 10), std::min(s.m, kMostNearest)}) {
      cases.push_back(nearest_case(s.n, s.m, s.d, k, k % 2 == 0, integers(3), " with ties"));
    }
  }
  cases.push_back(nearest_case(5, 97, 128, 97, true, Fill{}));
  cases.push_back(nearest_case(31, 33, 128, 10, false, Fill{}));
  cases.push_back(nearest_case(4, 70, 3, 70, true, integers(0), " all equal"));
  // Rows 1, 5, 9... of b are NaN; of the others every third is at infinity.
  cases.push_back(nearest_case(3, 41, 2, 41, false, Fill{}, " with NaN and infinity"));
  cases.back().tensors[1].fill = {
      .kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& b, auto) {
        for (int j = 0; j < 41; ++j) {
          b[2 * j] = j % 4 == 1   ? std::nan("")
                     : j % 3 == 0 ? std::numeric_limits<double>::infinity()
                                  : 0.25 * (j * 7 % 5);
          b[2 * j + 1] = 0;
        }
      }};
  if (depth == Depth::full) {
    for (const int n : {1024, 65536}) {
      cases.push_back(paired_case(n, 128));
      cases.back().bench = true;
    }
    for (const Shape& s : {Shape{512, 512, 128}, {2048, 2048, 128}}) {
      cases.push_back(pairwise_case(s.n, s.m, s.d, true));
      cases.back().bench = true;
    }
    cases.push_back(nearest_case(64, 10000, 128, 10, false, Fill{}));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
