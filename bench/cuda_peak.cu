// SPDX-License-Identifier: MIT
//
// The f32 multiply-add rate of a GPU: chains of FFMA in registers, enough of them to fill every scheduler.
#include "bench/measure.h"
#include "bench/peak.h"
#include "engine/buffer.h"
#include "kernels/simt/simt.h"

namespace gemel::cuda {
namespace {

constexpr int kBlocks = 4096, kThreads = 256, kChains = 8, kRounds = 2048;

// Thread (blockIdx.x, threadIdx.x) advances kChains independent recurrences x = x a + b, kRounds times, and writes their
// sum, one float a thread, so that the work cannot be dropped.
__global__ void __launch_bounds__(kThreads) multiply_add_kernel(float a, float b, float* out) {
  float chain[kChains];
  SIMT_UNROLL
  for (int i = 0; i < kChains; ++i) chain[i] = static_cast<float>(threadIdx.x + i);
  for (int round = 0; round < kRounds; ++round) {
    SIMT_UNROLL
    for (int i = 0; i < kChains; ++i) chain[i] = chain[i] * a + b;
  }
  float sum = 0;
  SIMT_UNROLL
  for (int i = 0; i < kChains; ++i) sum += chain[i];
  out[blockIdx.x * kThreads + threadIdx.x] = sum;
}

}  // namespace
}  // namespace gemel::cuda

namespace gemel::bench {

double cuda_fma_flops(Device& device, Stream& stream) {
  using namespace cuda;
  Buffer out(device, sizeof(float) * kBlocks * kThreads);
  auto call = [&] {
    launch<multiply_add_kernel>({.grid = kBlocks, .block = kThreads, .queue = device.queue(stream)}, 0.999f, 1e-3f,
                                out.f32());
  };
  return 2.0 * kChains * kRounds * kBlocks * kThreads / seconds_per_call(device, stream, call, 0.1);
}

}  // namespace gemel::bench
