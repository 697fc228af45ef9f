// SPDX-License-Identifier: MIT
//
// The end of a residual block: its input is added to its output, the smaller of the two counting as 0 where it has no
// row, column or channel (He et al. 2016, option A, as dlib's add_prev does it).
//
//   add     y[n,h,w,c] = main[n,h,w,c] + skip[n,h,w,c]
//   split   dmain, dskip = the parts of dy that lie inside them
//
// Shapes     y, dy (N,h,w,c) with h, w, c the larger of both operands' (kernels.h).
// Mapping    one thread = one element of y (add) or of an operand (split). Grid x: rows of images, N*h; grid y: blocks
//            of 256 elements of such a row, w*c. Operands of one shape: flat, 4 floats a thread.
// Traffic    12 bytes an element of y (add), 8 an element of an operand (split): bound by memory.
// Edges      N = 0 launches nothing. y may be an operand of y's shape.
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;

struct Image {
  int h, w, c;
};

__device__ __forceinline__ float element(const float* x, const Image& of, int n, int h, int w, int c) {
  const bool inside = h < of.h && w < of.w && c < of.c;
  return inside ? x[((std::int64_t{n} * of.h + h) * of.w + w) * of.c + c] : 0.0f;
}

// out (N,h,w,c) = a + b; b null: a alone.
__global__ void add_kernel(Image out, Image a_image, Image b_image, const float* a, const float* b, float* y) {
  const int at = static_cast<int>(blockIdx.y * kThreads + threadIdx.x);
  if (at >= out.w * out.c) return;
  const int n = static_cast<int>(blockIdx.x) / out.h, h = static_cast<int>(blockIdx.x) % out.h;
  const int w = at / out.c, c = at % out.c;
  float sum = element(a, a_image, n, h, w, c);
  if (b != nullptr) sum += element(b, b_image, n, h, w, c);
  y[std::int64_t{blockIdx.x} * out.w * out.c + at] = sum;
}
SIMT_CONTRACT(add_kernel);

__global__ void add_same_kernel(std::size_t count, const float* a, const float* b, float* y) {
  const std::size_t first = (std::size_t{blockIdx.x} * kThreads + threadIdx.x) * 4;
  if (first + 4 <= count) {
    const float4 v = load4(a + first), w = load4(b + first);
    store4(y + first, make_float4(v.x + w.x, v.y + w.y, v.z + w.z, v.w + w.w));
    return;
  }
  for (std::size_t i = first; i < count; ++i) y[i] = a[i] + b[i];
}
SIMT_CONTRACT(add_same_kernel);

void add(Queue queue, int n, Image out, Image a_image, Image b_image, const float* a, const float* b, float* y) {
  const auto rows = static_cast<unsigned>(n) * static_cast<unsigned>(out.h);
  const LaunchConfig config{.grid = dim3(rows, static_cast<unsigned>((out.w * out.c + kThreads - 1) / kThreads)),
                            .block = kThreads,
                            .queue = queue};
  launch_flat<add_kernel>(config, out, a_image, b_image, a, b, y);
}

Image main_of(const ResidualShape& s) { return {s.main_h, s.main_w, s.main_c}; }
Image skip_of(const ResidualShape& s) { return {s.skip_h, s.skip_w, s.skip_c}; }
Image sum_of(const ResidualShape& s) { return {s.h(), s.w(), s.c()}; }

}  // namespace

void residual_add(Queue queue, const ResidualShape& s, const float* main, const float* skip, float* y) {
  if (s.main_h != s.skip_h || s.main_w != s.skip_w || s.main_c != s.skip_c) {
    return add(queue, s.n, sum_of(s), main_of(s), skip_of(s), main, skip, y);
  }
  const std::size_t count = static_cast<std::size_t>(s.n) * s.h() * s.w() * s.c();
  const auto blocks = static_cast<unsigned>((count + 4 * kThreads - 1) / (4 * kThreads));
  launch_flat<add_same_kernel>({.grid = blocks, .block = kThreads, .queue = queue}, count, main, skip, y);
}

void residual_split(Queue queue, const ResidualShape& s, const float* dy, float* dmain, float* dskip) {
  if (dmain != nullptr) add(queue, s.n, main_of(s), sum_of(s), {}, dy, nullptr, dmain);
  if (dskip != nullptr) add(queue, s.n, skip_of(s), sum_of(s), {}, dy, nullptr, dskip);
}

}  // namespace gemel::GEMEL_DEVICE
