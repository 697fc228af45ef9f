// SPDX-License-Identifier: MIT
//
// Optimizers and learning-rate schedules: the definitions, and cases of sgd, adam, begin_step and end_step.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "tests/reference/loss_parts.h"

namespace gemel::reference {
namespace {

// PyTorch's form: weight decay joins the gradient, the rate stands outside of the momentum.
void sgd(const SgdParams& params, double rate, Values& v) {
  for (std::size_t i = 0; i < v["value"].size(); ++i) {
    double &w = v["value"][i], &g = v["gradient"][i], &momentum = v["momentum"][i];
    const double decayed = g + params.weight_decay * w;
    momentum = params.momentum * momentum + decayed;
    w -= rate * (params.nesterov ? decayed + params.momentum * momentum : momentum);
    g = 0;
  }
}

// Kingma, Ba 2015, algorithm 1, with t = step + 1; decoupled weight decay as in Loshchilov, Hutter 2019.
void adam(const AdamParams& params, double rate, int step, Values& v) {
  const double beta1 = params.beta1, beta2 = params.beta2;
  for (std::size_t i = 0; i < v["value"].size(); ++i) {
    double &w = v["value"][i], &g = v["gradient"][i], &first = v["m"][i], &second = v["v"][i];
    first = beta1 * first + (1 - beta1) * g;
    second = beta2 * second + (1 - beta2) * g * g;
    const double first_hat = first / (1 - std::pow(beta1, step + 1));
    const double second_hat = second / (1 - std::pow(beta2, step + 1));
    w -= rate * (first_hat / (std::sqrt(second_hat) + params.epsilon) + params.weight_decay * w);
    g = 0;
  }
}

// The rate of step t: linear warm-up, then the decay over the steps that are left.
double rate_at(const Schedule& s, int t) {
  if (t < s.warmup) return double{s.base} * (t + 1) / s.warmup;
  const int u = t - s.warmup;
  const double progress = std::min(1.0, double(u) / std::max(1, s.total - s.warmup));
  switch (s.kind) {
    case Schedule::Kind::constant:
      return s.base;
    case Schedule::Kind::cosine:
      return s.floor + (double{s.base} - s.floor) * (1 + std::cos(std::numbers::pi * progress)) / 2;
    case Schedule::Kind::linear:
      return s.base + (double{s.floor} - s.base) * progress;
    case Schedule::Kind::step:
      return s.every <= 0 ? s.base : s.base * std::pow(double{s.gamma}, u / s.every);
    case Schedule::Kind::inverse:
      return s.base * std::pow(1 + double{s.gamma} * u, -double{s.power});
  }
  return s.base;
}

// ---- cases
StepState at_step(int step, float rate) {
  return {.learning_rate = rate, .loss_sum = 0, .active_sum = 0, .steps = 2, .step = step, .cursor = 5};
}

Fill with_one_nan() {
  return {.kind = Fill::Kind::custom, .a = 0, .b = 0, .custom = [](std::vector<double>& g, auto) {
            for (std::size_t i = 0; i < g.size(); ++i) g[i] = 0.125 * static_cast<double>(i % 9) - 0.5;
            g[g.size() / 2] = std::nan("");
          }};
}

OpCase sgd_case(int count, const SgdParams& params, const std::string& what, Fill gradient = {}) {
  OpCase c;
  c.op = "sgd";
  c.shape = std::to_string(count) + what;
  const StepState state = at_step(3, 0.0625f);
  c.tensors = {{.name = "value", .shape = {count}, .role = Role::inout},
               {.name = "gradient", .shape = {count}, .role = Role::inout, .fill = std::move(gradient)},
               {.name = "momentum", .shape = {count}, .role = Role::inout},
               state_tensor(state, Role::input, Dtype::f32)};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.sgd(q, static_cast<std::size_t>(count), params, static_cast<const StepState*>(t.raw("state")), t.f32("value"),
          t.f32("gradient"), t.f32("momentum"));
  };
  c.reference = [=](Values& v) { sgd(params, state.learning_rate, v); };
  c.cost = {.flops = 6.0 * count, .bytes = 24.0 * count};
  return c;
}

OpCase adam_case(int count, int step, const AdamParams& params, const std::string& what, Fill gradient = {}) {
  OpCase c;
  c.op = "adam";
  c.shape = std::to_string(count) + " step " + std::to_string(step) + what;
  const StepState state = at_step(step, 0.0625f);
  c.tensors = {{.name = "value", .shape = {count}, .role = Role::inout},
               {.name = "gradient", .shape = {count}, .role = Role::inout, .fill = std::move(gradient)},
               {.name = "m", .shape = {count}, .role = Role::inout},
               {.name = "v",
                .shape = {count},
                .role = Role::inout,
                .fill = {.kind = Fill::Kind::uniform, .a = 0.01, .b = 2, .custom = {}}},
               state_tensor(state, Role::input, Dtype::f32)};
  if (step == 0) {  // a run's first step: nothing has been gathered
    c.tensors[2].fill = c.tensors[3].fill = {.kind = Fill::Kind::constant, .a = 0, .b = 0, .custom = {}};
  }
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.adam(q, static_cast<std::size_t>(count), params, static_cast<const StepState*>(t.raw("state")), t.f32("value"),
           t.f32("gradient"), t.f32("m"), t.f32("v"));
  };
  c.reference = [=](Values& v) { adam(params, state.learning_rate, step, v); };
  c.cost = {.flops = 15.0 * count, .bytes = 32.0 * count};
  return c;
}

OpCase begin_case(const Schedule& schedule, int step, const std::string& what) {
  OpCase c;
  c.op = "begin_step";
  c.shape = what + " step " + std::to_string(step);
  c.tensors = {state_tensor(at_step(step, 77.0f), Role::inout, Dtype::f32)};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.begin_step(q, schedule, static_cast<StepState*>(t.raw("state")));
  };
  c.reference = [=](Values& v) { v["state"][kLearningRate] = rate_at(schedule, step); };
  c.relative = 1e-6;
  c.absolute = 0;
  return c;
}

// Judges every bit of the state; its rates are exact.
OpCase begin_exact_case() {
  const Schedule schedule{.kind = Schedule::Kind::constant, .base = 0.375f};
  OpCase c = begin_case(schedule, 12, "every bit");
  c.tensors = {state_tensor(at_step(12, 77.0f), Role::inout, Dtype::i32)};
  c.reference = [=](Values& v) { v["state"][kLearningRate] = as_int_bits(schedule.base); };
  return c;
}

OpCase end_case() {
  OpCase c;
  c.op = "end_step";
  c.shape = "every bit";
  c.tensors = {state_tensor(at_step(12, 0.1f), Role::inout, Dtype::i32)};
  c.run = [](const Kernels& k, Queue q, DeviceTensors& t) { k.end_step(q, static_cast<StepState*>(t.raw("state"))); };
  c.reference = [](Values& v) {
    v["state"][kStep] += 1;
    v["state"][kCursor] += 1;
  };
  return c;
}

}  // namespace

std::vector<OpCase> optimizer_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const int count : {1, 3, 4, 31, 1021, 4100}) {
    cases.push_back(sgd_case(count, {}, ""));
    cases.push_back(adam_case(count, 0, {}, ""));
    cases.push_back(adam_case(count, 9, {}, ""));
  }
  cases.push_back(sgd_case(67, {.momentum = 0, .weight_decay = 0, .nesterov = false}, " plain"));
  cases.push_back(sgd_case(67, {.momentum = 0.9f, .weight_decay = 0.125f, .nesterov = false}, " decay"));
  cases.push_back(sgd_case(67, {.momentum = 0.9f, .weight_decay = 0.125f, .nesterov = true}, " nesterov, decay"));
  cases.push_back(sgd_case(67, {}, " with NaN", with_one_nan()));
  cases.push_back(adam_case(67, 5, {.beta1 = 0.8f, .beta2 = 0.99f, .epsilon = 0.5f, .weight_decay = 0}, " constants"));
  for (const int step : {0, 3, 1000, 1000000}) {
    cases.push_back(adam_case(67, step, {.weight_decay = 0.25f}, " decay"));
  }
  cases.push_back(adam_case(67, 2, {}, " with NaN", with_one_nan()));

  using Kind = Schedule::Kind;
  const std::pair<Kind, const char*> kinds[] = {{Kind::constant, "constant"},
                                                {Kind::cosine, "cosine"},
                                                {Kind::linear, "linear"},
                                                {Kind::step, "step"},
                                                {Kind::inverse, "inverse"}};
  for (const auto& [kind, name] : kinds) {
    Schedule s{.kind = kind, .base = 0.3f, .warmup = 10, .total = 110, .floor = 0.01f, .every = 20, .gamma = 0.1f};
    // Within the warm-up, its last step, the first after, on the way, the last, beyond the end.
    for (const int step : {0, 4, 9, 10, 11, 29, 30, 60, 85, 109, 110, 500}) cases.push_back(begin_case(s, step, name));
    s.warmup = s.total = s.every = 0;
    for (const int step : {0, 1, 1000}) cases.push_back(begin_case(s, step, std::string(name) + " without lengths"));
  }
  cases.push_back(begin_exact_case());
  cases.push_back(end_case());
  if (depth == Depth::full) {
    for (const int count : {431080, 1 << 24}) {  // Caffe's Siamese LeNet; larger than any cache
      cases.push_back(sgd_case(count, {}, " bench"));
      cases.back().bench = true;
      cases.push_back(adam_case(count, 9, {}, " bench"));
      cases.back().bench = true;
    }
  }
  return cases;
}

}  // namespace gemel::reference
