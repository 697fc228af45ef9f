// SPDX-License-Identifier: MIT
//
// Element-wise activations and their gradients.
//
//   forward    none: y = x     relu: y = max(0, x)          sigmoid: y = 1 / (1 + exp(-x))
//   backward   none: dx = dy   relu: dx = dy where y > 0    sigmoid: dx = dy y (1 - y)
//
// Shapes     flat blocks of `count` floats, whatever their meaning.
// Mapping    one thread = 4 neighbouring floats, one 16-byte access an operand; the last thread walks a tail of 1 to 3.
// Traffic    8 bytes an element forward, 12 backward, at most a few dozen instructions: bound by memory.
// Numerics   both gradients come from the output, so that the input need not be kept. exp overflows to infinity for
//            x < -88, which gives the right 0. NaN passes through: every comparison is written so that NaN takes the
//            branch that keeps it.
// Edges      count 0 launches nothing; y may be x, dx may be dy (a thread reads its elements before it writes them).
#include <cmath>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;
constexpr int kWidth = 4;  // floats a thread

template <Activation kKind>
__device__ __forceinline__ float activate(float x) {
  if constexpr (kKind == Activation::relu) return x <= 0 ? 0.0f : x;
  if constexpr (kKind == Activation::sigmoid) return 1.0f / (1.0f + expf(-x));
  return x;
}

template <Activation kKind>
__device__ __forceinline__ float gradient(float y, float dy) {
  if constexpr (kKind == Activation::relu) return y <= 0 ? 0.0f : dy;
  if constexpr (kKind == Activation::sigmoid) return dy * y * (1.0f - y);
  return dy;
}

template <Activation kKind>
__global__ void activation_forward_kernel(std::size_t count, const float* x, float* y) {
  const std::size_t first = (std::size_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth;
  if (first + kWidth <= count) {
    const float4 v = load4(x + first);
    store4(y + first,
           make_float4(activate<kKind>(v.x), activate<kKind>(v.y), activate<kKind>(v.z), activate<kKind>(v.w)));
    return;
  }
  for (std::size_t i = first; i < count; ++i) y[i] = activate<kKind>(x[i]);
}
SIMT_CONTRACT(activation_forward_kernel);

template <Activation kKind>
__global__ void activation_backward_kernel(std::size_t count, const float* y, const float* dy, float* dx) {
  const std::size_t first = (std::size_t{blockIdx.x} * kThreads + threadIdx.x) * kWidth;
  if (first + kWidth <= count) {
    const float4 v = load4(y + first), g = load4(dy + first);
    store4(dx + first, make_float4(gradient<kKind>(v.x, g.x), gradient<kKind>(v.y, g.y), gradient<kKind>(v.z, g.z),
                                   gradient<kKind>(v.w, g.w)));
    return;
  }
  for (std::size_t i = first; i < count; ++i) dx[i] = gradient<kKind>(y[i], dy[i]);
}
SIMT_CONTRACT(activation_backward_kernel);

LaunchConfig over(Queue queue, std::size_t count) {
  constexpr std::size_t kBlock = std::size_t{kThreads} * kWidth;
  return {.grid = static_cast<unsigned>((count + kBlock - 1) / kBlock), .block = kThreads, .queue = queue};
}

}  // namespace

void activation_forward(Queue queue, Activation kind, std::size_t count, const float* x, float* y) {
  const LaunchConfig config = over(queue, count);
  switch (kind) {
    case Activation::none:
      return launch_flat<activation_forward_kernel<Activation::none>>(config, count, x, y);
    case Activation::relu:
      return launch_flat<activation_forward_kernel<Activation::relu>>(config, count, x, y);
    case Activation::sigmoid:
      return launch_flat<activation_forward_kernel<Activation::sigmoid>>(config, count, x, y);
  }
}

void activation_backward(Queue queue, Activation kind, std::size_t count, const float* y, const float* dy, float* dx) {
  const LaunchConfig config = over(queue, count);
  switch (kind) {
    case Activation::none:
      return launch_flat<activation_backward_kernel<Activation::none>>(config, count, y, dy, dx);
    case Activation::relu:
      return launch_flat<activation_backward_kernel<Activation::relu>>(config, count, y, dy, dx);
    case Activation::sigmoid:
      return launch_flat<activation_backward_kernel<Activation::sigmoid>>(config, count, y, dy, dx);
  }
}

}  // namespace gemel::GEMEL_DEVICE
