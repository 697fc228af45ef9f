// SPDX-License-Identifier: MIT
//
// From per-row losses to the numbers of a training step, on the device.
//
//   mean   = sum(loss) / sum(count)      share = sum(active) / sum(count)      scale = 1 / sum(count)
//   state->loss_sum += mean              state->active_sum += share            state->steps += 1
//
// Shapes     loss, count, active (N); count null: every row counts once, sum(count) = N; scale one float or null.
// Mapping    one block of 256 threads; thread t sums rows t, t + 256, ... and a tree over the block sums the threads.
// Shared     3 x 256 doubles, 6 KB.
// Traffic    12 bytes a row, a few thousand rows at most: bound by latency.
// Numerics   double sums in a fixed order.
// Edges      sum(count) = 0 (no triplet in the batch): mean, share and scale are 0, so that the gradient is too. NaN
//            passes through.
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;

__global__ void __launch_bounds__(kThreads)
    loss_reduce_kernel(int n, const float* __restrict__ loss, const float* __restrict__ count,
                       const float* __restrict__ active, StepState* state, float* scale) {
  SIMT_SHARED(double, losses, [kThreads]);
  SIMT_SHARED(double, counts, [kThreads]);
  SIMT_SHARED(double, actives, [kThreads]);
  const int t = threadIdx.x;
  double own_loss = 0, own_count = 0, own_active = 0;
  for (int i = t; i < n; i += kThreads) {
    own_loss += loss[i];
    own_count += count == nullptr ? 1.0f : count[i];
    own_active += active[i];
  }
  losses[t] = own_loss;
  counts[t] = own_count;
  actives[t] = own_active;
  for (int half = kThreads / 2; half > 0; half /= 2) {
    __syncthreads();
    if (t < half) {
      losses[t] += losses[t + half];
      counts[t] += counts[t + half];
      actives[t] += actives[t + half];
    }
  }
  if (t == 0) {
    const double factor = counts[0] == 0 ? 0.0 : 1.0 / counts[0];
    state->loss_sum += static_cast<float>(losses[0] * factor);
    state->active_sum += static_cast<float>(actives[0] * factor);
    state->steps += 1;
    if (scale != nullptr) *scale = static_cast<float>(factor);
  }
}
SIMT_CONTRACT(loss_reduce_kernel, .stores = 2.1);

}  // namespace

void loss_reduce(Queue queue, int n, const float* loss, const float* count, const float* active, StepState* state,
                 float* scale) {
  if (n == 0) return;
  launch<loss_reduce_kernel>({.grid = 1, .block = kThreads, .queue = queue}, n, loss, count, active, state, scale);
}

}  // namespace gemel::GEMEL_DEVICE
