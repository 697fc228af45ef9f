// SPDX-License-Identifier: MIT
//
// image_chips: aligned pieces of one picture, each by its own affine map from the chip's pixels to the picture's.
//
//   y[i,p,q,c] = floor((1 - v) ((1 - u) x[t,l,c] + u x[t,l+1,c]) + v ((1 - u) x[t+1,l,c] + u x[t+1,l+1,c]))
//   (l + u, t + v) = map_i (q, p, 1),  l, t integers, u, v in [0, 1);  0 unless all four pixels are there
//
// Shapes     maps (n,2,3) f32, x (H,W,C) u8, y (n,out_h,out_w,C) u8.
// Mapping    one thread an element of y; grid x = 256 elements of a chip, grid y = chip (65535 a launch).
// Traffic    4 bytes read an element, mostly from cache, 1 written; some 40 integer operations: bound by those.
// Numerics   integers throughout, and so the same bytes on every device: places in 2^-32 pixels, their fractions in
//            2^-16, which moves a value by less than 2^-7 before it is rounded down.
#include <algorithm>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;
constexpr int kPlaceBits = 32, kFractionBits = 16;

// m (3) times (q, p, 1), in 2^-kPlaceBits pixels.
__device__ __forceinline__ std::int64_t place(const float* __restrict__ m, int q, int p) {
  auto fixed = [](float v) { return static_cast<std::int64_t>(v * float(std::int64_t{1} << kPlaceBits)); };
  return fixed(m[0]) * q + fixed(m[1]) * p + fixed(m[2]);
}

__device__ __forceinline__ std::uint64_t fraction(std::int64_t place) {
  return static_cast<std::uint64_t>(place) >> (kPlaceBits - kFractionBits) & ((1u << kFractionBits) - 1);
}

__global__ void chips_kernel(ChipShape shape, int first, const float* __restrict__ maps,
                             const std::uint8_t* __restrict__ image, std::uint8_t* __restrict__ chips) {
  const int i = first + blockIdx.y;
  const int element = blockIdx.x * blockDim.x + threadIdx.x;
  const int elements = shape.out_h * shape.out_w * shape.c;
  if (element >= elements) return;
  const int c = element % shape.c, q = element / shape.c % shape.out_w, p = element / shape.c / shape.out_w;
  const float* map = maps + std::size_t(i) * 6;
  const std::int64_t x = place(map, q, p), y = place(map + 3, q, p);
  const std::int64_t left = x >> kPlaceBits, top = y >> kPlaceBits;

  std::uint8_t value = 0;
  if (left >= 0 && top >= 0 && left + 1 < shape.w && top + 1 < shape.h) {
    const std::size_t row = std::size_t(shape.w) * shape.c;
    const std::uint8_t* pixel = image + top * row + left * shape.c + c;
    const std::uint64_t u = fraction(x), v = fraction(y), one = 1u << kFractionBits;
    const std::uint64_t upper = pixel[0] * (one - u) + pixel[shape.c] * u;
    const std::uint64_t lower = pixel[row] * (one - u) + pixel[row + shape.c] * u;
    value = static_cast<std::uint8_t>((upper * (one - v) + lower * v) >> 2 * kFractionBits);
  }
  chips[std::size_t(i) * elements + element] = value;
}
SIMT_CONTRACT(chips_kernel, .sectors = 3.2, .loads = 40, .stores = 1.9);

}  // namespace

void image_chips(Queue queue, const ChipShape& shape, const float* maps, const std::uint8_t* image,
                 std::uint8_t* chips) {
  const auto blocks = static_cast<unsigned>((shape.out_h * shape.out_w * shape.c + kThreads - 1) / kThreads);
  for (int first = 0; first < shape.n; first += static_cast<int>(kMaxGridYZ)) {
    const auto chips_here = std::min(static_cast<unsigned>(shape.n - first), kMaxGridYZ);
    launch_flat<chips_kernel>({.grid = {blocks, chips_here}, .block = kThreads, .queue = queue}, shape, first, maps,
                              image, chips);
  }
}

}  // namespace gemel::GEMEL_DEVICE
