// SPDX-License-Identifier: MIT
//
// A photograph to another size, and onto a canvas of floats: what a pyramid of a picture's smaller and smaller copies is
// made with.
//
//   image_resize   y[i,j,c] = round(sum over 2x2 neighbours of weight * x[.,.,c])      ResizeShape (shapes.h) has the rule
//   image_place    y[top+i, left+j, c] = (x[i,j,c] / 255 - mean[c]) / deviation[c], where that lies on the canvas
//
// Shapes     x (H,W,C) u8, C 1..4; image_resize: y (out_h,out_w,C) u8; image_place: y (out_h,out_w,C) f32.
// Mapping    block = 256 pixels of a row of what is written, grid y = rows; one thread = one pixel, all its channels.
// Traffic    image_resize: 5 bytes a channel of a pixel at most, neighbours mostly from cache, two 64-bit divisions a
//            pixel; image_place: 5 bytes an element. Both bound by memory.
// Numerics   image_resize works in integers: weights are products of two numbers of 0..2048, their sum is 2^22, so a sum
//            of bytes stays below 2^30.
// Edges      a picture that lies beside the canvas launches nothing.
#include <algorithm>
#include <string>

#include "kernels/entries.h"
#include "kernels/image/batch.cuh"
#include "kernels/simt/launch_error.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;
constexpr int kShift = 22;  // kResizeSteps^2 = 2^22
static_assert(kResizeSteps * kResizeSteps == 1 << kShift);

// Of one direction: two neighbours and the second one's weight, in steps.
struct Neighbours {
  int first, second, weight;
};

__device__ __forceinline__ Neighbours neighbours(int i, int size, int out_size) {
  if (out_size == 1) return {0, 0, 0};
  const std::uint64_t steps = std::uint64_t(2 * kResizeSteps) * i * (size - 1) + (out_size - 1);
  const int position = int(steps / (2 * std::uint64_t(out_size - 1)));
  const int first = position / kResizeSteps;
  return {first, min(first + 1, size - 1), position % kResizeSteps};
}

__global__ void image_resize_kernel(ResizeShape s, const std::uint8_t* __restrict__ x, std::uint8_t* __restrict__ y) {
  const int i = blockIdx.y, j = blockIdx.x * blockDim.x + threadIdx.x;
  if (j >= s.out_w) return;
  const Neighbours row = neighbours(i, s.h, s.out_h), column = neighbours(j, s.w, s.out_w);
  const std::uint8_t* upper = x + std::size_t(row.first) * s.w * s.c;
  const std::uint8_t* lower = x + std::size_t(row.second) * s.w * s.c;
  const int left = column.first * s.c, right = column.second * s.c;
  std::uint8_t* out = y + (std::size_t(i) * s.out_w + j) * s.c;
  for (int c = 0; c < s.c; ++c) {
    const int above = upper[left + c] * (kResizeSteps - column.weight) + upper[right + c] * column.weight;
    const int below = lower[left + c] * (kResizeSteps - column.weight) + lower[right + c] * column.weight;
    const int sum = above * (kResizeSteps - row.weight) + below * row.weight;
    out[c] = std::uint8_t((sum + (1 << (kShift - 1))) >> kShift);
  }
}
SIMT_CONTRACT(image_resize_kernel, .sectors = 4.4, .loads = 13, .stores = 4);

// Rows and columns of the picture that lie on the canvas.
struct Visible {
  int top, left, rows, columns;
};

// C in the type: the channels' numbers stay in registers.
template <int C>
__global__ void image_place_kernel(PlaceShape s, Visible part, Normalization norm, const std::uint8_t* __restrict__ x,
                                   float* __restrict__ y) {
  if (int(blockIdx.x * blockDim.x + threadIdx.x) >= part.columns) return;
  const int i = part.top + blockIdx.y, j = part.left + blockIdx.x * blockDim.x + threadIdx.x;
  const std::uint8_t* from = x + (std::size_t(i) * s.image.w + j) * C;
  float* to = y + (std::size_t(s.top + i) * s.out_w + s.left + j) * C;
  SIMT_UNROLL_REGISTERS
  for (int c = 0; c < C; ++c) to[c] = from[c] * norm.scale[c] + norm.offset[c];
}
SIMT_CONTRACT(image_place_kernel, .sectors = 3.4, .loads = 4, .stores = 3.2);

void check_channels(const char* entry, int c) {
  if (c < 1 || c > 4) {
    throw LaunchError(std::string(entry) + ": images have 1 to 4 channels, not " + std::to_string(c));
  }
}

LaunchConfig over(Queue queue, int rows, int columns) {
  return {.grid = {static_cast<unsigned>((columns + kThreads - 1) / kThreads), static_cast<unsigned>(rows)},
          .block = kThreads,
          .queue = queue};
}

}  // namespace

void image_resize(Queue queue, const ResizeShape& shape, const std::uint8_t* image, std::uint8_t* y) {
  check_channels("image_resize", shape.c);
  launch_flat<image_resize_kernel>(over(queue, shape.out_h, shape.out_w), shape, image, y);
}

void image_place(Queue queue, const PlaceShape& shape, const std::uint8_t* image, float* y) {
  check_channels("image_place", shape.image.c);
  const int top = std::max(0, -shape.top), left = std::max(0, -shape.left);
  const Visible part{top, left, std::min(shape.image.h, shape.out_h - shape.top) - top,
                     std::min(shape.image.w, shape.out_w - shape.left) - left};
  if (part.rows <= 0 || part.columns <= 0) return;
  const LaunchConfig config = over(queue, part.rows, part.columns);
  const Normalization norm(shape.image);
  switch (shape.image.c) {
    case 1:
      return launch_flat<image_place_kernel<1>>(config, shape, part, norm, image, y);
    case 2:
      return launch_flat<image_place_kernel<2>>(config, shape, part, norm, image, y);
    case 3:
      return launch_flat<image_place_kernel<3>>(config, shape, part, norm, image, y);
    default:
      return launch_flat<image_place_kernel<4>>(config, shape, part, norm, image, y);
  }
}

}  // namespace gemel::GEMEL_DEVICE
