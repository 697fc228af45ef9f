// SPDX-License-Identifier: MIT
//
// conv2d, rung 1: one thread per result, its sum written out as loops. The version to read first; the following rungs
// are compared with it.
//
//   fprop  y[n,p,q,k]   = b[k] + sum_{r,s,c}  x[n, p*stride_h - pad_h + r, q*stride_w - pad_w + s, c] * w[k,r,s,c]
//   dgrad  dx[n,h,w,c]  =        sum_{r,s,k} dy[n,p,q,k] * w[k,r,s,c]  over the (p,q) that met x[n,h,w,c] at tap (r,s)
//   wgrad  dw[k,r,s,c] +=        sum_{n,p,q} dy[n,p,q,k] * x[n, p*stride_h - pad_h + r, q*stride_w - pad_w + s, c]
//          db[k]       +=        sum_{n,p,q} dy[n,p,q,k]
//
// Shapes    x, dx: (N,H,W,C)   w, dw: (K,R,S,C)   y, dy: (N,P,Q,K)   b, db: (K)   f32
// Mapping   a flat grid of 256-thread blocks over the elements of the result.
// Shared    none
// Traffic   2*N*P*Q*K*R*S*C FLOPs a pass; every factor is fetched for every product, 8 bytes for 2 FLOPs where caches
// do
//           not help. wgrad has K*R*S*C threads with a sum of N*P*Q terms each: few threads, long sums.
// Numerics  f32 sums in ascending order of the summed indices: the same bits every time, for every batch size.
// Edge      taps in the padding are left out. N = 0 launches nothing. b and db may be null. dx that no window met is 0.
// Used by   the ladder (kernels/conv2d/rungs.h).    Tests tests/reference/conv2d.cpp
#include <cstdint>

#include "kernels/conv2d/elements.cuh"
#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE::conv2d_direct {
namespace {

using namespace elements;

__global__ void conv2d_fprop_kernel(Conv2dShape shape, int P, int Q, const float* __restrict__ x,
                                    const float* __restrict__ w, const float* __restrict__ bias,
                                    float* __restrict__ y) {
  const std::int64_t at = element();
  const int C = shape.c;
  if (at >= static_cast<std::int64_t>(shape.n) * P * Q * shape.k) return;
  const auto [n, p, q, k] = position(at, P, Q, shape.k);

  float sum = 0;
  for (int r = 0; r < shape.r; ++r) {
    const int h = p * shape.stride_h - shape.pad_h + r;
    if (h < 0 || h >= shape.h) continue;
    for (int s = 0; s < shape.s; ++s) {
      const int column = q * shape.stride_w - shape.pad_w + s;
      if (column < 0 || column >= shape.w) continue;
      const float* pixel = x + offset(n, h, column, shape.h, shape.w, C);
      const float* tap = w + offset(k, r, s, shape.r, shape.s, C);
      for (int c = 0; c < C; ++c) sum += pixel[c] * tap[c];
    }
  }
  y[at] = bias != nullptr ? sum + bias[k] : sum;
}
SIMT_CONTRACT(conv2d_fprop_kernel, .sectors = 5.8, .loads = 2310);

__global__ void conv2d_dgrad_kernel(Conv2dShape shape, int P, int Q, const float* __restrict__ dy,
                                    const float* __restrict__ w, float* __restrict__ dx) {
  const std::int64_t at = element();
  const int K = shape.k;
  if (at >= static_cast<std::int64_t>(shape.n) * shape.h * shape.w * shape.c) return;
  const auto [n, h, column, c] = position(at, shape.h, shape.w, shape.c);
  const std::int64_t filter = offset(1, 0, 0, shape.r, shape.s, shape.c);  // elements of one filter

  float sum = 0;
  for (int r = 0; r < shape.r; ++r) {
    const int start_h = h + shape.pad_h - r;  // p * stride_h
    if (start_h < 0 || start_h % shape.stride_h != 0 || start_h / shape.stride_h >= P) continue;
    for (int s = 0; s < shape.s; ++s) {
      const int start_w = column + shape.pad_w - s;  // q * stride_w
      if (start_w < 0 || start_w % shape.stride_w != 0 || start_w / shape.stride_w >= Q) continue;
      const float* gradient = dy + offset(n, start_h / shape.stride_h, start_w / shape.stride_w, P, Q, K);
      const float* tap = w + offset(0, r, s, shape.r, shape.s, shape.c) + c;
      for (int k = 0; k < K; ++k) sum += gradient[k] * tap[k * filter];
    }
  }
  dx[at] = sum;
}
SIMT_CONTRACT(conv2d_dgrad_kernel, .sectors = 6.7, .loads = 71);

__global__ void conv2d_wgrad_kernel(Conv2dShape shape, int P, int Q, const float* __restrict__ x,
                                    const float* __restrict__ dy, float* __restrict__ dw) {
  const std::int64_t at = element();
  const int K = shape.k;
  if (at >= static_cast<std::int64_t>(K) * shape.r * shape.s * shape.c) return;
  const auto [k, r, s, c] = position(at, shape.r, shape.s, shape.c);

  float sum = 0;
  for (int n = 0; n < shape.n; ++n) {
    for (int p = 0; p < P; ++p) {
      const int h = p * shape.stride_h - shape.pad_h + r;
      if (h < 0 || h >= shape.h) continue;
      for (int q = 0; q < Q; ++q) {
        const int column = q * shape.stride_w - shape.pad_w + s;
        if (column < 0 || column >= shape.w) continue;
        sum += dy[offset(n, p, q, P, Q, K) + k] * x[offset(n, h, column, shape.h, shape.w, shape.c) + c];
      }
    }
  }
  dw[at] += sum;
}
SIMT_CONTRACT(conv2d_wgrad_kernel, .sectors = 3.6, .loads = 38);

__global__ void conv2d_bias_gradient_kernel(std::int64_t pixels, int K, const float* __restrict__ dy,
                                            float* __restrict__ db) {
  const std::int64_t k = element();
  if (k >= K) return;
  float sum = 0;
  for (std::int64_t pixel = 0; pixel < pixels; ++pixel) sum += dy[pixel * K + k];
  db[k] += sum;
}
SIMT_CONTRACT(conv2d_bias_gradient_kernel);

}  // namespace

std::size_t scratch(const Conv2dShape&) { return 0; }

void fprop(Queue queue, const Conv2dShape& shape, const float* x, const float* w, const float* bias, float* y) {
  const std::int64_t elements = static_cast<std::int64_t>(shape.n) * shape.p() * shape.q() * shape.k;
  launch_flat<conv2d_fprop_kernel>(flat_grid(queue, elements), shape, shape.p(), shape.q(), x, w, bias, y);
}

void dgrad(Queue queue, const Conv2dShape& shape, const float* dy, const float* w, float* dx) {
  const std::int64_t elements = static_cast<std::int64_t>(shape.n) * shape.h * shape.w * shape.c;
  launch_flat<conv2d_dgrad_kernel>(flat_grid(queue, elements), shape, shape.p(), shape.q(), dy, w, dx);
}

void wgrad(Queue queue, const Conv2dShape& shape, const float* x, const float* dy, float* dw, float* db) {
  if (shape.n == 0) return;
  const std::int64_t elements = static_cast<std::int64_t>(shape.k) * shape.r * shape.s * shape.c;
  launch_flat<conv2d_wgrad_kernel>(flat_grid(queue, elements), shape, shape.p(), shape.q(), x, dy, dw);
  if (db != nullptr) {
    const std::int64_t pixels = static_cast<std::int64_t>(shape.n) * shape.p() * shape.q();
    launch_flat<conv2d_bias_gradient_kernel>(flat_grid(queue, shape.k), pixels, shape.k, dy, db);
  }
}

}  // namespace gemel::GEMEL_DEVICE::conv2d_direct
