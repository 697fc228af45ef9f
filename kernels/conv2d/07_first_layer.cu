// SPDX-License-Identifier: MIT
//
// conv2d, rung 7: layers on the image itself (C = 1, 2, 3), whose pixels are no whole 16 bytes. Sums directly in registers,
// from the part of an image that a block sees in shared memory, instead of a product of tiles that are gathered float by
// float.
//
// Formulas, shapes: 02_implicit_gemm.cu, and conv_block.cu for bias, ReLU and 2x2 max-pool in the epilogue. dgrad, which
// first layers do not need, is the implicit GEMM's, as are shapes that do not fit (first_layer.cuh).
//
// Mapping   fprop: grid x: tiles of output positions of one image, grid y: up to 64 filters each. The tile's part of the
//           image and the filters, transposed to (R*S*C, filters), are copied to shared memory once. A thread sums 2 x 4
//           positions (windows of the pool) by 8 filters, r, s, c ascending: a filter row of an image row is contiguous
//           in both, so the inner loop only counts.
//           wgrad: grid x: slices of the tiles of all images, grid y: filters. A team of threads has all results of the
//           block's filters, 8 taps x 8 filters a thread; teams share the positions of a tile, their sums are added by
//           way of shared memory, and the slices by sum_slices. Who copies dy's tile sums it for db. The gradient of a
//           block (conv_block.cu) is the same kernel: dz is never written, but found when it is copied
//           (block_gradient.cuh), unless dx is asked for as well.
// Shared    up to 48 KB: fprop R*S*C x (filters + 4) and the image's part; wgrad the image's part and dy's tile.
// Traffic   2*N*P*Q*K*R*S*C FLOPs a pass. x, dy and y go to or from memory once (x and its halo, once for 64 filters);
//           8 filters and 8 positions of shared memory feed 64 multiply-adds.
// Registers sm_80, sm_90a: at most 128 (two blocks a multiprocessor), no spills.
// Effect    predicted: bound by arithmetic, where rung 2 is bound by gathering. Not yet run on a GPU.
// Numerics  f32. fprop: one sum in ascending order: the bits of rung 2 where that does not cut its sums (R*S*C < 768).
//           wgrad: the order depends on the whole shape: the same bits from run to run.
// Edge      as rung 2: taps in the padding multiply w by 0. N = 0 launches nothing. bias, db may be null.
// Used by   the table, where first_layer::pays, in every Math: tensor cores would have 9 of 32 depths and 20 of 32 filters
//           to multiply.    Tests tests/reference/conv2d.cpp, tests/reference/conv_block.cpp,
//           tests/kernels/first_layer_test.cpp
#include <cstdint>

#include "kernels/conv2d/block_forward.cuh"
#include "kernels/conv2d/block_gradient.cuh"
#include "kernels/conv2d/first_layer.cuh"
#include "kernels/conv2d/implicit_gemm.h"

namespace gemel::GEMEL_DEVICE::conv2d_first_layer {
namespace {

using namespace first_layer;
using GEMEL_DEVICE::block_forward::BlockEnd;
using gemm::extent, gemm::filter_size, gemm::scratch_floats, gemm::sum_slices;
using T = FirstLayer;

// The part of an image that a tile of positions sees, (patch_h, patch_w) floats of which each row is contiguous in the
// image.
struct ImagePart {
  const float* x;
  int h, row;            // of an image; floats of a row
  int step_h, step_w;    // rows, floats from position to position
  int first_h, first_w;  // of position (0,0)
  int patch_h, patch_w;

  // For image n and the tile that begins at position (p,q). Row by row, a warp each.
  __device__ __forceinline__ void load(int n, int p, int q, float* __restrict__ patch) const {
    const int warp = static_cast<int>(threadIdx.x) / 32, lane = static_cast<int>(threadIdx.x) % 32;
    const int top = first_h + p * step_h, left = first_w + q * step_w;
    for (int i = warp; i < patch_h; i += T::kThreads / 32) {
      const int from_h = top + i;
      const float* from = x + (static_cast<std::int64_t>(n) * h + from_h) * row + left;
      const bool inside = static_cast<unsigned>(from_h) < static_cast<unsigned>(h);
      for (int j = lane; j < patch_w; j += 32) {
        const bool in_row = inside && static_cast<unsigned>(left + j) < static_cast<unsigned>(row);
        patch[i * patch_w + j] = in_row ? from[j] : 0.0f;
      }
    }
  }
};

ImagePart image_part(const Conv2dShape& s, const float* x, int patch_h, int patch_w) {
  return {x, s.h, s.w * s.c, s.stride_h, s.stride_w * s.c, -s.pad_h, -s.pad_w * s.c, patch_h, patch_w};
}

// Which 8 filters of a block's a thread has: 4 neighbours in either half, so that neighbouring threads store
// neighbouring float4s.
__device__ __forceinline__ int filter_of(int half, int group, int groups) { return (half * groups + group) * 4; }

__device__ __forceinline__ void load_filters(const float* row, int group, int groups, float (&filters)[T::kFilters]) {
  SIMT_UNROLL
  for (int half = 0; half < 2; ++half) {
    const float4 v = load4(row + filter_of(half, group, groups));
    filters[half * 4] = v.x, filters[half * 4 + 1] = v.y, filters[half * 4 + 2] = v.z, filters[half * 4 + 3] = v.w;
  }
}

// ---- fprop
struct Forward {
  ImagePart part;
  const float* w;
  int K, taps, filter_rows, row_taps;  // R*S*C, R, S*C
  int groups;
  int cells_down, cells_across, tiles_down, tiles_across;
  int rows, columns;    // of positions that are computed
  int out_w, out_size;  // of an image's output
};

template <bool Pool>
__global__ void __launch_bounds__(T::kThreads, 2)
    first_layer_fprop_kernel(const __grid_constant__ Forward f, const __grid_constant__ BlockEnd<Pool> end) {
  const int thread = static_cast<int>(threadIdx.x), pitch = f.groups * T::kFilters + 4;
  float* filters = &shared_storage<float>();
  float* patch = filters + f.taps * pitch;
  const int tile = static_cast<int>(blockIdx.x);
  const int tile_q = tile % f.tiles_across, tile_p = tile / f.tiles_across % f.tiles_down;
  const int n = tile / f.tiles_across / f.tiles_down, first_k = static_cast<int>(blockIdx.y) * f.groups * T::kFilters;
  const int first_p = tile_p * f.cells_down * T::kRows, first_q = tile_q * f.cells_across * T::kColumns;

  f.part.load(n, first_p, first_q, patch);
  for (int k = thread / 8; k < f.groups * T::kFilters; k += T::kThreads / 8) {
    const bool inside = first_k + k < f.K;
    const float* from = f.w + static_cast<std::int64_t>(first_k + k) * f.taps;
    for (int tap = thread % 8; tap < f.taps; tap += 8) filters[tap * pitch + k] = inside ? from[tap] : 0.0f;
  }
  __syncthreads();

  const int group = thread % f.groups, cell = thread / f.groups;
  const int cell_p = cell / f.cells_across * T::kRows, cell_q = cell % f.cells_across * T::kColumns;
  const int p = first_p + cell_p, q = first_q + cell_q;
  if (cell >= f.cells_down * f.cells_across || p >= f.rows || q >= f.columns) return;

  const int step_h = f.part.step_h * f.part.patch_w, step_w = f.part.step_w;
  const float* row = patch + cell_p * step_h + cell_q * step_w;
  const float* filter = filters;
  float sums[T::kRows][T::kColumns][T::kFilters] = {};
  for (int r = 0; r < f.filter_rows; ++r, row += f.part.patch_w) {
    const float* at = row;
    for (int t = 0; t < f.row_taps; ++t, ++at, filter += pitch) {
      float taps[T::kFilters];
      load_filters(filter, group, f.groups, taps);
      SIMT_UNROLL
      for (int i = 0; i < T::kRows; ++i) {
        SIMT_UNROLL
        for (int j = 0; j < T::kColumns; ++j) {
          const float pixel = at[i * step_h + j * step_w];
          SIMT_UNROLL
          for (int k = 0; k < T::kFilters; ++k) sums[i][j][k] += pixel * taps[k];
        }
      }
    }
  }

  constexpr int kTaps = BlockEnd<Pool>::kTaps, kSide = Pool ? 2 : 1;
  SIMT_UNROLL_REGISTERS
  for (int half = 0; half < 2; ++half) {
    const int k = first_k + filter_of(half, group, f.groups);
    if (k >= f.K) continue;
    float add[4];
    end.biases_of(k, add);
    SIMT_UNROLL_REGISTERS
    for (int i = 0; i < T::kRows; i += kSide) {
      SIMT_UNROLL_REGISTERS
      for (int j = 0; j < T::kColumns; j += kSide) {
        if (p + i >= f.rows || q + j >= f.columns) continue;
        float window[kTaps][4];
        SIMT_UNROLL_REGISTERS
        for (int tap = 0; tap < kTaps; ++tap) {
          SIMT_UNROLL_REGISTERS
          for (int c = 0; c < 4; ++c) window[tap][c] = sums[i + tap / 2][j + tap % 2][half * 4 + c];
        }
        const int output = (p + i) / kSide * f.out_w + (q + j) / kSide;
        end.put_four((static_cast<std::int64_t>(n) * f.out_size + output) * f.K + k, k, window, add);
      }
    }
  }
}
SIMT_CONTRACT(first_layer_fprop_kernel, .sectors = 1.8, .conflicts = 1.45, .loads = 5.1, .stores = 1.95,
              .registers = 96);

template <bool Pool>
void forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* bias, float* y,
             std::uint8_t* argmax) {
  const Conv2dShape& s = b.conv;
  const int side = Pool ? 2 : 1, rows = b.out_h() * side, columns = b.out_w() * side, taps = filter_size(s);
  const first_layer::ForwardPlan plan = first_layer::forward_plan(s, rows, columns);
  const Forward f{.part = image_part(s, x, plan.patch_h, plan.patch_w),
                  .w = w,
                  .K = s.k,
                  .taps = taps,
                  .filter_rows = s.r,
                  .row_taps = s.s * s.c,
                  .groups = plan.groups,
                  .cells_down = plan.cells_down,
                  .cells_across = plan.cells_across,
                  .tiles_down = plan.tiles_down,
                  .tiles_across = plan.tiles_across,
                  .rows = rows,
                  .columns = columns,
                  .out_w = b.out_w(),
                  .out_size = b.out_h() * b.out_w()};
  const BlockEnd<Pool> end{.rows = 0, .columns = s.k, .bias = bias, .relu = b.relu, .y = y, .argmax = argmax};
  const int tiles = extent(std::int64_t{s.n} * plan.tiles_down * plan.tiles_across, "conv2d: tiles of a first layer");
  launch<first_layer_fprop_kernel<Pool>>(
      {.grid = dim3(static_cast<unsigned>(tiles), static_cast<unsigned>(plan.chunks)),
       .block = dim3(T::kThreads),
       .shared_bytes = plan.shared_bytes(taps),
       .queue = queue},
      f, end);
}

// ---- wgrad
struct Wgrad {
  ImagePart part;
  BlockGradient dz;
  float* partial;       // (slices,K,R*S*C)
  float* bias_partial;  // (slices,K)
  int taps, row_taps;
  int groups, tap_groups, teams;
  int tile_rows, tile_columns, tiles_down, tiles_across, tiles, tiles_a_slice;
};

__global__ void __launch_bounds__(T::kThreads, 2) first_layer_wgrad_kernel(const __grid_constant__ Wgrad g) {
  const int thread = static_cast<int>(threadIdx.x), pitch = g.groups * T::kFilters;
  float* gradients = &shared_storage<float>();
  float* patch = gradients + g.tile_rows * g.tile_columns * pitch;
  const int team_size = g.groups * g.tap_groups, team = thread / team_size, member = thread % team_size;
  const int group = member / g.tap_groups, first_tap = member % g.tap_groups;
  const int first_k = static_cast<int>(blockIdx.y) * pitch, slice = static_cast<int>(blockIdx.x);

  int offsets[T::kTaps];  // of taps first_tap + i * tap_groups
  SIMT_UNROLL_REGISTERS
  for (int i = 0; i < T::kTaps; ++i) {
    const int tap = first_tap + i * g.tap_groups;
    offsets[i] = tap < g.taps ? tap / g.row_taps * g.part.patch_w + tap % g.row_taps : 0;
  }
  const int fours = pitch / 4, loaders = T::kThreads / fours, four = thread % fours, loader = thread / fours;

  float sums[T::kTaps][T::kFilters] = {}, bias_sums[4] = {};
  const int last = (slice + 1) * g.tiles_a_slice < g.tiles ? (slice + 1) * g.tiles_a_slice : g.tiles;
  for (int tile = slice * g.tiles_a_slice; tile < last; ++tile) {
    const int tile_q = tile % g.tiles_across, tile_p = tile / g.tiles_across % g.tiles_down;
    const int n = tile / g.tiles_across / g.tiles_down, p = tile_p * g.tile_rows, q = tile_q * g.tile_columns;
    const int rows = g.dz.P - p < g.tile_rows ? g.dz.P - p : g.tile_rows;
    const int columns = g.dz.Q - q < g.tile_columns ? g.dz.Q - q : g.tile_columns;
    g.part.load(n, p, q, patch);
    // dz window by window, 4 filters each.
    const int down = (rows + 1) / 2, across = (columns + 1) / 2;
    for (int window = loader; loader < loaders && window < down * across; window += loaders) {
      const int i = window / across * 2, j = window % across * 2;
      float dz[4][4];
      g.dz.window(n, p + i, q + j, first_k + four * 4, dz);
      SIMT_UNROLL_REGISTERS
      for (int tap = 0; tap < 4; ++tap) {
        const int at_i = i + tap / 2, at_j = j + tap % 2;
        if (at_i >= rows || at_j >= columns) continue;
        store4(gradients + (at_i * columns + at_j) * pitch + four * 4,
               make_float4(dz[tap][0], dz[tap][1], dz[tap][2], dz[tap][3]));
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) bias_sums[c] += dz[tap][c];
      }
    }
    __syncthreads();

    if (team < g.teams) {
      const int step_h = g.part.step_h * g.part.patch_w, step_w = g.part.step_w;
      const int step_i = g.teams / columns, step_j = g.teams % columns;
      int i = team / columns, j = team % columns;
      for (int at = team; at < rows * columns; at += g.teams) {
        const float* pixels = patch + i * step_h + j * step_w;
        float gradient[T::kFilters];
        load_filters(gradients + at * pitch, group, g.groups, gradient);
        SIMT_UNROLL
        for (int t = 0; t < T::kTaps; ++t) {
          const float pixel = pixels[offsets[t]];
          SIMT_UNROLL
          for (int k = 0; k < T::kFilters; ++k) sums[t][k] += pixel * gradient[k];
        }
        i += step_i, j += step_j;
        if (j >= columns) j -= columns, ++i;
      }
    }
    __syncthreads();
  }

  // The teams' sums, and the loaders' of the bias, by way of shared memory; one tap of each thread after the other.
  // Rows are so long that a warp's reads, of several rows, fall on different banks.
  float* exchange = gradients;
  constexpr int kBiasPitch = T::kThreads + 8;
  SIMT_UNROLL_REGISTERS
  for (int c = 0; c < 4; ++c) exchange[c * kBiasPitch + thread] = bias_sums[c];
  __syncthreads();
  if (thread < pitch && first_k + thread < g.dz.K) {
    float sum = 0;
    for (int m = 0; m < loaders; ++m) sum += exchange[thread % 4 * kBiasPitch + m * fours + thread / 4];
    g.bias_partial[static_cast<std::int64_t>(slice) * g.dz.K + first_k + thread] = sum;
  }
  __syncthreads();
  const int sums_pitch = T::kThreads + team_size;
  SIMT_UNROLL_REGISTERS
  for (int t = 0; t < T::kTaps; ++t) {
    SIMT_UNROLL_REGISTERS
    for (int k = 0; k < T::kFilters; ++k) exchange[k * sums_pitch + thread] = sums[t][k];
    __syncthreads();
    for (int e = thread; e < T::kFilters * team_size; e += T::kThreads) {
      const int k = e / team_size, of = e % team_size;
      float sum = 0;
      for (int m = 0; m < g.teams; ++m) sum += exchange[k * sums_pitch + m * team_size + of];
      const int filter = first_k + filter_of(k / 4, of / g.tap_groups, g.groups) + k % 4;
      const int tap = of % g.tap_groups + t * g.tap_groups;
      if (filter < g.dz.K && tap < g.taps) {
        g.partial[(static_cast<std::int64_t>(slice) * g.dz.K + filter) * g.taps + tap] = sum;
      }
    }
    __syncthreads();
  }
}
SIMT_CONTRACT(first_layer_wgrad_kernel, .sectors = 1.7, .conflicts = 1.25, .loads = 2.05, .stores = 4.6,
              .registers = 128);

void filter_gradient(Queue queue, const Conv2dShape& s, const float* x, const BlockGradient& dz, float* dw, float* db) {
  if (s.n == 0) return;
  const WgradPlan plan = wgrad_plan(s);
  const int taps = filter_size(s);
  float* partial = scratch_floats(queue, first_layer::scratch(s));
  float* bias_partial = partial + static_cast<std::int64_t>(plan.slices) * s.k * taps;
  const Wgrad g{.part = image_part(s, x, plan.patch_h, plan.patch_w),
                .dz = dz,
                .partial = partial,
                .bias_partial = bias_partial,
                .taps = taps,
                .row_taps = s.s * s.c,
                .groups = plan.groups,
                .tap_groups = plan.tap_groups,
                .teams = plan.teams,
                .tile_rows = plan.rows,
                .tile_columns = plan.columns,
                .tiles_down = plan.tiles_down,
                .tiles_across = plan.tiles_across,
                .tiles = plan.tiles,
                .tiles_a_slice = plan.tiles_a_slice};
  launch<first_layer_wgrad_kernel>(
      {.grid = dim3(static_cast<unsigned>(plan.slices), static_cast<unsigned>(plan.chunks)),
       .block = dim3(T::kThreads),
       .shared_bytes = plan.shared_bytes(),
       .queue = queue},
      g);
  sum_slices(queue, s.k * taps, taps, plan.slices, partial, nullptr, true, dw);
  if (db != nullptr) sum_slices(queue, s.k, s.k, plan.slices, bias_partial, nullptr, true, db);
}

}  // namespace

void block_forward(Queue queue, const ConvBlock& b, const float* x, const float* w, const void* packed,
                   const float* bias, float* y, std::uint8_t* argmax) {
  if (!serves(b.conv)) return conv2d_implicit_gemm::block_forward(queue, b, x, w, packed, bias, y, argmax);
  if (GEMEL_DEVICE::block_forward::without_outputs(b)) return;
  b.pool ? forward<true>(queue, b, x, w, bias, y, argmax) : forward<false>(queue, b, x, w, bias, y, argmax);
}

// A block that ends with its bias.
void fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  block_forward(queue, {.conv = s, .relu = false, .pool = false}, x, w, nullptr, bias, y, nullptr);
}

void wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (!serves(s)) return conv2d_implicit_gemm::wgrad(queue, s, x, dy, dw, db);
  filter_gradient(queue, s, x, {dy, nullptr, nullptr, s.p(), s.q(), s.k, s.p(), s.q()}, dw, db);
}

// dz is written out where dgrad, the implicit GEMM, reads it as well.
void block_backward(Queue queue, const ConvBlock& b, const float* x, const float* w, const float* y,
                    const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db) {
  const Conv2dShape& s = b.conv;
  if (dx != nullptr || !serves(s)) {
    return block_backward_by_passes(queue, b, x, w, y, argmax, dy, dx, dw, db, wgrad, conv2d_implicit_gemm::dgrad);
  }
  filter_gradient(queue, s, x,
                  {dy, b.relu ? y : nullptr, b.pool ? argmax : nullptr, s.p(), s.q(), s.k, b.out_h(), b.out_w()}, dw,
                  db);
}

}  // namespace gemel::GEMEL_DEVICE::conv2d_first_layer
