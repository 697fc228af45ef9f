// SPDX-License-Identifier: MIT
//
// A scale and a shift for each channel: what batch normalisation is once it is trained.
//
//   forward    y = x scale[c] + shift[c]
//   backward   dx = dy scale[c]     dscale[c] += sum dy x     dshift[c] += sum dy
//
//   scale_filters   filters and bias of a convolution with the affine behind it in them:
//                   w'[k,i] = w[k,i] scale[k]     bias'[k] = bias[k] scale[k] + shift[k]
//
// Shapes     x, y, dy, dx (M,C); scale, shift, dscale, dshift (C). w, w' (K,row); bias, bias' (K), bias null: 0.
// Mapping    kernels/channels/channels.cuh; scale_filters: one thread an element of w, and one a bias.
// Edges      in place as kernels.h says. dx may be null; dscale and dshift together may be null.
#include "kernels/channels/channels.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Forward {
  const float *x, *scale, *shift;
  float* y;
  __device__ __forceinline__ void apply(std::size_t i, int c) const { y[i] = x[i] * scale[c] + shift[c]; }
};

struct InputGradient {
  const float *dy, *scale;
  float* dx;
  __device__ __forceinline__ void apply(std::size_t i, int c) const { dx[i] = dy[i] * scale[c]; }
};

struct Terms {
  const float *x, *dy;
  __device__ __forceinline__ void add(std::size_t i, int, float& a, float& b) const {
    a += dy[i] * x[i];
    b += dy[i];
  }
};

struct Accumulate {
  float *dscale, *dshift;
  __device__ __forceinline__ void put(int c, double a, double b) const {
    dscale[c] += static_cast<float>(a);
    dshift[c] += static_cast<float>(b);
  }
};

__global__ void scale_filters_kernel(int k, int row, const float* w, const float* bias, const float* scale,
                                     const float* shift, float* w_out, float* bias_out) {
  const std::size_t i = std::size_t{blockIdx.x} * channels::kThreads + threadIdx.x, filters = std::size_t(k) * row;
  if (i < filters) {
    w_out[i] = w[i] * scale[i / row];
  } else if (i < filters + k) {
    const std::size_t f = i - filters;
    bias_out[f] = (bias == nullptr ? 0.0f : bias[f] * scale[f]) + shift[f];
  }
}
SIMT_CONTRACT(scale_filters_kernel, .loads = 1.25);

}  // namespace

std::size_t channel_scratch(std::size_t m, int c) {
  return sizeof(float) * (channels::partial_floats(m, c) + std::size_t{2} * static_cast<std::size_t>(c));
}

void affine_forward(Queue queue, std::size_t m, int c, const float* x, const float* scale, const float* shift,
                    float* y) {
  channels::map(queue, m, c, Forward{x, scale, shift, y});
}

void affine_backward(Queue queue, std::size_t m, int c, const float* x, const float* scale, const float* dy, float* dx,
                     float* dscale, float* dshift) {
  if (m == 0) return;
  if (dscale != nullptr) channels::sums(queue, m, c, Terms{x, dy}, Accumulate{dscale, dshift});
  if (dx != nullptr) channels::map(queue, m, c, InputGradient{dy, scale, dx});
}

void scale_filters(Queue queue, int k, int row, const float* w, const float* bias, const float* scale,
                   const float* shift, float* w_out, float* bias_out) {
  const std::size_t count = static_cast<std::size_t>(k) * row + k;
  const auto blocks = static_cast<unsigned>((count + channels::kThreads - 1) / channels::kThreads);
  launch_flat<scale_filters_kernel>({.grid = blocks, .block = channels::kThreads, .queue = queue}, k, row, w, bias,
                                    scale, shift, w_out, bias_out);
}

}  // namespace gemel::GEMEL_DEVICE
