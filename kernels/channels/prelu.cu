// SPDX-License-Identifier: MIT
//
// A ReLU whose slope below 0 is learnt, one for each channel (He et al. 2015, "Delving deep into rectifiers", eq. 1).
//
//   forward    y = x > 0 ? x : slope[c] x
//   backward   dx = x > 0 ? dy : slope[c] dy     dslope[c] += sum over x <= 0 of dy x
//
// Shapes     x, y, dy, dx (M,C); slope, dslope (C).
// Mapping    kernels/channels/channels.cuh.
// Edges      NaN stays NaN, and counts as below 0. y may be x, dx may be dy. dx and dslope may be null.
#include "kernels/channels/channels.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Forward {
  const float *x, *slope;
  float* y;
  __device__ __forceinline__ void apply(std::size_t i, int c) const { y[i] = x[i] > 0 ? x[i] : slope[c] * x[i]; }
};

struct InputGradient {
  const float *x, *slope, *dy;
  float* dx;
  __device__ __forceinline__ void apply(std::size_t i, int c) const { dx[i] = x[i] > 0 ? dy[i] : slope[c] * dy[i]; }
};

struct Terms {
  const float *x, *dy;
  __device__ __forceinline__ void add(std::size_t i, int, float& a, float&) const {
    if (!(x[i] > 0)) a += dy[i] * x[i];
  }
};

struct Accumulate {
  float* dslope;
  __device__ __forceinline__ void put(int c, double a, double) const { dslope[c] += static_cast<float>(a); }
};

}  // namespace

void prelu_forward(Queue queue, std::size_t m, int c, const float* x, const float* slope, float* y) {
  channels::map(queue, m, c, Forward{x, slope, y});
}

void prelu_backward(Queue queue, std::size_t m, int c, const float* x, const float* slope, const float* dy, float* dx,
                    float* dslope) {
  if (m == 0) return;
  if (dslope != nullptr) channels::sums(queue, m, c, Terms{x, dy}, Accumulate{dslope});
  if (dx != nullptr) channels::map(queue, m, c, InputGradient{x, slope, dy, dx});
}

}  // namespace gemel::GEMEL_DEVICE
