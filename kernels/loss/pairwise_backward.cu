// SPDX-License-Identifier: MIT
//
// From the gradient of squared distances, or of dot products, to the gradient of the embeddings.
//
//   pairwise_backward    de_i = s sum_j (g_ij + g_ji) 2 (e_i - e_j)          as d2_ij = ||e_i - e_j||^2
//   similarity_backward  de_i = s sum_j (g_ij + g_ji) e_j                    of e_i . e_j
//
// Shapes     e, de (N,D), g (N,N), scale: one float s in device memory.
// Mapping    one block = 32 rows x 64 columns of de, tiles numbered along grid x; 128 threads, each 4 rows x 4 columns.
//            The sum over j is walked in chunks of 32.
// Shared     the chunk of g_ij + g_ji as [j][i], 32 x 36 floats, and of e_j, 32 x 64 floats: 12.5 KB. Loading g, 8
// lanes
//            take neighbouring j and 4 neighbouring i: with a pitch of 36 a warp's 32 stores hit 32 different banks.
// Traffic    g is read twice (as row and as column) for every 64 columns: 24 FLOPs a byte at D = 64 and more. 2 float4
// of
//            shared memory for 16 x 2 operations. Bound by arithmetic, for the usual N of a few hundred by latency.
// Numerics   direct differences in f32, summed over j = 0..N-1 in this order: equal rows pull each other by exactly 0,
//            whatever their distance from the origin. No value depends on the tile. Dot products: sums of products.
// Edges      N 0 launches nothing; any D (16-byte loads where D is a multiple of 4).
#include "kernels/entries.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kTileRows = 32, kTileColumns = 64;  // of de, a block
constexpr int kRows = 4, kColumns = 4;            // a thread
constexpr int kAcross = kTileColumns / kColumns;
constexpr int kThreads = kTileRows / kRows * kAcross;
constexpr int kDepth = 32;  // rows j at a time
constexpr int kPitch = kTileRows + 4;

// 4 neighbouring floats of row `row` of x (rows,d) from column `column`; zeros outside of x.
template <bool kAligned>
__device__ __forceinline__ float4 load_inside(const float* __restrict__ x, int rows, int d, int row, int column) {
  float4 v = make_float4(0, 0, 0, 0);
  if (row >= rows) return v;
  const float* from = x + std::size_t(row) * d + column;
  if constexpr (kAligned) {
    if (column < d) v = load4(from);
  } else {
    if (column + 0 < d) v.x = from[0];
    if (column + 1 < d) v.y = from[1];
    if (column + 2 < d) v.z = from[2];
    if (column + 3 < d) v.w = from[3];
  }
  return v;
}

template <bool kDifferences, bool kAligned>
__global__ void __launch_bounds__(kThreads)
    pairwise_backward_kernel(int n, int d, int column_tiles, const float* __restrict__ e, const float* __restrict__ g,
                             const float* __restrict__ scale, float* __restrict__ de) {
  SIMT_SHARED(float, tile_g, [kDepth][kPitch]);
  SIMT_SHARED(float, tile_e, [kDepth][kTileColumns]);
  const int t = threadIdx.x;
  const int first_i = blockIdx.x / column_tiles * kTileRows;
  const int first_column = blockIdx.x % column_tiles * kTileColumns;
  const int r0 = t / kAcross * kRows, c0 = t % kAcross * kColumns;  // of this thread, within the tile

  float own[kRows][kColumns], sum[kRows][kColumns] = {};
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    const float4 v = load_inside<kAligned>(e, n, d, first_i + r0 + r, first_column + c0);
    own[r][0] = v.x;
    own[r][1] = v.y;
    own[r][2] = v.z;
    own[r][3] = v.w;
  }

  for (int first_j = 0; first_j < n; first_j += kDepth) {
    SIMT_UNROLL
    for (int step = 0; step < kDepth * kTileRows / kThreads; ++step) {
      const int j = step % (kDepth / 8) * 8 + t % 8;
      const int i = step / (kDepth / 8) * (kThreads / 8) + t / 8;
      const bool inside = first_i + i < n && first_j + j < n;
      const std::size_t row_i = std::size_t(first_i + i), row_j = std::size_t(first_j + j);
      tile_g[j][i] = inside ? g[row_i * n + row_j] + g[row_j * n + row_i] : 0.0f;
    }
    SIMT_UNROLL
    for (int step = 0; step < kDepth * kAcross / kThreads; ++step) {
      const int j = step * (kThreads / kAcross) + t / kAcross;
      store4(&tile_e[j][c0], load_inside<kAligned>(e, n, d, first_j + j, first_column + c0));
    }
    __syncthreads();
    for (int j = 0; j < kDepth; ++j) {
      const float4 weights = load4(&tile_g[j][r0]), other = load4(&tile_e[j][c0]);
      const float weight[kRows] = {weights.x, weights.y, weights.z, weights.w};
      const float theirs[kColumns] = {other.x, other.y, other.z, other.w};
      SIMT_UNROLL
      for (int r = 0; r < kRows; ++r) {
        SIMT_UNROLL
        for (int c = 0; c < kColumns; ++c) {
          sum[r][c] += weight[r] * (kDifferences ? own[r][c] - theirs[c] : theirs[c]);
        }
      }
    }
    __syncthreads();
  }

  const float factor = kDifferences ? 2.0f * *scale : *scale;
  SIMT_UNROLL
  for (int r = 0; r < kRows; ++r) {
    SIMT_UNROLL
    for (int c = 0; c < kColumns; ++c) {
      const int i = first_i + r0 + r, column = first_column + c0 + c;
      if (i < n && column < d) de[std::size_t(i) * d + column] = factor * sum[r][c];
    }
  }
}
SIMT_CONTRACT(pairwise_backward_kernel, .sectors = 1.6, .loads = 5.6, .stores = 4.1, .registers = 80);

template <bool kDifferences>
void launch_tiles(Queue queue, int n, int d, const float* e, const float* g, const float* scale, float* de) {
  const int row_tiles = (n + kTileRows - 1) / kTileRows, column_tiles = (d + kTileColumns - 1) / kTileColumns;
  const LaunchConfig config{.grid = static_cast<unsigned>(row_tiles) * static_cast<unsigned>(column_tiles),
                            .block = kThreads,
                            .queue = queue};
  if (d % 4 == 0) {
    launch<pairwise_backward_kernel<kDifferences, true>>(config, n, d, column_tiles, e, g, scale, de);
  } else {
    launch<pairwise_backward_kernel<kDifferences, false>>(config, n, d, column_tiles, e, g, scale, de);
  }
}

}  // namespace

void pairwise_backward(Queue queue, int n, int d, const float* e, const float* g, const float* scale, float* de) {
  launch_tiles<true>(queue, n, d, e, g, scale, de);
}

void similarity_backward(Queue queue, int n, int d, const float* e, const float* g, const float* scale, float* de) {
  launch_tiles<false>(queue, n, d, e, g, scale, de);
}

}  // namespace gemel::GEMEL_DEVICE
