// SPDX-License-Identifier: MIT
//
// Residual sums: the definition, operands of one shape and of different ones, either the larger in each direction.
#include <string>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

std::string text(const ResidualShape& s) {
  const auto image = [](int h, int w, int c) {
    return std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(c);
  };
  return "n=" + std::to_string(s.n) + " " + image(s.main_h, s.main_w, s.main_c) + " + " +
         image(s.skip_h, s.skip_w, s.skip_c);
}

// Calls f(index into the sum, index into the operand) for every element of an operand (n,h,w,c).
template <class F>
void for_each_element(const ResidualShape& s, int rows, int columns, int channels, const F& f) {
  std::size_t i = 0;
  for (int n = 0; n < s.n; ++n) {
    for (int h = 0; h < rows; ++h) {
      for (int w = 0; w < columns; ++w) {
        for (int c = 0; c < channels; ++c) f(((std::size_t(n) * s.h() + h) * s.w() + w) * s.c() + c, i++);
      }
    }
  }
}
template <class F>
void for_each_main(const ResidualShape& s, const F& f) {
  for_each_element(s, s.main_h, s.main_w, s.main_c, f);
}
template <class F>
void for_each_skip(const ResidualShape& s, const F& f) {
  for_each_element(s, s.skip_h, s.skip_w, s.skip_c, f);
}

std::vector<double> sum(const ResidualShape& s, const std::vector<double>& main, const std::vector<double>& skip) {
  std::vector<double> y(std::size_t(s.n) * s.h() * s.w() * s.c(), 0.0);
  for_each_main(s, [&](std::size_t at, std::size_t i) { y[at] += main[i]; });
  for_each_skip(s, [&](std::size_t at, std::size_t i) { y[at] += skip[i]; });
  return y;
}

TensorSpec main_tensor(const ResidualShape& s, const char* name, Role role) {
  return {.name = name, .shape = {s.n, s.main_h, s.main_w, s.main_c}, .role = role};
}
TensorSpec skip_tensor(const ResidualShape& s, const char* name, Role role) {
  return {.name = name, .shape = {s.n, s.skip_h, s.skip_w, s.skip_c}, .role = role};
}
TensorSpec sum_tensor(const ResidualShape& s, const char* name, Role role) {
  return {.name = name, .shape = {s.n, s.h(), s.w(), s.c()}, .role = role};
}
double sum_count(const ResidualShape& s) { return static_cast<double>(s.n) * s.h() * s.w() * s.c(); }

// over: "" for memory of its own, or the operand, of y's shape, that y is written over.
OpCase add_case(const ResidualShape& s, const std::string& over = "") {
  OpCase c;
  c.op = "residual_add";
  c.shape = text(s) + (over.empty() ? "" : " over " + over);
  const auto role = [&](const char* name) { return over == name ? Role::inout : Role::input; };
  c.tensors = {main_tensor(s, "main", role("main")), skip_tensor(s, "skip", role("skip"))};
  if (over.empty()) c.tensors.push_back(sum_tensor(s, "y", Role::output));
  const std::string y = over.empty() ? "y" : over;
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.residual_add(q, s, t.f32("main"), t.f32("skip"), t.f32(y));
  };
  c.reference = [=](Values& v) { v[y] = sum(s, v["main"], v["skip"]); };
  c.relative = 1e-6;
  c.cost = {.flops = sum_count(s), .bytes = 12 * sum_count(s)};
  return c;
}

OpCase split_case(const ResidualShape& s, bool wants_main, bool wants_skip) {
  OpCase c;
  c.op = "residual_split";
  c.shape = text(s) + (wants_main ? "" : " without dmain") + (wants_skip ? "" : " without dskip");
  // main and skip are for the objective; the entry reads dy alone.
  c.tensors = {main_tensor(s, "main", Role::input), skip_tensor(s, "skip", Role::input),
               sum_tensor(s, "dy", Role::input)};
  if (wants_main) c.tensors.push_back(main_tensor(s, "dmain", Role::output));
  if (wants_skip) c.tensors.push_back(skip_tensor(s, "dskip", Role::output));
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.residual_split(q, s, t.f32("dy"), wants_main ? t.f32("dmain") : nullptr, wants_skip ? t.f32("dskip") : nullptr);
  };
  c.reference = [=](Values& v) {
    if (wants_main) for_each_main(s, [&](std::size_t at, std::size_t i) { v["dmain"][i] = v["dy"][at]; });
    if (wants_skip) for_each_skip(s, [&](std::size_t at, std::size_t i) { v["dskip"][i] = v["dy"][at]; });
  };
  if (wants_main && wants_skip) {
    c.objective = [=](const Values& v) {
      const std::vector<double> y = sum(s, v.at("main"), v.at("skip"));
      double total = 0;
      for (std::size_t i = 0; i < y.size(); ++i) total += y[i] * v.at("dy")[i];
      return total;
    };
    c.gradients = {{"main", "dmain"}, {"skip", "dskip"}};
  }
  c.relative = c.absolute = 0;  // copies
  c.cost = {.bytes = 16 * sum_count(s)};
  return c;
}

}  // namespace

std::vector<OpCase> residual_cases(Depth depth) {
  std::vector<OpCase> cases;
  const ResidualShape shapes[] = {
      {.n = 1, .main_h = 1, .main_w = 1, .main_c = 1, .skip_h = 1, .skip_w = 1, .skip_c = 1},
      {.n = 3, .main_h = 5, .main_w = 7, .main_c = 33, .skip_h = 5, .skip_w = 7, .skip_c = 33},
      {.n = 2, .main_h = 4, .main_w = 3, .main_c = 17, .skip_h = 4, .skip_w = 3, .skip_c = 5},   // channels
      {.n = 2, .main_h = 3, .main_w = 3, .main_c = 31, .skip_h = 4, .skip_w = 4, .skip_c = 19},  // dlib's 8 -> 4
      {.n = 2, .main_h = 1, .main_w = 1, .main_c = 13, .skip_h = 2, .skip_w = 2, .skip_c = 13},  // and 4 -> 2
      {.n = 1, .main_h = 6, .main_w = 2, .main_c = 3, .skip_h = 5, .skip_w = 4, .skip_c = 47},   // each larger once
      {.n = 31, .main_h = 1, .main_w = 1, .main_c = 129, .skip_h = 1, .skip_w = 1, .skip_c = 64},
  };
  for (const ResidualShape& s : shapes) {
    cases.push_back(add_case(s));
    cases.push_back(split_case(s, true, true));
    cases.push_back(split_case(s, true, false));
    cases.push_back(split_case(s, false, true));
  }
  cases.push_back(add_case(shapes[1], "main"));
  cases.push_back(add_case(shapes[1], "skip"));
  cases.push_back(add_case(shapes[2], "main"));
  if (depth == Depth::full) {
    const ResidualShape same{
        .n = 32, .main_h = 35, .main_w = 35, .main_c = 64, .skip_h = 35, .skip_w = 35, .skip_c = 64};
    const ResidualShape down{
        .n = 32, .main_h = 17, .main_w = 17, .main_c = 64, .skip_h = 17, .skip_w = 17, .skip_c = 32};
    for (const ResidualShape& s : {same, down}) {
      for (OpCase& c : std::vector<OpCase>{add_case(s), split_case(s, true, true)}) {
        c.objective = nullptr;
        c.gradients.clear();
        c.bench = true;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

}  // namespace gemel::reference
