// SPDX-License-Identifier: MIT
//
// cuBLAS and the linear kernels on the same GPU in the same run: SGEMM of each linear bench shape, strict f32
// (CUBLAS_PEDANTIC_MATH, no tensor cores). The cuBLAS result is compared with gemel's, so neither is timed wrong.
#include <benchmark/benchmark.h>
#include <cublas_v2.h>

#include <algorithm>
#include <cmath>
#include <exception>
#include <functional>
#include <iostream>
#include <memory>
#include <string>
#include <vector>

#include "bench/measure.h"
#include "engine/buffer.h"
#include "engine/random.h"

namespace gemel::bench {
namespace {

void check(cublasStatus_t status, const char* call) {
  if (status != CUBLAS_STATUS_SUCCESS) throw DeviceError(concat(call, ": ", cublasGetStatusString(status)));
}

class Cublas {
 public:
  explicit Cublas(const Stream& stream) {
    check(cublasCreate(&handle_), "cublasCreate");
    check(cublasSetStream(handle_, static_cast<cudaStream_t>(stream.native())), "cublasSetStream");
    check(cublasSetMathMode(handle_, CUBLAS_PEDANTIC_MATH), "cublasSetMathMode");
  }
  ~Cublas() { cublasDestroy(handle_); }
  Cublas(const Cublas&) = delete;
  Cublas& operator=(const Cublas&) = delete;

  // The three passes of a linear layer as cuBLAS sees them: column-major, so row-major matrices are their transposes.
  void fprop(const LinearShape& s, const float* x, const float* w, float* y) const {  // y' (out,n) = w x'
    gemm(CUBLAS_OP_T, CUBLAS_OP_N, s.out, s.n, s.in, w, s.in, x, s.in, 0, y, s.out);
  }
  void dgrad(const LinearShape& s, const float* dy, const float* w, float* dx) const {  // dx' (in,n) = w' dy'
    gemm(CUBLAS_OP_N, CUBLAS_OP_N, s.in, s.n, s.out, w, s.in, dy, s.out, 0, dx, s.in);
  }
  void wgrad(const LinearShape& s, const float* x, const float* dy, float* dw) const {  // dw' (in,out) += x' dy
    gemm(CUBLAS_OP_N, CUBLAS_OP_T, s.in, s.out, s.n, x, s.in, dy, s.out, 1, dw, s.in);
  }

 private:
  void gemm(cublasOperation_t op_a, cublasOperation_t op_b, int m, int n, int k, const float* a, int lda,
            const float* b, int ldb, float beta, float* c, int ldc) const {
    const float one = 1;
    check(cublasSgemm(handle_, op_a, op_b, m, n, k, &one, a, lda, b, ldb, &beta, c, ldc), "cublasSgemm");
  }
  cublasHandle_t handle_ = nullptr;
};

// The operands of one shape, and both programs' results.
struct Operands {
  Operands(Device& device, Stream& stream, const LinearShape& s)
      : x(device, bytes(s.n, s.in)),
        w(device, bytes(s.out, s.in)),
        dy(device, bytes(s.n, s.out)),
        ours(device, largest(s)),
        theirs(device, largest(s)),
        scratch(device, device.kernels().linear_scratch(s)) {
    Random random(1);
    for (Buffer* buffer : {&x, &w, &dy}) {
      std::vector<float> values(buffer->bytes() / sizeof(float));
      for (float& value : values) value = random.normal();
      device.upload(stream, buffer->data(), values.data(), buffer->bytes());
    }
  }
  static std::size_t bytes(int rows, int columns) {
    return sizeof(float) * static_cast<std::size_t>(rows) * static_cast<std::size_t>(columns);
  }
  static std::size_t largest(const LinearShape& s) {
    return std::max({bytes(s.n, s.in), bytes(s.out, s.in), bytes(s.n, s.out)});
  }
  Buffer x, w, dy, ours, theirs, scratch;
};

using Call = std::function<void(float* result)>;

// Largest difference as a share of the largest number.
double difference(Device& device, Stream& stream, const Operands& o, std::size_t count, const Call& ours,
                  const Call& theirs) {
  device.fill_zero(stream, o.ours.data(), o.ours.bytes());
  device.fill_zero(stream, o.theirs.data(), o.theirs.bytes());
  ours(o.ours.f32());
  theirs(o.theirs.f32());
  std::vector<float> a = download(device, stream, o.ours.f32(), count);
  std::vector<float> b = download(device, stream, o.theirs.f32(), count);
  double worst = 0, largest = 0;
  for (std::size_t i = 0; i < count; ++i) {
    double error = std::abs(double{a[i]} - b[i]);
    if (!(error <= worst)) worst = error;  // keeps NaN
    largest = std::max(largest, std::abs(double{b[i]}));
  }
  return worst / largest;
}

void run(benchmark::State& state, Device& device, Stream& stream, const LinearShape& s, const std::string& pass) {
  Cublas cublas(stream);
  Operands o(device, stream, s);
  const Kernels& k = device.kernels();
  Queue queue = device.queue(stream, {o.scratch.data(), o.scratch.bytes()});
  Call ours, theirs;
  std::size_t count = 0;
  if (pass == "fprop") {
    count = o.dy.bytes() / sizeof(float);
    ours = [&](float* y) { k.linear_fprop(queue, s, o.x.f32(), o.w.f32(), nullptr, nullptr, y); };
    theirs = [&](float* y) { cublas.fprop(s, o.x.f32(), o.w.f32(), y); };
  } else if (pass == "dgrad") {
    count = o.x.bytes() / sizeof(float);
    ours = [&](float* dx) { k.linear_dgrad(queue, s, o.dy.f32(), o.w.f32(), dx); };
    theirs = [&](float* dx) { cublas.dgrad(s, o.dy.f32(), o.w.f32(), dx); };
  } else {
    count = o.w.bytes() / sizeof(float);
    ours = [&](float* dw) { k.linear_wgrad(queue, s, o.x.f32(), o.dy.f32(), dw, nullptr); };
    theirs = [&](float* dw) { cublas.wgrad(s, o.x.f32(), o.dy.f32(), dw); };
  }
  constexpr double kTolerance = 1e-4;
  double error = difference(device, stream, o, count, ours, theirs);
  if (!(error <= kTolerance)) {
    state.SkipWithError(concat("WRONG: cuBLAS and gemel differ by ", error).c_str());
    return;
  }
  double gemel = 0, reference = 0;
  for (auto _ : state) {
    reference = seconds_per_call(
        device, stream, [&] { theirs(o.theirs.f32()); }, 0.05);
    gemel = seconds_per_call(
        device, stream, [&] { ours(o.ours.f32()); }, 0.05);
    state.SetIterationTime(reference);
  }
  double flops = 2.0 * s.n * s.in * s.out;
  state.counters["cuBLAS TFLOP/s"] = flops / reference * 1e-12;
  state.counters["gemel TFLOP/s"] = flops / gemel * 1e-12;
  state.counters["gemel/cuBLAS"] = reference / gemel;
}

// The linear layers of lenet and small at a batch of 256, and larger ones on which the card can show itself.
constexpr LinearShape kShapes[] = {{256, 800, 500},    {256, 500, 128},    {256, 3136, 128},
                                   {1024, 1024, 1024}, {4096, 4096, 4096}, {8192, 8192, 8192}};

int main(int argc, char** argv) {
  auto device = open_device("cuda");
  Stream stream = device->make_stream();
  benchmark::Initialize(&argc, argv);
  if (benchmark::ReportUnrecognizedArguments(argc, argv)) return 2;
  benchmark::AddCustomContext("device", device->description());
  for (const LinearShape& s : kShapes) {
    for (std::string pass : {"fprop", "dgrad", "wgrad"}) {
      std::string name = concat("sgemm_linear_", pass, "/n=", s.n, "_", s.in, "->", s.out);
      benchmark::RegisterBenchmark(name.c_str(),
                                   [&, s, pass](benchmark::State& state) { run(state, *device, stream, s, pass); })
          ->UseManualTime()
          ->Iterations(1)
          ->Unit(benchmark::kMillisecond);
    }
  }
  benchmark::RunSpecifiedBenchmarks();
  benchmark::Shutdown();
  return 0;
}

}  // namespace
}  // namespace gemel::bench

int main(int argc, char** argv) {
  try {
    return gemel::bench::main(argc, argv);
  } catch (const std::exception& error) {
    std::cerr << "cublas_bench: " << error.what() << "\n";
    return 2;
  }
}
