// SPDX-License-Identifier: MIT
//
// The losses' cases together, and the definition and cases of loss_reduce.
#include <bit>
#include <cmath>
#include <iterator>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {

std::int32_t as_int_bits(float x) { return std::bit_cast<std::int32_t>(x); }

OpCase coefficient_case(int n, const std::string& input, Fill values, Fill labels,
                        std::function<void(Values&)> definition) {
  OpCase c;
  c.tensors = {{.name = input, .shape = {n, n}, .fill = std::move(values)},
               {.name = "labels", .shape = {n}, .fill = std::move(labels), .dtype = Dtype::i32},
               {.name = "g", .shape = {n, n}, .role = Role::output},
               {.name = "loss", .shape = {n}, .role = Role::output},
               {.name = "count", .shape = {n}, .role = Role::output},
               {.name = "active", .shape = {n}, .role = Role::output}};
  c.reference = std::move(definition);
  return c;
}

OpCase with_objective(OpCase c, const std::string& input) {
  c.objective = [definition = c.reference, input](const Values& v) {
    Values copy{{input, v.at(input)}, {"labels", v.at("labels")}};
    definition(copy);
    return sum(copy["loss"]);
  };
  c.gradients = {{input, "g"}};
  return c;
}

TensorSpec state_tensor(const StepState& state, Role role, Dtype dtype) {
  const auto words = [=](std::vector<double>& v, std::uint64_t) {
    const float floats[] = {state.learning_rate, state.loss_sum, state.active_sum};
    const std::int32_t integers[] = {state.steps, state.step, state.cursor};
    for (int i = 0; i < 3; ++i) {
      v[i] = dtype == Dtype::f32 ? static_cast<double>(floats[i]) : as_int_bits(floats[i]);
      v[3 + i] = dtype == Dtype::f32 ? as_float_bits(integers[i]) : integers[i];
    }
  };
  return {.name = "state",
          .shape = {kStateWords},
          .role = role,
          .fill = {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = words},
          .dtype = dtype};
}

double sum(const std::vector<double>& x) {
  double total = 0;
  for (const double y : x) total += y;
  return total;
}

double softplus(double u) { return std::fmax(u, 0.0) + std::log1p(std::exp(-std::abs(u))); }
double logistic(double u) { return 1 / (1 + std::exp(-u)); }

Fill groups_of(int each) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& labels, auto) {
            for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<double>(i / each);
          }};
}

Fill in_turn(int classes) {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [=](std::vector<double>& labels, auto) {
            for (std::size_t i = 0; i < labels.size(); ++i) labels[i] = static_cast<double>(i % classes);
          }};
}

namespace {

struct Reduced {
  double mean, share, scale;
};

// Means over what `counts` says there is to count; nothing to count: 0, and a gradient of 0.
Reduced reduce(const std::vector<double>& losses, const std::vector<double>& counts,
               const std::vector<double>& actives) {
  const double count = sum(counts);
  if (count == 0) return {0, 0, 0};
  return {sum(losses) / count, sum(actives) / count, 1 / count};
}

struct ReduceOptions {
  bool with_count = true, with_scale = true;
  Fill loss{}, count{}, active{};
  Dtype state = Dtype::f32;
  const char* what = "";
};

OpCase reduce_case(int n, const ReduceOptions& options) {
  OpCase c;
  c.op = "loss_reduce";
  c.shape = "n=" + std::to_string(n) + options.what;
  const StepState before{
      .learning_rate = 0.5f, .loss_sum = 2.5f, .active_sum = 0.25f, .steps = 3, .step = 41, .cursor = 7};
  c.tensors = {{.name = "loss", .shape = {n}, .fill = options.loss},
               {.name = "active", .shape = {n}, .fill = options.active},
               state_tensor(before, Role::inout, options.state)};
  if (options.with_count) c.tensors.push_back({.name = "count", .shape = {n}, .fill = options.count});
  if (options.with_scale) c.tensors.push_back({.name = "scale", .shape = {1}, .role = Role::output});
  c.run = [n, with_count = options.with_count, with_scale = options.with_scale](const Kernels& k, Queue q,
                                                                                DeviceTensors& t) {
    k.loss_reduce(q, n, t.f32("loss"), with_count ? t.f32("count") : nullptr, t.f32("active"),
                  static_cast<StepState*>(t.raw("state")), with_scale ? t.f32("scale") : nullptr);
  };
  c.reference = [=](Values& v) {
    const auto counts = options.with_count ? v["count"] : std::vector<double>(std::size_t(n), 1.0);
    const Reduced r = reduce(v["loss"], counts, v["active"]);
    if (options.with_scale) v["scale"][0] = r.scale;
    const double loss_sum = before.loss_sum + r.mean, active_sum = before.active_sum + r.share;
    if (options.state == Dtype::f32) {
      v["state"] = {before.learning_rate, loss_sum, active_sum, as_float_bits(4), as_float_bits(41), as_float_bits(7)};
    } else {
      v["state"] = {double(as_int_bits(before.learning_rate)),
                    double(as_int_bits(float(loss_sum))),
                    double(as_int_bits(float(active_sum))),
                    4,
                    41,
                    7};
    }
  };
  c.cost = {.flops = 3.0 * n, .bytes = 12.0 * n};
  return c;
}

}  // namespace

std::vector<OpCase> loss_reduce_cases(Depth depth) {
  const Fill losses{.kind = Fill::Kind::uniform, .a = 0, .b = 3, .custom = {}};
  const Fill integers{.kind = Fill::Kind::integers, .a = 0, .b = 8, .custom = {}};
  const Fill shares{.kind = Fill::Kind::integers, .a = 0, .b = 1, .custom = {}};
  const Fill zeros{.kind = Fill::Kind::constant, .a = 0, .b = 0, .custom = {}};
  std::vector<OpCase> cases;
  for (const int n : {1, 31, 255, 256, 1021}) {
    cases.push_back(reduce_case(n, {.loss = losses, .count = integers, .active = shares}));
    cases.push_back(reduce_case(
        n, {.with_count = false, .with_scale = false, .loss = losses, .active = shares, .what = " without count"}));
  }
  cases.push_back(reduce_case(33, {.loss = zeros, .count = zeros, .active = zeros, .what = " nothing to count"}));
  // Sums of integers over a power of two: exact, so the state is judged bit by bit, its counters too.
  cases.push_back(reduce_case(
      512, {.with_count = false, .loss = integers, .active = shares, .state = Dtype::i32, .what = " exact"}));
  if (depth == Depth::full) {
    cases.push_back(reduce_case(4096, {.loss = losses, .count = integers, .active = shares}));
    cases.back().bench = true;
  }
  return cases;
}

std::vector<OpCase> loss_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const auto part : {contrastive_cases, triplet_cases, mined_triplet_cases, similarity_cases, softmax_cases,
                          weighted_cases, loss_reduce_cases}) {
    std::vector<OpCase> more = part(depth);
    std::move(more.begin(), more.end(), std::back_inserter(cases));
  }
  return cases;
}

}  // namespace gemel::reference
