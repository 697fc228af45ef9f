// SPDX-License-Identifier: MIT
//
// Rows scaled to length 1, and the gradient of it.
//
//   forward    y = x / max(||x||, epsilon)
//   backward   dx = (dy - y (y . dy)) / ||x||     the part of dy along y is lost: y's length does not change
//
// Shapes     x, y, dy, dx (N,D); inverse_norm (N).
// inverse_norm tells backward which of three cases a row is:
//              1/||x||     the usual one
//             -1/epsilon   ||x|| < epsilon: y = x / epsilon is linear, so dx = dy / epsilon without the projection
//              0           x = 0: y = 0 and dx = 0. The direction of a zero vector is undefined; its gradient is
//              defined
//                          as 0, like that of a distance at 0, rather than dy / epsilon, which for the usual epsilon
//                          would throw a training run off at the first dead row.
// Mapping    one warp = one row, lane l the columns l, l + 32, ...; 4 warps a block. No shared memory.
// Traffic    8 bytes an element forward, 12 backward: the second pass over a row finds it in the first-level cache.
//            2 and 4 FLOPs an element: bound by memory.
// Numerics   f32 sums of D/32 terms a lane, then 5 steps of a butterfly, in an order that depends on D alone.
// Edges      NaN passes through. Squares overflow beyond |x| ~ 1e19 and vanish below ~ 1e-23: such rows read as
// infinite
//            and as zero.
#include <cmath>

#include "kernels/entries.h"
#include "kernels/simt/reduce.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kWarps = 4;
constexpr int kThreads = 32 * kWarps;

__global__ void l2_normalize_forward_kernel(int n, int d, float epsilon, const float* __restrict__ x,
                                            float* __restrict__ y, float* __restrict__ inverse_norm) {
  const int lane = threadIdx.x % 32;
  const int row = blockIdx.x * kWarps + threadIdx.x / 32;
  if (row < n) {  // the same for all lanes of a warp
    const float* from = x + std::size_t(row) * d;
    float* to = y + std::size_t(row) * d;
    float squares = 0;
    for (int i = lane; i < d; i += 32) squares += from[i] * from[i];
    const float norm = sqrtf(warp_sum(squares));

    const bool clamped = norm < epsilon;
    const float inverse = norm == 0 ? 0.0f : 1.0f / (clamped ? epsilon : norm);
    for (int i = lane; i < d; i += 32) to[i] = from[i] * inverse;
    if (lane == 0) inverse_norm[row] = clamped ? -inverse : inverse;
  }
}
SIMT_CONTRACT(l2_normalize_forward_kernel, .loads = 2.1, .stores = 1.1);

__global__ void l2_normalize_backward_kernel(int n, int d, const float* __restrict__ y,
                                             const float* __restrict__ inverse_norm, const float* dy, float* dx) {
  const int lane = threadIdx.x % 32;
  const int row = blockIdx.x * kWarps + threadIdx.x / 32;
  if (row < n) {
    const float* unit = y + std::size_t(row) * d;
    const float* from = dy + std::size_t(row) * d;
    float* to = dx + std::size_t(row) * d;
    float along = 0;
    for (int i = lane; i < d; i += 32) along += unit[i] * from[i];
    along = warp_sum(along);

    const float inverse = inverse_norm[row];
    if (inverse < 0) along = 0;  // clamped: linear
    for (int i = lane; i < d; i += 32) to[i] = fabsf(inverse) * (from[i] - unit[i] * along);
  }
}
SIMT_CONTRACT(l2_normalize_backward_kernel, .loads = 2.1);

LaunchConfig over(Queue queue, int n) {
  return {.grid = static_cast<unsigned>((n + kWarps - 1) / kWarps), .block = kThreads, .queue = queue};
}

}  // namespace

void l2_normalize_forward(Queue queue, int n, int d, float epsilon, const float* x, float* y, float* inverse_norm) {
  launch<l2_normalize_forward_kernel>(over(queue, n), n, d, epsilon, x, y, inverse_norm);
}

void l2_normalize_backward(Queue queue, int n, int d, const float* y, const float* inverse_norm, const float* dy,
                           float* dx) {
  launch<l2_normalize_backward_kernel>(over(queue, n), n, d, y, inverse_norm, dy, dx);
}

}  // namespace gemel::GEMEL_DEVICE
