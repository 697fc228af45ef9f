// SPDX-License-Identifier: MIT
//
// linear, rung 1: one thread per result, one long sum each. The version to read first; the following rungs are compared
// with it.
//
//   fprop  y[n,o]   = b[o] + sum_i  x[n,i] * w[o,i]
//   dgrad  dx[n,i]  =        sum_o dy[n,o] * w[o,i]
//   wgrad  dw[o,i] +=        sum_n dy[n,o] * x[n,i]       db[o] += sum_n dy[n,o]
//
// Shapes    x, dx: (N,In)   w, dw: (Out,In)   y, dy: (N,Out)   b, db: (Out)   f32
// Mapping   a flat grid of 256-thread blocks over the elements of the result.
// Shared    none
// Traffic   2*N*In*Out FLOPs a pass, and every factor is fetched from global memory for every product: 8 bytes for 2
//           FLOPs where caches do not help. In fprop the lanes of a warp read w with stride In: 32 sectors a request.
// Numerics  f32 sums in ascending order of the summed index: the same bits every time, for every batch size.
// Edge      N = 0 launches nothing. b and db may be null.
// Used by   the ladder (kernels/linear/rungs.h).    Tests tests/reference/linear.cpp
#include <cstdint>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::linear_naive {
namespace {

constexpr int kBlock = 256;

LaunchConfig flat_grid(Queue queue, std::int64_t elements) {
  return {.grid = dim3(static_cast<unsigned>((elements + kBlock - 1) / kBlock)), .block = dim3(kBlock), .queue = queue};
}

__device__ __forceinline__ std::int64_t element() {
  return static_cast<std::int64_t>(blockIdx.x) * kBlock + threadIdx.x;
}

__global__ void linear_fprop_kernel(LinearShape shape, const float* __restrict__ x, const float* __restrict__ w,
                                    const float* __restrict__ bias, float* __restrict__ y) {
  const std::int64_t at = element();
  if (at >= static_cast<std::int64_t>(shape.n) * shape.out) return;
  const std::int64_t n = at / shape.out, o = at % shape.out;
  float sum = 0;
  for (int i = 0; i < shape.in; ++i) sum += x[n * shape.in + i] * w[o * shape.in + i];
  y[at] = bias != nullptr ? sum + bias[o] : sum;
}
SIMT_CONTRACT(linear_fprop_kernel, .sectors = 6.3, .loads = 35);

__global__ void linear_dgrad_kernel(LinearShape shape, const float* __restrict__ dy, const float* __restrict__ w,
                                    float* __restrict__ dx) {
  const std::int64_t at = element();
  if (at >= static_cast<std::int64_t>(shape.n) * shape.in) return;
  const std::int64_t n = at / shape.in, i = at % shape.in;
  float sum = 0;
  for (std::int64_t o = 0; o < shape.out; ++o) sum += dy[n * shape.out + o] * w[o * shape.in + i];
  dx[at] = sum;
}
SIMT_CONTRACT(linear_dgrad_kernel, .sectors = 1.15, .loads = 240);

__global__ void linear_wgrad_kernel(LinearShape shape, const float* __restrict__ x, const float* __restrict__ dy,
                                    float* __restrict__ dw) {
  const std::int64_t at = element();
  if (at >= static_cast<std::int64_t>(shape.out) * shape.in) return;
  const std::int64_t o = at / shape.in, i = at % shape.in;
  float sum = 0;
  for (std::int64_t n = 0; n < shape.n; ++n) sum += dy[n * shape.out + o] * x[n * shape.in + i];
  dw[at] += sum;
}
SIMT_CONTRACT(linear_wgrad_kernel, .sectors = 1.15, .loads = 14);

__global__ void linear_bias_gradient_kernel(LinearShape shape, const float* __restrict__ dy, float* __restrict__ db) {
  const std::int64_t o = element();
  if (o >= shape.out) return;
  float sum = 0;
  for (std::int64_t n = 0; n < shape.n; ++n) sum += dy[n * shape.out + o];
  db[o] += sum;
}
SIMT_CONTRACT(linear_bias_gradient_kernel, .sectors = 1.65, .loads = 1.65);

}  // namespace

std::size_t scratch(const LinearShape&) { return 0; }

void fprop(Queue queue, const LinearShape& shape, const float* x, const float* w, const void*, const float* bias,
           float* y) {
  launch_flat<linear_fprop_kernel>(flat_grid(queue, static_cast<std::int64_t>(shape.n) * shape.out), shape, x, w, bias,
                                   y);
}

void dgrad(Queue queue, const LinearShape& shape, const float* dy, const float* w, float* dx) {
  launch_flat<linear_dgrad_kernel>(flat_grid(queue, static_cast<std::int64_t>(shape.n) * shape.in), shape, dy, w, dx);
}

void wgrad(Queue queue, const LinearShape& shape, const float* x, const float* dy, float* dw, float* db) {
  if (shape.n == 0) return;
  launch_flat<linear_wgrad_kernel>(flat_grid(queue, static_cast<std::int64_t>(shape.out) * shape.in), shape, x, dy, dw);
  if (db != nullptr) launch_flat<linear_bias_gradient_kernel>(flat_grid(queue, shape.out), shape, dy, db);
}

}  // namespace gemel::GEMEL_DEVICE::linear_naive
