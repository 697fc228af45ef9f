// SPDX-License-Identifier: MIT
//
// What the SIMT executor costs: a barrier and a shuffle in a bare loop, a register-tiled matrix product, and an
// elementwise kernel with fibers and as a flat loop.  The second argument of each is the number of pool threads.
#include <benchmark/benchmark.h>

#include <cstddef>
#include <cstdint>
#include <vector>

#include "kernels/simt/simt.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::GEMEL_DEVICE {
namespace {

__global__ void barrier_kernel(int n) {
  for (int i = 0; i < n; ++i) __syncthreads();
}

__global__ void shuffle_kernel(int n, float* out) {
  float v = threadIdx.x;
  for (int i = 0; i < n; ++i) v = __shfl_xor_sync(0xffffffffu, v, 1) + 1.0f;
  if (v < 0.0f) *out = v;
}

__global__ void saxpy_kernel(int n, float a, const float* __restrict__ x, float* __restrict__ y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i < n) y[i] = a * x[i] + y[i];
}

// C = A B, all (S, S) row major, S a multiple of 128.  128x128x16 tiles, 8x8 elements a thread, 256 threads.
__global__ void __launch_bounds__(256)
    sgemm_kernel(int S, const float* __restrict__ A, const float* __restrict__ B, float* __restrict__ C) {
  constexpr int kTile = 128, kDepth = 16, kPer = 8, kThreads = 256;
  SIMT_SHARED(float, As, [kDepth][kTile]);
  SIMT_SHARED(float, Bs, [kDepth][kTile]);
  const int t = threadIdx.x, tx = t % (kTile / kPer), ty = t / (kTile / kPer);
  const int row0 = blockIdx.y * kTile, col0 = blockIdx.x * kTile;
  float acc[kPer][kPer] = {};
  for (int k0 = 0; k0 < S; k0 += kDepth) {
    SIMT_UNROLL
    for (int i = 0; i < kTile * kDepth / 4 / kThreads; ++i) {
      const int e = (t + i * kThreads) * 4, r = e / kDepth, c = e % kDepth;
      const float4 v = load4(&A[static_cast<std::size_t>(row0 + r) * S + k0 + c]);
      As[c + 0][r] = v.x;
      As[c + 1][r] = v.y;
      As[c + 2][r] = v.z;
      As[c + 3][r] = v.w;
    }
    SIMT_UNROLL
    for (int i = 0; i < kTile * kDepth / 4 / kThreads; ++i) {
      const int e = (t + i * kThreads) * 4, r = e / kTile, c = e % kTile;
      store4(&Bs[r][c], load4(&B[static_cast<std::size_t>(k0 + r) * S + col0 + c]));
    }
    __syncthreads();
    for (int k = 0; k < kDepth; ++k) {
      float a[kPer], b[kPer];
      SIMT_UNROLL
      for (int i = 0; i < kPer; i += 4) store4(&a[i], load4(&As[k][ty * kPer + i]));
      SIMT_UNROLL
      for (int j = 0; j < kPer; j += 4) store4(&b[j], load4(&Bs[k][tx * kPer + j]));
      SIMT_UNROLL
      for (int i = 0; i < kPer; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < kPer; ++j) acc[i][j] += a[i] * b[j];
      }
    }
    __syncthreads();
  }
  SIMT_UNROLL
  for (int i = 0; i < kPer; ++i) {
    SIMT_UNROLL
    for (int j = 0; j < kPer; ++j)
      C[static_cast<std::size_t>(row0 + ty * kPer + i) * S + col0 + tx * kPer + j] = acc[i][j];
  }
}

void use_threads(benchmark::State& state, int argument) {
  ThreadPool::instance().set_threads(static_cast<int>(state.range(argument)));
}

// Seconds of one worker for one thread's share of `events`, as "ns".
void report_each(benchmark::State& state, double events) {
  state.counters["each"] = benchmark::Counter(events * static_cast<double>(state.iterations()),
                                              benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}

constexpr int kTurns = 1000;

// Arguments: threads a block, workers.  "each": time of a thread for a barrier.
void barrier(benchmark::State& state) {
  use_threads(state, 1);
  const auto threads = static_cast<unsigned>(state.range(0)), blocks = static_cast<unsigned>(state.range(1));
  for (auto _ : state) launch<barrier_kernel>({blocks, threads}, kTurns);
  report_each(state, double{kTurns} * threads);
}
BENCHMARK(barrier)->ArgsProduct({{32, 256, 1024}, {1, 2}})->UseRealTime();

// "each": time of a lane for a shuffle.
void shuffle(benchmark::State& state) {
  use_threads(state, 1);
  const auto threads = static_cast<unsigned>(state.range(0)), blocks = static_cast<unsigned>(state.range(1));
  float out = 0.0f;
  for (auto _ : state) launch<shuffle_kernel>({blocks, threads}, kTurns, &out);
  report_each(state, double{kTurns} * threads);
}
BENCHMARK(shuffle)->ArgsProduct({{256}, {1, 2}})->UseRealTime();

// "flops" a second.
void sgemm(benchmark::State& state) {
  use_threads(state, 1);
  const auto S = static_cast<unsigned>(state.range(0));
  std::vector<float> A(std::size_t{S} * S, 0.5f), B(A), C(A);
  for (auto _ : state)
    launch<sgemm_kernel>({{S / 128, S / 128}, 256}, static_cast<int>(S), A.data(), B.data(), C.data());
  state.counters["flops"] =
      benchmark::Counter(2.0 * S * S * S * static_cast<double>(state.iterations()), benchmark::Counter::kIsRate);
}
BENCHMARK(sgemm)->ArgsProduct({{512}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

struct Saxpy {
  explicit Saxpy(int n) : x(static_cast<std::size_t>(n), 1.0f), y(x) {}
  std::vector<float> x, y;
};

// "each": time of a thread.
void saxpy(benchmark::State& state) {
  use_threads(state, 1);
  const int n = static_cast<int>(state.range(0));
  Saxpy data(n);
  for (auto _ : state) {
    launch<saxpy_kernel>({static_cast<unsigned>(n + 255) / 256, 256}, n, 1e-3f, data.x.data(), data.y.data());
  }
  report_each(state, n);
}
BENCHMARK(saxpy)->ArgsProduct({{1 << 22}, {1, 2}})->UseRealTime()->Unit(benchmark::kMillisecond);

void saxpy_flat(benchmark::State& state) {
  use_threads(state, 1);
  const int n = static_cast<int>(state.range(0));
  Saxpy data(n);
  for (auto _ : state) {
    launch_flat<saxpy_kernel>({static_cast<unsigned>(n + 255) / 256, 256}, n, 1e-3f, data.x.data(), data.y.data());
  }
  report_each(state, n);
}
BENCHMARK(saxpy_flat)->ArgsProduct({{1 << 12, 1 << 18, 1 << 22}, {1, 2}})->UseRealTime();

// One launch that does nothing: what the pool and the executor add to every kernel.
__global__ void nothing_kernel() {}

void empty_launch(benchmark::State& state) {
  use_threads(state, 1);
  for (auto _ : state) launch<nothing_kernel>({static_cast<unsigned>(state.range(0)), 1});
}
BENCHMARK(empty_launch)->ArgsProduct({{1, 64}, {1, 2}})->UseRealTime();

}  // namespace
}  // namespace gemel::GEMEL_DEVICE

BENCHMARK_MAIN();
