// SPDX-License-Identifier: MIT
//
// image_augment: a batch for training, each picture moved, mirrored, lit and made noisy by chance.
//
//   p' = R S D p + t       from the picture's place p to the place p' where it is seen, both about the centre;
//                          R a rotation, S = (1 a; b 1), D = diag(scales), x mirrored before or not
//   y[p'] = (clamp((v(p) - 0.5) g + 0.5 + o + noise, 0, 1) - mean) / deviation,  v bilinear between pixels / 255
//
// Random     Philox with the caller's seed; stream (step, row): whatever the batch's size, row i of step t is drawn alike.
//            Counters 0..4 give the words for the map and the light, in the order of draw_map; element e's noise is counter
//            5 + e, by Box and Muller.
// Mapping    draw_kernel: one thread a row, 8 floats into scratch. augment_kernel: as image_to_float, one thread an element.
// Traffic    a row's picture is read from cache about 4 times, 4 bytes an element written; some 30 operations an element,
//            and 100 more with noise.
// Numerics   source places in f32: within 2^-12 of a pixel for pictures of up to 1000 pixels a side.
//            __sinf and __cosf on [-pi, pi]: within 2^-21 on a GPU; sinf's reduction of large angles needs local memory.
// Edges      places outside of a picture take its nearest border pixel. A map that cannot be inverted (shears whose
//            product is 1) is left to the caller to avoid.
#include <algorithm>
#include <string>

#include "kernels/entries.h"
#include "kernels/image/batch.cuh"
#include "kernels/philox.h"
#include "kernels/simt/launch_error.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;
constexpr int kMapBlocks = 5;  // of Philox; what follows is noise
constexpr float kPi = 3.14159265358979f;

// From a seen place, relative to the centre, to the picture's own; and the light, in bytes: v -> v * gain + offset.
struct RowMap {
  float xx, xy, yx, yy;
  float x, y;
  float gain, offset;
};

__device__ __forceinline__ std::uint64_t stream_of(const StepState* step, int row) {
  return std::uint64_t(step == nullptr ? 0 : step->step) << 32 | std::uint32_t(row);
}

// Uniform in [low, high), or `otherwise` unless the first word falls below the probability.
__device__ __forceinline__ float draw(std::uint32_t chance, float probability, std::uint32_t word, float low,
                                      float high, float otherwise) {
  return unit_uniform(chance) < probability ? low + (high - low) * unit_uniform(word) : otherwise;
}

__device__ __forceinline__ RowMap draw_map(const Augmentation& a, std::uint64_t seed, std::uint64_t stream) {
  std::uint32_t words[4 * kMapBlocks];
  SIMT_UNROLL
  for (int i = 0; i < kMapBlocks; ++i) {
    const PhiloxBlock block = philox_block(seed, stream, i);
    SIMT_UNROLL
    for (int j = 0; j < 4; ++j) words[4 * i + j] = block.word[j];
  }
  const float p = a.probability;
  const float angle = draw(words[0], p, words[1], -a.rotate, a.rotate, 0) * (kPi / 180);
  const float shear_x = draw(words[2], p, words[3], -a.shear, a.shear, 0);
  const float shear_y = draw(words[4], p, words[5], -a.shear, a.shear, 0);
  const float scale_x = draw(words[6], p, words[7], a.scale_low, a.scale_high, 1);
  const float scale_y = a.one_scale ? scale_x : draw(words[8], p, words[9], a.scale_low, a.scale_high, 1);
  const float shift_x = draw(words[10], p, words[11], -a.shift, a.shift, 0);
  const float shift_y = draw(words[12], p, words[13], -a.shift, a.shift, 0);
  const float mirror = unit_uniform(words[14]) < a.flip ? -1.0f : 1.0f;

  // The inverse of R S D: D^-1 S^-1 R^-1.
  const float cosine = __cosf(angle), sine = __sinf(angle);
  const float determinant = 1 - shear_x * shear_y;
  const float across = mirror / (scale_x * determinant), down = 1 / (scale_y * determinant);
  RowMap map;
  map.xx = across * (cosine + shear_x * sine);
  map.xy = across * (sine - shear_x * cosine);
  map.yx = down * (-shear_y * cosine - sine);
  map.yy = down * (-shear_y * sine + cosine);
  map.x = -(map.xx * shift_x + map.xy * shift_y);
  map.y = -(map.yx * shift_x + map.yy * shift_y);
  map.gain = 1 + a.contrast * (2 * unit_uniform(words[15]) - 1);
  map.offset = 255 * (0.5f * (1 - map.gain) + a.brightness * (2 * unit_uniform(words[16]) - 1));
  return map;
}

__global__ void draw_kernel(int n, Augmentation augmentation, std::uint64_t seed, const StepState* __restrict__ step,
                            RowMap* __restrict__ maps) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  maps[i] = draw_map(augmentation, seed, stream_of(step, i));
}
SIMT_CONTRACT(draw_kernel, .sectors = 2, .loads = 8.1, .stores = 2.1);

__device__ __forceinline__ float standard_normal(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter) {
  const PhiloxBlock block = philox_block(seed, stream, counter);
  const float u = (static_cast<float>(block.word[0] >> 8) + 1) * 0x1p-24f;  // (0, 1]
  return sqrtf(-2 * logf(u)) * -__cosf(2 * kPi * (unit_uniform(block.word[1]) - 0.5f));
}

__global__ void augment_kernel(ImageShape shape, int first, Normalization norm, float noise, std::uint64_t seed,
                               const RowMap* __restrict__ maps, const std::uint8_t* __restrict__ images,
                               const std::int32_t* __restrict__ index, const StepState* __restrict__ step,
                               float* __restrict__ y) {
  const int i = first + blockIdx.y;
  const int elements = shape.h * shape.w * shape.c;
  const int element = blockIdx.x * blockDim.x + threadIdx.x;
  if (element >= elements) return;
  const std::uint8_t* image =
      images + source_row(shape.n, i, index, step == nullptr ? nullptr : &step->cursor) * elements;
  const int c = element % shape.c, column = element / shape.c % shape.w, row = element / shape.c / shape.w;
  const RowMap map = maps[i];

  const float centre_x = 0.5f * (shape.w - 1), centre_y = 0.5f * (shape.h - 1);
  const float seen_x = column - centre_x, seen_y = row - centre_y;
  const float x = fminf(fmaxf(map.xx * seen_x + map.xy * seen_y + map.x + centre_x, 0.0f), shape.w - 1.0f);
  const float y_place = fminf(fmaxf(map.yx * seen_x + map.yy * seen_y + map.y + centre_y, 0.0f), shape.h - 1.0f);
  const int left = static_cast<int>(x), top = static_cast<int>(y_place);
  const int right = left + 1 < shape.w ? left + 1 : left, bottom = top + 1 < shape.h ? top + 1 : top;
  const float part_x = x - left, part_y = y_place - top;
  auto pixel = [&](int r, int s) { return static_cast<float>(image[(r * shape.w + s) * shape.c + c]); };
  const float upper = pixel(top, left) + part_x * (pixel(top, right) - pixel(top, left));
  const float lower = pixel(bottom, left) + part_x * (pixel(bottom, right) - pixel(bottom, left));

  float value = (upper + part_y * (lower - upper)) * map.gain + map.offset;
  if (noise != 0) value += 255 * noise * standard_normal(seed, stream_of(step, i), kMapBlocks + element);
  value = fminf(fmaxf(value, 0.0f), 255.0f);
  y[std::size_t(i) * elements + element] = value * norm.scale[c] + norm.offset[c];
}
SIMT_CONTRACT(augment_kernel, .sectors = 1.95, .loads = 21);

}  // namespace

std::size_t image_augment_scratch(const ImageShape& shape) { return std::size_t(shape.n) * sizeof(RowMap); }

void image_augment(Queue queue, const ImageShape& shape, const Augmentation& augmentation, std::uint64_t seed,
                   const std::uint8_t* images, const std::int32_t* index, const StepState* step, float* y) {
  if (!augmentation.any()) {
    return image_to_float(queue, shape, images, index, step == nullptr ? nullptr : &step->cursor, y);
  }
  if (shape.c < 1 || shape.c > 4) {
    throw LaunchError("image_augment: images have 1 to 4 channels, not " + std::to_string(shape.c));
  }
  auto* maps = static_cast<RowMap*>(queue.scratch.data);
  const auto blocks = [](int count) { return static_cast<unsigned>((count + kThreads - 1) / kThreads); };
  launch_flat<draw_kernel>({.grid = blocks(shape.n), .block = kThreads, .queue = queue}, shape.n, augmentation, seed,
                           step, maps);
  for (int first = 0; first < shape.n; first += static_cast<int>(kMaxGridYZ)) {
    const auto images_here = std::min(static_cast<unsigned>(shape.n - first), kMaxGridYZ);
    launch_flat<augment_kernel>(
        {.grid = {blocks(shape.h * shape.w * shape.c), images_here}, .block = kThreads, .queue = queue}, shape, first,
        Normalization(shape), augmentation.noise, seed, maps, images, index, step, y);
  }
}

}  // namespace gemel::GEMEL_DEVICE
