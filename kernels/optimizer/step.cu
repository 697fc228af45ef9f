// SPDX-License-Identifier: MIT
//
// The device's own clock of a training run: what a captured step needs to know without the host.
//
//   begin_step   state->learning_rate = rate(state->step)
//   end_step     state->step += 1, state->cursor += 1
//
//   rate(t), t = 0, 1, ...
//     t < warmup   base (t + 1) / warmup: the last warm-up step is the first at the full rate
//     otherwise, with u = t - warmup and progress p = min(1, u / max(1, total - warmup)),
//     constant     base
//     cosine       floor + (base - floor) (1 + cos(pi p)) / 2        Loshchilov, Hutter 2017, without restarts
//     linear       base + (floor - base) p
//     step         base gamma^(u div every); every <= 0: base
//     inverse      base (1 + gamma u)^-power                         Caffe's "inv"
//
// Mapping    one thread.
// Numerics   in double, rounded once. (1 + cos(pi p)) / 2 is sin^2 of pi (1 - p) / 2, by its Taylor series: the
// argument
//            lies in [0, pi/2], where 12 terms are exact, and no range reduction with its local memory is needed.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// sin(x), 0 <= x <= pi/2.
__device__ inline double sine(double x) {
  double term = x, sum = x;
  for (int k = 1; k < 12; ++k) {
    term *= -x * x / (2 * k * (2 * k + 1));
    sum += term;
  }
  return sum;
}

__device__ inline double rate_at(const Schedule& schedule, int t) {
  constexpr double kHalfPi = 1.57079632679489661923;
  const double base = schedule.base, floor = schedule.floor;
  if (t < schedule.warmup) return base * (t + 1) / schedule.warmup;
  const int u = t - schedule.warmup;
  const int span = schedule.total - schedule.warmup;
  const double ratio = static_cast<double>(u) / (span > 1 ? span : 1);
  const double progress = ratio < 1 ? ratio : 1.0;
  switch (schedule.kind) {
    case Schedule::Kind::constant:
      return base;
    case Schedule::Kind::cosine: {
      const double s = sine(kHalfPi * (1 - progress));
      return floor + (base - floor) * s * s;
    }
    case Schedule::Kind::linear:
      return base + (floor - base) * progress;
    case Schedule::Kind::step:
      return schedule.every <= 0 ? base : base * pow(double{schedule.gamma}, double(u / schedule.every));
    case Schedule::Kind::inverse:
      return base * pow(1 + double{schedule.gamma} * u, -double{schedule.power});
  }
  return base;
}

__global__ void begin_step_kernel(Schedule schedule, StepState* state) {
  state->learning_rate = static_cast<float>(rate_at(schedule, state->step));
}
SIMT_CONTRACT(begin_step_kernel);

__global__ void end_step_kernel(StepState* state) {
  state->step += 1;
  state->cursor += 1;
}
SIMT_CONTRACT(end_step_kernel, .loads = 2.1, .stores = 2.1);

}  // namespace

void begin_step(Queue queue, const Schedule& schedule, StepState* state) {
  launch_flat<begin_step_kernel>({.grid = 1, .block = 1, .queue = queue}, schedule, state);
}

void end_step(Queue queue, StepState* state) {
  launch_flat<end_step_kernel>({.grid = 1, .block = 1, .queue = queue}, state);
}

}  // namespace gemel::GEMEL_DEVICE
