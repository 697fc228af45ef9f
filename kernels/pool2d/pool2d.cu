// SPDX-License-Identifier: MIT
//
// pool2d: the largest value, or the mean, of a sliding window, and the gradients of both.
//
//   max   y[n,p,q,c] = max over (r,s) of x[n, p*stride_h - pad_h + r, q*stride_w - pad_w + s, c]
//         argmax     = r*S + s of the first maximum, counting taps row by row; taps outside the image do not take part
//         dx[n,h,w,c] = sum of dy over the windows whose argmax is (h,w)
//   avg   y  = (sum over the taps inside the image) / divisor;  divisor = R*S (PadCount::include) or the number of taps
//         inside the image (PadCount::exclude)
//         dx = sum over the windows that cover (h,w) of dy / divisor
//
// Shapes    x, dx: (N,H,W,C)   y, dy, argmax: (N,P,Q,C)   f32, argmax u8 (R*S <= 256)
// Mapping   one thread per output element (forward: of y, backward: of dx). Grid x: image rows of the output, N*P or
//           N*H; grid y: blocks of 256 elements of such a row, W*C. Neighbouring threads differ in c, so every access
//           of a warp is contiguous where C >= 32.
// Shared    none
// Traffic   max forward 4*(R*S/stride^2 reads, mostly from cache) + 5 bytes an output; backward 5 bytes an overlapping
//           window + 4 a dx. A few comparisons or additions per 4 bytes: bound by memory.
// Numerics  backward gathers, so that overlapping windows need no atomics: windows are added in ascending (p,q), the
//           same bits every time. Means are sums in tap order, then one division.
// Edge      NaN is a maximum: the first NaN of a window is its result, and receives its gradient. A window of -inf
// alone
//           gives its first tap inside. Padding is less than the window, so every window holds a tap of the image,
//           ceil_mode included (kernels.h); a window that would hold none gives -inf or 0 and passes no gradient.
// Used by   layers: MaxPool2d, AvgPool2d.    Tests tests/reference/pool2d.cpp
#include <cstdint>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kBlock = 256;

// Rows of an image tensor over grid x, the elements of a row over grid y and the block.
LaunchConfig row_grid(Queue queue, int rows, int row_elements) {
  return {.grid = dim3(static_cast<unsigned>(rows), static_cast<unsigned>((row_elements + kBlock - 1) / kBlock)),
          .block = dim3(kBlock),
          .queue = queue};
}

struct Range {
  int begin, end;
};

// Taps of window `index` that lie inside the image: [begin, end) of 0..window-1.
__device__ __forceinline__ Range taps_inside(int index, int stride, int pad, int window, int size) {
  const int start = index * stride - pad;
  return {start < 0 ? -start : 0, start + window > size ? size - start : window};
}

// Windows of 0..count-1 that cover image position `at`.
__device__ __forceinline__ Range windows_over(int at, int stride, int pad, int window, int count) {
  const int first_tap = at + pad - window + 1;  // windows start at multiples of the stride from here ...
  const int last_tap = at + pad;                // ... to here
  const int end = last_tap / stride + 1;
  return {first_tap <= 0 ? 0 : (first_tap + stride - 1) / stride, end < count ? end : count};
}

__global__ void maxpool2d_forward_kernel(Pool2dShape shape, int P, int Q, const float* __restrict__ x,
                                         float* __restrict__ y, std::uint8_t* __restrict__ argmax) {
  const int C = shape.c;
  const int at = static_cast<int>(blockIdx.y * kBlock + threadIdx.x);
  if (at >= Q * C) return;
  const int n = static_cast<int>(blockIdx.x) / P, p = static_cast<int>(blockIdx.x) % P, q = at / C, c = at % C;
  const Range rows = taps_inside(p, shape.stride_h, shape.pad_h, shape.r, shape.h);
  const Range columns = taps_inside(q, shape.stride_w, shape.pad_w, shape.s, shape.w);

  float best = -INFINITY;
  int tap = -1;
  for (int r = rows.begin; r < rows.end; ++r) {
    const std::int64_t row = static_cast<std::int64_t>(n) * shape.h + p * shape.stride_h - shape.pad_h + r;
    for (int s = columns.begin; s < columns.end; ++s) {
      const float value = x[(row * shape.w + q * shape.stride_w - shape.pad_w + s) * C + c];
      const bool nan_comes = value != value && best == best;
      if (tap < 0 || value > best || nan_comes) {
        best = value;
        tap = r * shape.s + s;
      }
    }
  }
  const std::int64_t out = static_cast<std::int64_t>(blockIdx.x) * Q * C + at;
  y[out] = best;
  argmax[out] = static_cast<std::uint8_t>(tap < 0 ? 0 : tap);
}
SIMT_CONTRACT(maxpool2d_forward_kernel, .sectors = 1.3, .loads = 1.35, .stores = 1.15);

__global__ void maxpool2d_backward_kernel(Pool2dShape shape, int P, int Q, const float* __restrict__ dy,
                                          const std::uint8_t* __restrict__ argmax, float* __restrict__ dx) {
  const int C = shape.c;
  const int at = static_cast<int>(blockIdx.y * kBlock + threadIdx.x);
  if (at >= shape.w * C) return;
  const int n = static_cast<int>(blockIdx.x) / shape.h, h = static_cast<int>(blockIdx.x) % shape.h;
  const int w = at / C, c = at % C;
  const Range rows = windows_over(h, shape.stride_h, shape.pad_h, shape.r, P);
  const Range columns = windows_over(w, shape.stride_w, shape.pad_w, shape.s, Q);

  float sum = 0;
  for (int p = rows.begin; p < rows.end; ++p) {
    const int r = h + shape.pad_h - p * shape.stride_h;
    for (int q = columns.begin; q < columns.end; ++q) {
      const int s = w + shape.pad_w - q * shape.stride_w;
      const std::int64_t from = ((static_cast<std::int64_t>(n) * P + p) * Q + q) * C + c;
      if (argmax[from] == r * shape.s + s) sum += dy[from];
    }
  }
  dx[static_cast<std::int64_t>(blockIdx.x) * shape.w * C + at] = sum;
}
SIMT_CONTRACT(maxpool2d_backward_kernel, .sectors = 1.55, .loads = 4.1);

// What the sum of a window with these taps inside the image is divided by.
__device__ __forceinline__ float divisor(const Pool2dShape& shape, PadCount count, Range rows, Range columns) {
  const int taps =
      count == PadCount::include ? shape.r * shape.s : (rows.end - rows.begin) * (columns.end - columns.begin);
  return static_cast<float>(taps);
}

__global__ void avgpool2d_forward_kernel(Pool2dShape shape, int P, int Q, PadCount count, const float* __restrict__ x,
                                         float* __restrict__ y) {
  const int C = shape.c;
  const int at = static_cast<int>(blockIdx.y * kBlock + threadIdx.x);
  if (at >= Q * C) return;
  const int n = static_cast<int>(blockIdx.x) / P, p = static_cast<int>(blockIdx.x) % P, q = at / C, c = at % C;
  const Range rows = taps_inside(p, shape.stride_h, shape.pad_h, shape.r, shape.h);
  const Range columns = taps_inside(q, shape.stride_w, shape.pad_w, shape.s, shape.w);

  float sum = 0;
  for (int r = rows.begin; r < rows.end; ++r) {
    const std::int64_t row = static_cast<std::int64_t>(n) * shape.h + p * shape.stride_h - shape.pad_h + r;
    for (int s = columns.begin; s < columns.end; ++s) {
      sum += x[(row * shape.w + q * shape.stride_w - shape.pad_w + s) * C + c];
    }
  }
  const bool any = rows.begin < rows.end && columns.begin < columns.end;
  y[static_cast<std::int64_t>(blockIdx.x) * Q * C + at] = any ? sum / divisor(shape, count, rows, columns) : 0.0f;
}
SIMT_CONTRACT(avgpool2d_forward_kernel, .sectors = 1.3, .loads = 1.35);

__global__ void avgpool2d_backward_kernel(Pool2dShape shape, int P, int Q, PadCount count, const float* __restrict__ dy,
                                          float* __restrict__ dx) {
  const int C = shape.c;
  const int at = static_cast<int>(blockIdx.y * kBlock + threadIdx.x);
  if (at >= shape.w * C) return;
  const int n = static_cast<int>(blockIdx.x) / shape.h, h = static_cast<int>(blockIdx.x) % shape.h;
  const int w = at / C, c = at % C;
  const Range rows = windows_over(h, shape.stride_h, shape.pad_h, shape.r, P);
  const Range columns = windows_over(w, shape.stride_w, shape.pad_w, shape.s, Q);

  float sum = 0;
  for (int p = rows.begin; p < rows.end; ++p) {
    const Range row_taps = taps_inside(p, shape.stride_h, shape.pad_h, shape.r, shape.h);
    for (int q = columns.begin; q < columns.end; ++q) {
      const Range column_taps = taps_inside(q, shape.stride_w, shape.pad_w, shape.s, shape.w);
      sum +=
          dy[((static_cast<std::int64_t>(n) * P + p) * Q + q) * C + c] / divisor(shape, count, row_taps, column_taps);
    }
  }
  dx[static_cast<std::int64_t>(blockIdx.x) * shape.w * C + at] = sum;
}
SIMT_CONTRACT(avgpool2d_backward_kernel, .sectors = 1.1, .loads = 3.7);

}  // namespace

void maxpool2d_forward(Queue queue, const Pool2dShape& shape, const float* x, float* y, std::uint8_t* argmax) {
  launch_flat<maxpool2d_forward_kernel>(row_grid(queue, shape.n * shape.p(), shape.q() * shape.c), shape, shape.p(),
                                        shape.q(), x, y, argmax);
}

void maxpool2d_backward(Queue queue, const Pool2dShape& shape, const float* dy, const std::uint8_t* argmax, float* dx) {
  launch_flat<maxpool2d_backward_kernel>(row_grid(queue, shape.n * shape.h, shape.w * shape.c), shape, shape.p(),
                                         shape.q(), dy, argmax, dx);
}

void avgpool2d_forward(Queue queue, const Pool2dShape& shape, PadCount count, const float* x, float* y) {
  launch_flat<avgpool2d_forward_kernel>(row_grid(queue, shape.n * shape.p(), shape.q() * shape.c), shape, shape.p(),
                                        shape.q(), count, x, y);
}

void avgpool2d_backward(Queue queue, const Pool2dShape& shape, PadCount count, const float* dy, float* dx) {
  launch_flat<avgpool2d_backward_kernel>(row_grid(queue, shape.n * shape.h, shape.w * shape.c), shape, shape.p(),
                                         shape.q(), count, dy, dx);
}

}  // namespace gemel::GEMEL_DEVICE
