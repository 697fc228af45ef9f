// SPDX-License-Identifier: MIT
//
// conv2d, rung 6: implicit GEMM on tensor cores, factors rounded to BF16, sums in f32.
//
// Formulas, shapes, edge cases: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue.
// Mapping   kernels/gemm/bf16_copies.cu writes both factors as BF16 to scratch, channels and filters padded to multiples of
//           8; then kernels/gemm/mma_product.cuh: 128 x 128 results a block, else 64 x 64, and 128 x 32 for up to 32
//           filters (wgrad: 32 x 128); a thread's four neighbouring rows are a window of the pool. All copies to shared
//           memory are 16 bytes; the padding of an image is copies of nothing, which leave zeros. A padded channel's sums
//           in wgrad are left out when its slices are added up.
// Shared    as linear/06_bf16.cu.
// Registers sm_80, sm_90a: 146-212 for 128 x 128, 110-168 for 64 x 64, 112-178 for 128 x 32 and 32 x 128; no spills.
// Effect    as linear/06_bf16.cu from 64 filters and 64 taps on; 12x12x20 -> 50 @5x5, by the counters: 1,280 ldmatrix for
//           2,048 and 716 copies for 1,112, of 24 channels instead of 20. x is read once more for its copy, and R*S times
//           as 2 bytes instead of 4. Not yet run on a GPU.
// Numerics  a product is within 2^-7 of the exact one; where two of a window are that close, the argmax may differ.
// Used by   the tables of conv2d and conv_block where the queue's Math is bf16. Tests tests/reference/conv2d.cpp,
//           tests/reference/conv_block.cpp, tests/kernels/mma_rungs_test.cpp
#include <algorithm>

#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/passes.cuh"
#include "kernels/conv2d/rung_of.h"
#include "kernels/gemm/bf16_copies.cuh"
#include "kernels/gemm/mma_product.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;
using Tiles = MmaTiles<Math::bf16>;

// The shape of what is read: channels and filters as they are padded.
Conv2dShape pad_channels(Conv2dShape s) {
  s.c = bf16_pitch(s.c);
  return s;
}
Conv2dShape pad_filters(Conv2dShape s) {
  s.k = bf16_pitch(s.k);
  return s;
}

int pixels(const Conv2dShape& s) { return extent(std::int64_t{s.n} * s.h * s.w, "conv2d: input pixels"); }
Bf16Source copy_of_x(const Conv2dShape& s, const float* x) { return {x, pixels(s), s.c, pixels(s)}; }
Bf16Source copy_of_dy(const Conv2dShape& s, const float* dy) { return {dy, positions(s), s.k, positions(s)}; }
// As many filters as dy has channels: dgrad multiplies the two.
Bf16Source copy_of_filters(const Conv2dShape& s, const float* w) {
  const int taps = s.r * s.s;
  return {w, s.k * taps, s.c, bf16_pitch(s.k) * taps};
}

ConvBlock pad_channels(ConvBlock b) {
  b.conv = pad_channels(b.conv);
  return b;
}

}  // namespace

std::size_t Conv2dBf16Rung::block_scratch(const ConvBlock& b) {
  const std::size_t copies = bf16_bytes(copy_of_x(b.conv, nullptr)) + bf16_bytes(copy_of_filters(b.conv, nullptr));
  return copies + block_forward::forward_plan(pad_channels(b)).scratch_bytes;
}

std::size_t Conv2dBf16Rung::passes_scratch(const Conv2dShape& s) {
  if (s.n == 0) return 0;
  const std::size_t x = bf16_bytes(copy_of_x(s, nullptr)), dy = bf16_bytes(copy_of_dy(s, nullptr)),
                    w = bf16_bytes(copy_of_filters(s, nullptr));
  const Conv2dShape padded = pad_channels(s);
  const auto filters = std::size_t{sizeof(float)} * static_cast<std::size_t>(s.k) * filter_size(padded);
  const int slices = ceil_divide(positions(s), conv2d_passes::wgrad_slice(padded));
  const std::size_t fprop = block_scratch({.conv = s, .relu = false, .pool = false});
  const std::size_t dgrad =
      dy + w + partial_bytes(conv2d_passes::dgrad_slices(pad_filters(s)).split, std::int64_t{pixels(s)} * s.c);
  return std::max({fprop, dgrad, dy + x + filters * static_cast<std::size_t>(slices)});
}

void Conv2dBf16Rung::block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void*,
                                   const float* bias, float* y, std::uint8_t* argmax) {
  if (block_forward::without_outputs(b)) return;
  const Bf16Factors factors(queue, copy_of_x(b.conv, x), copy_of_filters(b.conv, w));
  const auto forward = b.pool ? block_forward::forward<Tiles, true, 8> : block_forward::forward<Tiles, false, 8>;
  forward(queue, pad_channels(b), factors.a, factors.b, bias, y, argmax);
}

// A block that ends with its bias: the same kernels.
void Conv2dBf16Rung::fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias,
                           float* y) {
  block_forward(queue, {.conv = s, .relu = false, .pool = false}, x, w, nullptr, bias, y, nullptr);
}

void Conv2dBf16Rung::dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  if (s.n == 0) return;
  const Bf16Factors factors(queue, copy_of_dy(s, dy), copy_of_filters(s, w));
  conv2d_passes::dgrad<Tiles, 8, 8>(queue, pad_filters(s), factors.a, factors.b, bf16_pitch(s.c), dx);
}

void Conv2dBf16Rung::wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (s.n == 0) return;
  Queue rest = queue;
  const Bf16Factors factors(rest, copy_of_dy(s, dy), copy_of_x(s, x));
  conv2d_passes::wgrad<Tiles, 8, 8>(rest, pad_channels(s), factors.b, factors.a, bf16_pitch(s.k), s.c, dw);
  if (db != nullptr) column_sums(queue, positions(s), s.k, dy, db);
}

}  // namespace gemel::GEMEL_DEVICE
