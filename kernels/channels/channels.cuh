// SPDX-License-Identifier: MIT
//
// What the kernels per channel share: a pass over an (M,C) matrix that knows each element's channel, and two sums a
// channel over the rows.
//
//   map    apply(i, c) for every element i = row * C + c
//   sums   a[c] = sum_row first(i, c)     b[c] = sum_row second(i, c)
//
// Mapping   tiles of 32 channels, a warp's lanes; the 8 warps of a block take rows in turn. map: grid x the rows, 64 a
//           block; grid y the channels. sums: grid x slices of the rows, at least 64 each and at most 256 of them; the
//           warps of a block are added in ascending order, then, by a second kernel of one thread a channel, the slices.
//           With less than 32 channels the rest of a warp's lanes have nothing to do.
// Shared    sums: 8 x 2 x 32 floats, one barrier.   Scratch 2 * slices * C floats, and 2 C for totals.
// Traffic   every operand once; a few FLOPs an element: bound by memory.
// Numerics  f32 within a slice, double over the slices, in an order that depends on M alone.
// Edges     M may pass 2^31; M = 0 launches nothing.
#pragma once

#include <algorithm>
#include <cstddef>
#include <cstdint>

#include "kernels/entries.h"
#include "kernels/gemm/tile_product.cuh"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::channels {

inline constexpr int kLanes = 32, kWarps = 8, kThreads = kLanes * kWarps;
inline constexpr int kRowsPerBlock = 8 * kWarps;

inline unsigned tiles(int c) { return static_cast<unsigned>((c + kLanes - 1) / kLanes); }

// ---- map
template <class Map>
__global__ void map_kernel(std::size_t m, int c, Map map) {
  const int channel = static_cast<int>(blockIdx.y * kLanes + threadIdx.x);
  if (channel >= c) return;
  const std::size_t begin = std::size_t{blockIdx.x} * kRowsPerBlock + threadIdx.y;
  const std::size_t end = std::size_t{blockIdx.x + 1} * kRowsPerBlock;
  for (std::size_t row = begin; row < end && row < m; row += kWarps) map.apply(row * c + channel, channel);
}
SIMT_CONTRACT(map_kernel, .sectors = 2.2, .loads = 5.1);

template <class Map>
void map(Queue queue, std::size_t m, int c, const Map& map) {
  const auto blocks = static_cast<unsigned>((m + kRowsPerBlock - 1) / kRowsPerBlock);
  launch_flat<map_kernel<Map>>({.grid = dim3(blocks, tiles(c)), .block = dim3(kLanes, kWarps), .queue = queue}, m, c,
                               map);
}

// ---- sums
inline int slices(std::size_t m) { return static_cast<int>(std::clamp<std::size_t>(m / 64, 1, 256)); }

// Rows [begin, end) of a slice; empty ones may come last.
struct Rows {
  std::size_t begin, end;
};
__device__ __forceinline__ Rows rows_of(std::size_t m, unsigned slice, unsigned slices) {
  const std::size_t length = (m + slices - 1) / slices, begin = slice * length, end = begin + length;
  return {begin < m ? begin : m, end < m ? end : m};
}

// Partial sums: of channel c and slice s, `a` at (2 s) C + c and `b` at (2 s + 1) C + c.
inline std::size_t partial_floats(std::size_t m, int c) {
  return std::size_t{2} * static_cast<std::size_t>(slices(m)) * static_cast<std::size_t>(c);
}

inline LaunchConfig slice_grid(Queue queue, std::size_t m, int c) {
  return {.grid = dim3(static_cast<unsigned>(slices(m)), tiles(c)), .block = kThreads, .queue = queue};
}
inline LaunchConfig channel_grid(Queue queue, int c) {
  return {.grid = static_cast<unsigned>((c + kThreads - 1) / kThreads), .block = kThreads, .queue = queue};
}

template <class Terms>
__global__ void __launch_bounds__(kThreads) sums_kernel(std::size_t m, int c, Terms terms, float* partial) {
  SIMT_SHARED(float, of_warps, [kWarps][2][kLanes]);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int channel = static_cast<int>(blockIdx.y) * kLanes + lane;
  const Rows rows = rows_of(m, blockIdx.x, gridDim.x);
  float a = 0, b = 0;
  if (channel < c) {
    for (std::size_t row = rows.begin + warp; row < rows.end; row += kWarps) {
      terms.add(row * c + channel, channel, a, b);
    }
  }
  of_warps[warp][0][lane] = a;
  of_warps[warp][1][lane] = b;
  __syncthreads();
  if (warp < 2 && channel < c) {  // warp 0 adds `a`, warp 1 `b`
    float sum = 0;
    for (int w = 0; w < kWarps; ++w) sum += of_warps[w][warp][lane];
    partial[(std::size_t{2} * blockIdx.x + warp) * c + channel] = sum;
  }
}
SIMT_CONTRACT(sums_kernel, .sectors = 2.2, .loads = 1.7);

template <class End>
__global__ void finish_kernel(int slices, int c, const float* partial, End end) {
  const int channel = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (channel >= c) return;
  double a = 0, b = 0;
  for (int slice = 0; slice < slices; ++slice) {
    const float* from = partial + std::size_t{2} * slice * c + channel;
    a += from[0];
    b += from[c];
  }
  end.put(channel, a, b);
}
SIMT_CONTRACT(finish_kernel);

// end.put(c, a, b) for every channel, where terms.add(i, c, a, b) adds an element's terms.
template <class Terms, class End>
void sums(Queue queue, std::size_t m, int c, const Terms& terms, const End& end) {
  float* partial = gemm::scratch_floats(queue, channel_scratch(m, c));
  launch<sums_kernel<Terms>>(slice_grid(queue, m, c), m, c, terms, partial);
  launch_flat<finish_kernel<End>>(channel_grid(queue, c), slices(m), c, partial, end);
}

}  // namespace gemel::GEMEL_DEVICE::channels
