// SPDX-License-Identifier: MIT
//
// Softmax cross-entropy with a margin: the formulas as they stand in the papers, in double, and the cases of
// `softmax_cross_entropy`.
#include <algorithm>
#include <cmath>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {
namespace {

struct TrueLogit {
  double z, slope;  // z_y, dz_y/ds_y
};

// arcface by way of the angle; sin theta below 1e-3 counts as 1e-3 in the slope, as the entry says.
TrueLogit true_logit(const SoftmaxParams& params, double s) {
  const double scale = params.scale, margin = params.margin;
  if (params.kind == SoftmaxMargin::none) return {scale * s, scale};
  if (params.kind == SoftmaxMargin::cosface) return {scale * (s - margin), scale};
  const double theta = std::acos(std::clamp(s, -1.0, 1.0));
  if (theta + margin >= std::acos(-1.0)) return {scale * (std::cos(theta) - margin * std::sin(margin)), scale};
  return {scale * std::cos(theta + margin), scale * std::sin(theta + margin) / std::max(std::sin(theta), 1e-3)};
}

void softmax_cross_entropy(int n, int classes, const SoftmaxParams& params, Values& v) {
  for (const char* name : {"loss", "active"}) v[name].assign(std::size_t(n), 0);
  v["dsimilarity"].assign(std::size_t(n) * classes, 0);
  for (int i = 0; i < n; ++i) {
    const int label = static_cast<int>(v["labels"][i]);
    const double* s = &v["similarity"][std::size_t(i) * classes];
    double* ds = &v["dsimilarity"][std::size_t(i) * classes];
    const TrueLogit own = true_logit(params, s[label]);
    double others = 0;  // relative to the true class
    for (int j = 0; j < classes; ++j) {
      if (j == label) continue;
      others += std::exp(params.scale * s[j] - own.z);
      if (!(params.scale * s[j] < own.z)) v["active"][i] = 1;
    }
    v["loss"][i] = std::log1p(others);
    for (int j = 0; j < classes; ++j) {
      ds[j] = j == label ? -others / (1 + others) * own.slope / n
                         : std::exp(params.scale * s[j] - own.z) / (1 + others) * params.scale / n;
    }
  }
}

OpCase softmax_case(int n, int classes, const SoftmaxParams& params, Fill similarity, const std::string& what = "") {
  OpCase c;
  c.op = "softmax_cross_entropy";
  c.shape = std::string(params.kind == SoftmaxMargin::none      ? "none"
                        : params.kind == SoftmaxMargin::arcface ? "arcface"
                                                                : "cosface") +
            " n=" + std::to_string(n) + " classes=" + std::to_string(classes) + what;
  c.tensors = {{.name = "similarity", .shape = {n, classes}, .fill = std::move(similarity)},
               {.name = "labels", .shape = {n}, .fill = in_turn(classes), .dtype = Dtype::i32},
               {.name = "loss", .shape = {n}, .role = Role::output},
               {.name = "active", .shape = {n}, .role = Role::output},
               {.name = "dsimilarity", .shape = {n, classes}, .role = Role::output}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.softmax_cross_entropy(q, n, classes, params, t.f32("similarity"), t.i32("labels"), t.f32("loss"), t.f32("active"),
                            t.f32("dsimilarity"));
  };
  c.reference = [=](Values& v) { softmax_cross_entropy(n, classes, params, v); };
  // scale up to 64: an f32 logit of 64 is 4e-6 off.
  c.relative = 2e-5;
  c.cost = {.flops = 10.0 * n * classes, .bytes = 8.0 * n * classes};
  return c;
}

OpCase with_objective(OpCase c, int n, int classes, const SoftmaxParams& params) {
  c.objective = [=](const Values& v) {
    Values copy{{"similarity", v.at("similarity")}, {"labels", v.at("labels")}};
    softmax_cross_entropy(n, classes, params, copy);
    return sum(copy["loss"]) / n;
  };
  c.gradients = {{"similarity", "dsimilarity"}};
  return c;
}

// Rows whose true cosine is told (row i: values[i % size]); the others between -0.5 and 0.5. Labels are in turn.
Fill true_cosines(int classes, std::vector<double> values) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& s, auto) {
            const int n = static_cast<int>(s.size()) / classes;
            for (int i = 0; i < n; ++i) {
              for (int j = 0; j < classes; ++j) {
                s[std::size_t(i) * classes + j] =
                    j == i % classes ? values[i % values.size()] : ((i * 37 + j * 11) % 29 - 14) / 28.0;
              }
            }
          }};
}

}  // namespace

std::vector<OpCase> softmax_cases(Depth depth) {
  const SoftmaxParams plain{}, arcface{.kind = SoftmaxMargin::arcface, .scale = 64, .margin = 0.5f},
      cosface{.kind = SoftmaxMargin::cosface, .scale = 64, .margin = 0.35f};
  const SoftmaxParams gentle{.kind = SoftmaxMargin::arcface, .scale = 4, .margin = 0.5f};
  const Fill cosines{.kind = Fill::Kind::uniform, .a = -0.97, .b = 0.97, .custom = {}};
  const Fill logits{.kind = Fill::Kind::normal, .a = 0, .b = 3, .custom = {}};
  std::vector<OpCase> cases;
  for (const SoftmaxParams& params : {plain, arcface, cosface}) {
    const Fill& fill = params.kind == SoftmaxMargin::none ? logits : cosines;
    cases.push_back(softmax_case(1, 1, params, fill));
    cases.push_back(softmax_case(3, 1, params, fill));
    for (const auto& [n, classes] : {std::pair{1, 2}, {5, 7}, {31, 33}}) {
      cases.push_back(with_objective(softmax_case(n, classes, params, fill), n, classes, params));
    }
    for (const auto& [n, classes] : {std::pair{7, 128}, {3, 1021}}) {
      cases.push_back(softmax_case(n, classes, params, fill));
    }
    cases.push_back(
        softmax_case(6, 5, params, {.kind = Fill::Kind::constant, .a = 0.25, .b = 0, .custom = {}}, " all equal"));
    cases.push_back(softmax_case(6, 5, params, true_cosines(5, {0.5, std::nan(""), -0.5}), " with NaN"));
  }
  // Up to the angle where theta + 0.5 reaches pi (cosine -0.8776) and past it; the gentle scale so that each gradient shows.
  const std::vector<double> angles{0.99, 0.5, -0.5, -0.87, -0.885, -0.95, -0.999};
  for (const SoftmaxParams& params : {arcface, gentle}) {
    cases.push_back(with_objective(softmax_case(14, 5, params, true_cosines(5, angles), " past pi"), 14, 5, params));
    // At and beyond the ends, where cosines are clamped, and 1e-7 from 1, where the slope is.
    cases.push_back(
        softmax_case(12, 5, params, true_cosines(5, {1, -1, 1.0000002, -1.0000002, 0.9999999}), " at the ends"));
    cases.back().relative = 1e-3;  // the slope near 1 is made of the last digits of the cosine
  }
  cases.push_back(softmax_case(4, 3, plain, {.kind = Fill::Kind::normal, .a = 0, .b = 300, .custom = {}}, " large"));
  if (depth == Depth::full) {
    for (const int classes : {1024, 10177}) {
      cases.push_back(softmax_case(128, classes, arcface, cosines, " bench"));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
