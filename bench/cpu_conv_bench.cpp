// SPDX-License-Identifier: MIT
//
// The matrix products of the `cpu` device, on the layers of `small` and `lenet`, the 3x3 convolution 64 -> 64 at 14x14,
// the face detector and DeepFace's locally connected layers: forward, input gradient and filter gradient, in GFLOP/s
// and as a share of the multiply-add peak measured in this run. Only the operations of the formula count, not those on
// padding. Locally connected layers also in GB/s of the least traffic: each input read, each output written once.
// Threads: GEMEL_THREADS. Instruction set: GEMEL_CPU_ISA.
#include <benchmark/benchmark.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "bench/cpu_peak.h"
#include "kernels/cpu/cpu.h"

namespace gemel::bench {
namespace {

struct Free {
  void operator()(float* p) const { std::free(p); }
};
using Floats = std::unique_ptr<float[], Free>;

Floats normal(std::size_t count) {
  Floats values(static_cast<float*>(std::aligned_alloc(256, (count * sizeof(float) + 255) / 256 * 256)));
  std::mt19937 generator(1);
  std::normal_distribution<float> distribution;
  for (std::size_t i = 0; i < count; ++i) values[i] = distribution(generator);
  return values;
}

// Peak of the run: measured once, so that every share refers to the figure that is printed.
double peak() {
  static const double flops = peak_flops();
  return flops;
}

template <class Pass>
void time_pass(benchmark::State& state, double flops, const Pass& pass) {
  for (auto _ : state) pass();
  const double done = flops * static_cast<double>(state.iterations());
  state.counters["GFLOP/s"] = benchmark::Counter(done / 1e9, benchmark::Counter::kIsRate);
  state.counters["share"] = benchmark::Counter(done / peak(), benchmark::Counter::kIsRate);
}

enum class Pass { fprop, dgrad, wgrad };
constexpr const char* kPassNames[] = {"fprop", "dgrad", "wgrad"};

void conv2d(benchmark::State& state, const Conv2dShape& shape, Pass pass) {
  const Kernels& kernels = cpu::kernels();
  const auto x_count = static_cast<std::size_t>(shape.n) * shape.h * shape.w * shape.c;
  const auto y_count = static_cast<std::size_t>(shape.n) * shape.p() * shape.q() * shape.k;
  const auto w_count = static_cast<std::size_t>(shape.k) * shape.r * shape.s * shape.c;
  const auto k_count = static_cast<std::size_t>(shape.k);
  const Floats x = normal(x_count), y = normal(y_count), w = normal(w_count), bias = normal(k_count);
  const std::size_t bytes = kernels.conv2d_scratch(shape);
  const Floats scratch = normal(bytes / sizeof(float) + 1);
  const Queue queue{.scratch = {scratch.get(), bytes}};
  time_pass(state, 2.0 * static_cast<double>(y_count) * shape.r * shape.s * shape.c, [&] {
    if (pass == Pass::fprop) kernels.conv2d_fprop(queue, shape, x.get(), w.get(), bias.get(), y.get());
    if (pass == Pass::dgrad) kernels.conv2d_dgrad(queue, shape, y.get(), w.get(), x.get());
    if (pass == Pass::wgrad) kernels.conv2d_wgrad(queue, shape, x.get(), y.get(), w.get(), bias.get());
  });
}

// `wgrad` is the backward pass of a first layer, without dx; `dgrad` the whole backward pass. FLOPs: of the dense
// formula, so shares may pass 1 (Winograd, gradients behind a pool).
void block(benchmark::State& state, const ConvBlock& shape, Pass pass) {
  const Kernels& kernels = cpu::kernels();
  const Conv2dShape& s = shape.conv;
  const auto x_count = static_cast<std::size_t>(s.n) * s.h * s.w * s.c;
  const auto z_count = static_cast<std::size_t>(s.n) * s.p() * s.q() * s.k;
  const auto y_count = static_cast<std::size_t>(s.n) * shape.out_h() * shape.out_w() * s.k;
  const auto w_count = static_cast<std::size_t>(s.k) * s.r * s.s * s.c;
  const auto k_count = static_cast<std::size_t>(s.k);
  const Floats x = normal(x_count), y = normal(y_count), dy = normal(y_count), dx = normal(x_count);
  const Floats w = normal(w_count), dw = normal(w_count), bias = normal(k_count), argmax = normal(y_count);
  const std::size_t bytes = kernels.conv_block_scratch(shape);
  const Floats scratch = normal(bytes / sizeof(float) + 1);
  const Queue queue{.scratch = {scratch.get(), bytes}};
  auto* const taps = reinterpret_cast<std::uint8_t*>(argmax.get());
  kernels.conv_block_forward(queue, shape, x.get(), w.get(), nullptr, bias.get(), y.get(), taps);
  const double flops = 2.0 * static_cast<double>(z_count) * s.r * s.s * s.c;
  time_pass(state, pass == Pass::dgrad ? 2 * flops : flops, [&] {
    if (pass == Pass::fprop)
      kernels.conv_block_forward(queue, shape, x.get(), w.get(), nullptr, bias.get(), y.get(), taps);
    if (pass == Pass::fprop) return;
    kernels.conv_block_backward(queue, shape, x.get(), w.get(), y.get(), taps, dy.get(),
                                pass == Pass::dgrad ? dx.get() : nullptr, dw.get(), bias.get());
  });
}

void local2d(benchmark::State& state, const Conv2dShape& shape, Pass pass) {
  const Kernels& kernels = cpu::kernels();
  const auto x_count = static_cast<std::size_t>(shape.n) * shape.h * shape.w * shape.c;
  const auto outputs = static_cast<std::size_t>(shape.p()) * shape.q() * shape.k, y_count = outputs * shape.n;
  const auto w_count = outputs * shape.r * shape.s * shape.c;
  const Floats x = normal(x_count), y = normal(y_count), w = normal(w_count), bias = normal(outputs);
  const std::size_t bytes = kernels.local2d_scratch(shape);
  const Floats scratch = normal(bytes / sizeof(float) + 1);
  const Queue queue{.scratch = {scratch.get(), bytes}};
  time_pass(state, 2.0 * static_cast<double>(y_count) * shape.r * shape.s * shape.c, [&] {
    if (pass == Pass::fprop) kernels.local2d_fprop(queue, shape, x.get(), w.get(), bias.get(), y.get());
    if (pass == Pass::dgrad) kernels.local2d_dgrad(queue, shape, y.get(), w.get(), x.get());
    if (pass == Pass::wgrad) kernels.local2d_wgrad(queue, shape, x.get(), y.get(), w.get(), bias.get());
  });
  const std::size_t floats = x_count + y_count + outputs + (pass == Pass::wgrad ? 2 * w_count : w_count);
  state.counters["GB/s"] =
      benchmark::Counter(4e-9 * static_cast<double>(floats * state.iterations()), benchmark::Counter::kIsRate);
}

void linear(benchmark::State& state, const LinearShape& shape, Pass pass) {
  const Kernels& kernels = cpu::kernels();
  const auto n = static_cast<std::size_t>(shape.n), in = static_cast<std::size_t>(shape.in);
  const auto out = static_cast<std::size_t>(shape.out);
  const Floats x = normal(n * in), y = normal(n * out), w = normal(in * out), bias = normal(out);
  const std::size_t bytes = kernels.linear_scratch(shape);
  const Floats scratch = normal(bytes / sizeof(float) + 1);
  const Queue queue{.scratch = {scratch.get(), bytes}};
  time_pass(state, 2.0 * static_cast<double>(n * in * out), [&] {
    if (pass == Pass::fprop) kernels.linear_fprop(queue, shape, x.get(), w.get(), nullptr, bias.get(), y.get());
    if (pass == Pass::dgrad) kernels.linear_dgrad(queue, shape, y.get(), w.get(), x.get());
    if (pass == Pass::wgrad) kernels.linear_wgrad(queue, shape, x.get(), y.get(), w.get(), bias.get());
  });
}

struct NamedConv {
  const char* name;
  Conv2dShape shape;
};
struct NamedLinear {
  const char* name;
  LinearShape shape;
};

void add_benchmarks() {
  const NamedConv convolutions[] = {
      {"3x3_64_to_64_14x14_batch64", {64, 14, 14, 64, 64, 3, 3, 1, 1, 1, 1}},
      {"small/3x3_1_to_32_28x28_batch256", {256, 28, 28, 1, 32, 3, 3, 1, 1, 1, 1}},
      {"small/3x3_32_to_32_28x28_batch256", {256, 28, 28, 32, 32, 3, 3, 1, 1, 1, 1}},
      {"small/3x3_32_to_64_14x14_batch256", {256, 14, 14, 32, 64, 3, 3, 1, 1, 1, 1}},
      {"small/3x3_64_to_64_14x14_batch256", {256, 14, 14, 64, 64, 3, 3, 1, 1, 1, 1}},
      {"lenet/5x5_1_to_20_28x28_batch256", {256, 28, 28, 1, 20, 5, 5}},
      {"lenet/5x5_20_to_50_12x12_batch256", {256, 12, 12, 20, 50, 5, 5}},
      {"3x3_stride2_64_to_64_14x14_batch64", {64, 14, 14, 64, 64, 3, 3, 2, 2, 1, 1}},
      {"3x3_64_to_64_14x14_batch1", {1, 14, 14, 64, 64, 3, 3, 1, 1, 1, 1}},
  };
  const NamedLinear products[] = {{"small/3136_to_128_batch256", {256, 3136, 128}},
                                  {"lenet/800_to_500_batch256", {256, 800, 500}},
                                  {"lenet/500_to_128_batch256", {256, 500, 128}},
                                  {"3136_to_128_batch1", {1, 3136, 128}}};
  struct NamedBlock {
    const char* name;
    ConvBlock block;
  };
  const NamedBlock blocks[] = {
      {"small/3x3_1_to_32_28x28_relu_batch128", {{128, 28, 28, 1, 32, 3, 3, 1, 1, 1, 1}, true, false}},
      {"small/3x3_32_to_32_28x28_relu_pool_batch128", {{128, 28, 28, 32, 32, 3, 3, 1, 1, 1, 1}, true, true}},
      {"small/3x3_32_to_64_14x14_relu_batch128", {{128, 14, 14, 32, 64, 3, 3, 1, 1, 1, 1}, true, false}},
      {"small/3x3_64_to_64_14x14_relu_pool_batch128", {{128, 14, 14, 64, 64, 3, 3, 1, 1, 1, 1}, true, true}},
      {"lenet/5x5_1_to_20_28x28_pool_batch128", {{128, 28, 28, 1, 20, 5, 5}, false, true}},
      {"lenet/5x5_20_to_50_12x12_pool_batch128", {{128, 12, 12, 20, 50, 5, 5}, false, true}},
  };
  // The face detector on a tile of 1045x925 pixels; it is never trained.
  const NamedBlock detector[] = {
      {"5x5_stride2_3_to_16_1045x925_relu", {{1, 1045, 925, 3, 16, 5, 5, 2, 2}, true, false}},
      {"5x5_stride2_16_to_32_521x461_relu", {{1, 521, 461, 16, 32, 5, 5, 2, 2}, true, false}},
      {"5x5_stride2_32_to_32_259x229_relu", {{1, 259, 229, 32, 32, 5, 5, 2, 2}, true, false}},
      {"5x5_32_to_45_128x113_relu", {{1, 128, 113, 32, 45, 5, 5, 1, 1, 2, 2}, true, false}},
      {"5x5_45_to_45_128x113_relu", {{1, 128, 113, 45, 45, 5, 5, 1, 1, 2, 2}, true, false}},
      {"9x9_45_to_1_128x113", {{1, 128, 113, 45, 1, 9, 9, 1, 1, 4, 4}, false, false}},
  };
  const auto add = [](const std::string& name, auto run, const auto& shape) {
    for (const Pass pass : {Pass::fprop, Pass::dgrad, Pass::wgrad}) {
      benchmark::RegisterBenchmark((name + "/" + kPassNames[static_cast<int>(pass)]).c_str(), run, shape, pass)
          ->Unit(benchmark::kMillisecond)
          ->UseRealTime();
    }
  };
  for (const NamedConv& c : convolutions) add(std::string("conv2d/") + c.name, conv2d, c.shape);
  for (const NamedBlock& b : blocks) add(std::string("block/") + b.name, block, b.block);
  for (const NamedBlock& b : detector) {
    benchmark::RegisterBenchmark((std::string("block/detector/") + b.name + "/fprop").c_str(), block, b.block,
                                 Pass::fprop)
        ->Unit(benchmark::kMillisecond)
        ->UseRealTime();
  }
  for (const int n : {1, 32, 128}) {
    const NamedConv locals[] = {{"L4_9x9_16_to_16_63x63", {n, 63, 63, 16, 16, 9, 9}},
                                {"L5_7x7_stride2_16_to_16_55x55", {n, 55, 55, 16, 16, 7, 7, 2, 2}},
                                {"L6_5x5_16_to_16_25x25", {n, 25, 25, 16, 16, 5, 5}}};
    for (const NamedConv& c : locals) {
      add(std::string("local2d/deepface/") + c.name + "_batch" + std::to_string(n), local2d, c.shape);
    }
  }
  for (const NamedLinear& l : products) add(std::string("linear/") + l.name, linear, l.shape);
}

}  // namespace
}  // namespace gemel::bench

int main(int argc, char** argv) {
  gemel::bench::add_benchmarks();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("isa", std::string(gemel::cpu::isa_name()));
  benchmark::AddCustomContext("threads", std::to_string(gemel::ThreadPool::instance().threads()));
  benchmark::AddCustomContext("peak GFLOP/s", std::to_string(gemel::bench::peak() / 1e9));
  benchmark::AddCustomContext("copy GB/s", std::to_string(gemel::bench::copy_bytes() / 1e9));
  benchmark::AddCustomContext("read GB/s", std::to_string(gemel::bench::read_bytes() / 1e9));
  benchmark::RunSpecifiedBenchmarks();
}
