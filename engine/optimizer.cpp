// SPDX-License-Identifier: MIT
//
// Settings are checked here, once, where a person can still mend them; the kernels take them as they are.
#include "engine/optimizer.h"

#include <algorithm>
#include <cmath>
#include <cstddef>

namespace gemel {
namespace {

template <class... Cases>
struct Overloaded : Cases... {
  using Cases::operator()...;
};
template <class... Cases>
Overloaded(Cases...) -> Overloaded<Cases...>;

void require(bool holds, const char* setting, double value, const char* wanted) {
  if (!holds) throw InputError(concat("optimizer: ", setting, " is ", value, "; ", wanted));
}

bool is_share(float x) { return x >= 0 && x < 1; }
bool is_amount(float x) { return std::isfinite(x) && x >= 0; }

void check(const Optimizer::Rule& rule) {
  std::visit(
      Overloaded{[](const SgdParams& sgd) {
                   require(is_share(sgd.momentum), "momentum", sgd.momentum, "it must be in [0, 1)");
                   require(is_amount(sgd.weight_decay), "weight decay", sgd.weight_decay, "it must be 0 or more");
                 },
                 [](const AdamParams& adam) {
                   require(is_share(adam.beta1), "beta1", adam.beta1, "it must be in [0, 1)");
                   require(is_share(adam.beta2), "beta2", adam.beta2, "it must be in [0, 1)");
                   require(is_amount(adam.epsilon) && adam.epsilon > 0, "epsilon", adam.epsilon, "it must be above 0");
                   require(is_amount(adam.weight_decay), "weight decay", adam.weight_decay, "it must be 0 or more");
                 }},
      rule);
}

void check(const Schedule& schedule) {
  const auto kind = schedule.kind;
  require(is_amount(schedule.base), "learning rate", schedule.base, "it must be 0 or more");
  require(schedule.warmup >= 0, "warm-up", schedule.warmup, "it must be 0 steps or more");
  if (kind == Schedule::Kind::cosine || kind == Schedule::Kind::linear) {
    require(schedule.total > 0, "number of steps", schedule.total, "a decaying learning rate needs 1 or more");
    require(is_amount(schedule.floor), "lowest learning rate", schedule.floor, "it must be 0 or more");
  }
  if (kind == Schedule::Kind::step) {
    require(schedule.every > 0, "interval of decay", schedule.every, "it must be 1 step or more");
  }
  if (kind == Schedule::Kind::step || kind == Schedule::Kind::inverse) {
    require(is_amount(schedule.gamma), "gamma", schedule.gamma, "it must be 0 or more");
  }
  if (kind == Schedule::Kind::inverse) {
    require(is_amount(schedule.power), "power", schedule.power, "it must be 0 or more");
  }
}

// Adam keeps two moments a parameter: the first for all, then the second for all.
std::size_t moments(const Optimizer::Rule& rule) { return std::holds_alternative<AdamParams>(rule) ? 2 : 1; }

std::string describe_schedule(const Schedule& schedule) {
  std::string text = concat("rate ", schedule.base);
  switch (schedule.kind) {
    case Schedule::Kind::constant:
      break;
    case Schedule::Kind::cosine:
      text += concat(" cosine to ", schedule.floor, " at step ", schedule.total);
      break;
    case Schedule::Kind::linear:
      text += concat(" linear to ", schedule.floor, " at step ", schedule.total);
      break;
    case Schedule::Kind::step:
      text += concat(" times ", schedule.gamma, " every ", schedule.every, " steps");
      break;
    case Schedule::Kind::inverse:
      text += concat(" times (1 + ", schedule.gamma, " t)^-", schedule.power);
      break;
  }
  if (schedule.warmup > 0) text += concat(", warm-up ", schedule.warmup, " steps");
  return text;
}

// The sums that read() zeroes: neighbours, so that one fill does it.
constexpr std::size_t kSumsBegin = offsetof(StepState, loss_sum);
constexpr std::size_t kSumsEnd = offsetof(StepState, steps) + sizeof(StepState::steps);
static_assert(kSumsEnd - kSumsBegin == 2 * sizeof(float) + sizeof(std::int32_t));

}  // namespace

Optimizer::Optimizer(Device& device, Stream& stream, const Parameters& parameters, Rule rule, Schedule schedule)
    : kernels_(&device.kernels()), rule_(rule), schedule_(schedule) {
  check(rule_);
  check(schedule_);
  state_ = Buffer(device, sizeof(StepState));
  moments_ = Buffer(device, moments(rule_) * parameters.trainable_count() * sizeof(float));
  device.fill_zero(stream, state_.data(), state_.bytes());
  device.fill_zero(stream, moments_.data(), moments_.bytes());
}

StepState* Optimizer::state() const { return static_cast<StepState*>(state_.data()); }

void Optimizer::begin_step(Queue queue) const { kernels_->begin_step(queue, schedule_, state()); }

void Optimizer::apply(Queue queue, Parameters& parameters) const {
  const std::size_t count = parameters.trainable_count();
  if (moments_.bytes() != moments(rule_) * count * sizeof(float)) {
    throw Error("Optimizer: applied to other parameters than it was made for");
  }
  float *value = parameters.writable_trainable(), *gradient = parameters.trainable_gradients(),
        *moment = moments_.f32();
  std::visit(
      Overloaded{[&](const SgdParams& sgd) { kernels_->sgd(queue, count, sgd, state(), value, gradient, moment); },
                 [&](const AdamParams& adam) {
                   kernels_->adam(queue, count, adam, state(), value, gradient, moment, moment + count);
                 }},
      rule_);
}

void Optimizer::end_step(Queue queue) const { kernels_->end_step(queue, state()); }

Optimizer::Progress Optimizer::read(Device& device, Stream& stream) const {
  StepState read{};
  device.download(stream, &read, state(), sizeof(read));
  device.fill_zero(stream, static_cast<std::byte*>(state_.data()) + kSumsBegin, kSumsEnd - kSumsBegin);
  const float steps = static_cast<float>(std::max(read.steps, 1));
  return {.step = read.step,
          .learning_rate = read.learning_rate,
          .mean_loss = read.loss_sum / steps,
          .mean_active = read.active_sum / steps,
          .steps = read.steps};
}

void Optimizer::rewind_cursor(Device& device, Stream& stream) const {
  device.fill_zero(stream, &state()->cursor, sizeof(StepState::cursor));
}

std::string Optimizer::describe() const {
  const std::string schedule = describe_schedule(schedule_);
  return std::visit(Overloaded{[&](const SgdParams& sgd) {
                                 return concat("sgd(", schedule, ", ", sgd.nesterov ? "Nesterov " : "", "momentum ",
                                               sgd.momentum, ", weight decay ", sgd.weight_decay, ")");
                               },
                               [&](const AdamParams& adam) {
                                 return concat("adam(", schedule, ", betas ", adam.beta1, " ", adam.beta2,
                                               ", weight decay ", adam.weight_decay, ")");
                               }},
                    rule_);
}

}  // namespace gemel
