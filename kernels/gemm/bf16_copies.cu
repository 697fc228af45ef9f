// SPDX-License-Identifier: MIT
//
// Factors as BF16 in memory, for products on tensor cores: each is rounded once, not once a tile that reads it, and half
// as many bytes go to shared memory.
//
// Shapes    from: (rows, columns) f32   to: (rows_to, pitch) BF16, pitch the next multiple of 8. What is added is 0.
// Mapping   one launch copies both factors of a product, 4 elements a thread.   Shared none.
// Traffic   4 bytes read and 2 written an element: bound by memory. A product saves 2 bytes as often as it reads one: R*S
//           times an image's in a convolution, once a tile of columns.
// Numerics  to nearest, ties to even.
// Used by   linear/06_bf16.cu, conv2d/06_bf16.cu.    Tests as theirs.
#include "kernels/gemm/bf16_copies.cuh"

#include "kernels/gemm/product.cuh"
#include "kernels/simt/mma.h"

namespace gemel::GEMEL_DEVICE::gemm {
namespace {

struct Bf16Job {
  const float* from;
  Bf16* to;
  int rows, columns, fours;  // fours: of the copy
  Divisor by_fours;          // of a row of the copy

  explicit Bf16Job(const Bf16Source& source, Bf16* copy)
      : from(source.from),
        to(copy),
        rows(source.rows),
        columns(source.columns),
        fours(extent(std::int64_t{source.rows_to} * (bf16_pitch(source.columns) / 4), "elements of a BF16 factor")),
        by_fours(bf16_pitch(source.columns) / 4) {}

  __device__ __forceinline__ void copy(int four) const {
    if (four >= fours) return;
    int at;
    const int row = by_fours.divide(four, at), column = at * 4;
    float v[4] = {};
    if (row < rows) {
      const float* source = from + (static_cast<std::int64_t>(row) * columns + column);
      if (columns % 4 == 0) {
        if (column < columns) load_run(source, v);
      } else {
        SIMT_UNROLL
        for (int e = 0; e < 4; ++e) v[e] = column + e < columns ? source[e] : 0.0f;
      }
    }
    store2(reinterpret_cast<float*>(to + static_cast<std::int64_t>(four) * 4),
           make_float2(__uint_as_float(to_bf16(v[0], v[1])), __uint_as_float(to_bf16(v[2], v[3]))));
  }
};

inline constexpr int kCopyBlock = 256;
__global__ void bf16_copies_kernel(int first_blocks, Bf16Job first, Bf16Job second) {
  const int block = static_cast<int>(blockIdx.x), thread = static_cast<int>(threadIdx.x);
  if (block < first_blocks) {
    first.copy(block * kCopyBlock + thread);
  } else {
    second.copy((block - first_blocks) * kCopyBlock + thread);
  }
}
SIMT_CONTRACT(bf16_copies_kernel, .sectors = 1.1, .loads = 1.1, .stores = 1.1);

}  // namespace

Bf16Factors::Bf16Factors(Queue& queue, const Bf16Source& left, const Bf16Source& right) {
  const std::size_t first = bf16_bytes(left);
  const std::size_t both = first + bf16_bytes(right);
  auto* front = reinterpret_cast<std::uint8_t*>(scratch_floats(queue, both));
  auto *to_a = reinterpret_cast<Bf16*>(front), *to_b = reinterpret_cast<Bf16*>(front + first);
  const Bf16Job job_a(left, to_a), job_b(right, to_b);
  const int blocks_a = ceil_divide(job_a.fours, kCopyBlock), blocks_b = ceil_divide(job_b.fours, kCopyBlock);
  launch_flat<bf16_copies_kernel>(
      {.grid = dim3(static_cast<unsigned>(blocks_a + blocks_b)), .block = dim3(kCopyBlock), .queue = queue}, blocks_a,
      job_a, job_b);
  queue.scratch = {front + both, queue.scratch.bytes - both};
  a = to_a;
  b = to_b;
}

}  // namespace gemel::GEMEL_DEVICE::gemm
