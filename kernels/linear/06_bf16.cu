// SPDX-License-Identifier: MIT
//
// linear, rung 6: tensor cores, factors rounded to BF16 (mma.sync m16n8k16), sums in f32.
//
// Formulas, shapes, edge cases: 02_tiled.cu.
// Mapping   kernels/gemm/bf16_copies.cu writes both factors as BF16 to scratch, rows padded to 16 bytes; then
//           kernels/gemm/mma_product.cuh: 128 x 128 results a block of 8 warps (64 x 32 each), else 64 x 64 by 4 warps;
//           128 x 32 and 32 x 128 as rung 4. ldmatrix reads fragments as they are multiplied; it transposes what is
//           contiguous along the lane (w in dgrad, both factors of wgrad).
// Shared    96 KB (fprop) to 102 KB (wgrad) for 128 x 128, 48 to 54 KB for 64 x 64; three stages of 64 depths.
// Registers sm_80, sm_90a: 144-169 for 128 x 128, 108-133 for 64 x 64, 112-137 for 128 x 32 and 32 x 128; no spills.
// Effect    half of rung 4's wavefronts of shared memory and sectors of L2, by the counters (n=132 64 -> 196, fprop: 768
//           ldmatrix for 1,536, 279 and 105 copies for 558 and 210), no bank conflict. Predicted for 128 x 128 x 64 on an
//           H100: 825 cycles of the tensor core at mma.sync's 62 %, 1,024 of shared memory, 1,300 of L2 (32 KB at 24
//           bytes a cycle): 400 TFLOP/s, of BF16's 989, where rung 4 with its f32 in memory has half. The copies read
//           each factor once more: not for products of few rows. Not yet run on a GPU.
// Numerics  a product is within 2^-7 of the exact one; the slices of a sum depend on its length alone.
// Used by   the table where the queue's Math is bf16.    Tests tests/reference/linear.cpp,
//           tests/kernels/mma_rungs_test.cpp
#include <algorithm>

#include "kernels/gemm/bf16_copies.cuh"
#include "kernels/gemm/mma_product.cuh"
#include "kernels/linear/passes.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;
using Tiles = MmaTiles<Math::bf16>;

// The shape of what is read: rows as they are padded.
LinearShape pad_in(LinearShape s) {
  s.in = bf16_pitch(s.in);
  return s;
}
LinearShape pad_out(LinearShape s) {
  s.out = bf16_pitch(s.out);
  return s;
}

Bf16Source copy_of_x(const LinearShape& s, const float* x) { return {x, s.n, s.in, s.n}; }
Bf16Source copy_of_dy(const LinearShape& s, const float* dy) { return {dy, s.n, s.out, s.n}; }
// As many rows as dy has columns: dgrad multiplies the two.
Bf16Source copy_of_w(const LinearShape& s, const float* w) { return {w, s.out, s.in, bf16_pitch(s.out)}; }

}  // namespace

std::size_t LinearBf16Rung::passes_scratch(const LinearShape& s) {
  if (s.n == 0) return 0;
  const std::size_t x = bf16_bytes(copy_of_x(s, nullptr)), dy = bf16_bytes(copy_of_dy(s, nullptr)),
                    w = bf16_bytes(copy_of_w(s, nullptr));
  const std::size_t partial = std::max(linear_passes::scratch(pad_in(s)), linear_passes::scratch(pad_out(s)));
  return std::max({x + w, dy + w, dy + x}) + partial;
}

void LinearBf16Rung::fprop(Queue queue, const LinearShape& s, const float* x, const float* w, const void*,
                           const float* bias, float* y) {
  if (s.n == 0) return;
  const Bf16Factors factors(queue, copy_of_x(s, x), copy_of_w(s, w));
  linear_passes::fprop<Tiles, 8>(queue, pad_in(s), factors.a, factors.b, bias, y);
}

void LinearBf16Rung::dgrad(Queue queue, const LinearShape& s, const float* dy, const float* w, float* dx) {
  if (s.n == 0) return;
  const Bf16Factors factors(queue, copy_of_dy(s, dy), copy_of_w(s, w));
  linear_passes::dgrad<Tiles, 8, 8>(queue, pad_out(s), factors.a, factors.b, bf16_pitch(s.in), dx);
}

void LinearBf16Rung::wgrad(Queue queue, const LinearShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (s.n == 0) return;
  Queue rest = queue;
  const Bf16Factors factors(rest, copy_of_dy(s, dy), copy_of_x(s, x));
  linear_passes::wgrad<Tiles, 8, 8>(rest, s, factors.b, bf16_pitch(s.in), factors.a, bf16_pitch(s.out), dw);
  if (db != nullptr) column_sums(queue, s.n, s.out, dy, db);
}

}  // namespace gemel::GEMEL_DEVICE
