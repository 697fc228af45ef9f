// SPDX-License-Identifier: MIT
//
// image_halve: a part of a picture at half its size, smoothed first.
//
//   y[i,j,c] = floor(sum_{r,s=0..4} b_r b_s x[top + 2i + r, left + 2j + s, c] / 256),  b = (1, 4, 6, 4, 1)
//
// Shapes     x (H,W,C) u8, y (out_h,out_w,C) u8.
// Mapping    one thread an element of y; grid x = 256 elements of a row, grid y = row (65535 a launch).
// Traffic    25 bytes read an element, from cache but for 4; 50 integer operations: bound by instructions.
// Numerics   exact.
#include <algorithm>

#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;

__global__ void halve_kernel(HalveShape shape, int first, const std::uint8_t* __restrict__ image,
                             std::uint8_t* __restrict__ y) {
  const int i = first + blockIdx.y;
  const int element = blockIdx.x * blockDim.x + threadIdx.x;
  const int row_elements = shape.out_w() * shape.c;
  if (element >= row_elements) return;
  const int j = element / shape.c, c = element - j * shape.c;
  const std::uint8_t* corner = image + (std::size_t(shape.top + 2 * i) * shape.w + shape.left + 2 * j) * shape.c + c;
  auto row_sum = [&](int r) {
    const std::uint8_t* x = corner + std::size_t(r) * shape.w * shape.c;
    return x[0] + 4 * x[shape.c] + 6 * x[2 * shape.c] + 4 * x[3 * shape.c] + x[4 * shape.c];
  };
  const int sum = row_sum(0) + 4 * row_sum(1) + 6 * row_sum(2) + 4 * row_sum(3) + row_sum(4);
  y[std::size_t(i) * row_elements + element] = static_cast<std::uint8_t>(sum / 256);
}
SIMT_CONTRACT(halve_kernel, .sectors = 2.8, .loads = 11, .stores = 1.55);

}  // namespace

void image_halve(Queue queue, const HalveShape& shape, const std::uint8_t* image, std::uint8_t* y) {
  const auto blocks = static_cast<unsigned>((shape.out_w() * shape.c + kThreads - 1) / kThreads);
  for (int first = 0; first < shape.out_h(); first += static_cast<int>(kMaxGridYZ)) {
    const auto rows = std::min(static_cast<unsigned>(shape.out_h() - first), kMaxGridYZ);
    launch_flat<halve_kernel>({.grid = {blocks, rows}, .block = kThreads, .queue = queue}, shape, first, image, y);
  }
}

}  // namespace gemel::GEMEL_DEVICE
