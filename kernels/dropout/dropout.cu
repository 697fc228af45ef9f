// SPDX-License-Identifier: MIT
//
// Dropout (Srivastava et al. 2014), scaled while training so that inference has nothing to do.
//
//   y[i] = 0 with probability `rate`, else x[i] / (1 - rate)        backward: the same on dy
//
// Shapes     a flat block of `count` floats, count <= 2^34.
// Random     element i is kept where unit_uniform(word i % 4 of Philox block (seed, stream, i / 4 | t << 32)) >= rate, t
//            being the step: a function of the arguments alone, so backward draws again what forward drew, and nothing
//            is saved.
// Mapping    one thread = one Philox block = 4 neighbouring floats, one 16-byte access an operand; the last thread
//            walks a tail of 1 to 3.
// Traffic    8 bytes an element; 20 multiplications of 32 x 32 bits for 4 elements: bound by memory on a GPU, by the
//            multiplications on a CPU.
// Edges      count 0 launches nothing; y may be x. A dropped NaN is 0. rate 0 keeps everything.
#include "kernels/entries.h"
#include "kernels/philox.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;  // floats a thread: the words of a Philox block

__global__ void dropout_kernel(std::size_t count, float rate, float scale, std::uint64_t seed, std::uint32_t stream,
                               const StepState* step, const float* x, float* y) {
  const std::size_t block = std::size_t{blockIdx.x} * kThreads + threadIdx.x, first = block * kWidth;
  if (first >= count) return;
  const std::uint64_t t = step == nullptr ? 0 : static_cast<std::uint32_t>(step->step);
  const PhiloxBlock random = philox_block(seed, stream, t << 32 | static_cast<std::uint32_t>(block));
  if (first + kWidth <= count) {
    const float4 v = load4(x + first);
    store4(y + first, make_float4(unit_uniform(random.word[0]) >= rate ? v.x * scale : 0.0f,
                                  unit_uniform(random.word[1]) >= rate ? v.y * scale : 0.0f,
                                  unit_uniform(random.word[2]) >= rate ? v.z * scale : 0.0f,
                                  unit_uniform(random.word[3]) >= rate ? v.w * scale : 0.0f));
    return;
  }
  SIMT_UNROLL
  for (int j = 0; j < kWidth - 1; ++j) {
    if (first + j < count) y[first + j] = unit_uniform(random.word[j]) >= rate ? x[first + j] * scale : 0.0f;
  }
}
SIMT_CONTRACT(dropout_kernel, .loads = 1.1);

}  // namespace

void dropout(Queue queue, std::size_t count, float rate, std::uint64_t seed, std::uint32_t stream,
             const StepState* step, const float* x, float* y) {
  constexpr std::size_t kBlock = std::size_t{kThreads} * kWidth;
  const LaunchConfig config{
      .grid = static_cast<unsigned>((count + kBlock - 1) / kBlock), .block = kThreads, .queue = queue};
  launch_flat<dropout_kernel>(config, count, rate, static_cast<float>(1 / (1 - double{rate})), seed, stream, step, x,
                              y);
}

}  // namespace gemel::GEMEL_DEVICE
