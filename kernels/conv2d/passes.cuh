// SPDX-License-Identifier: MIT
//
// The three passes of a convolution as matrix products, whichever tiles multiply them: what the rungs from 02 on share.
// 02_implicit_gemm.cu has formulas and shapes.
#pragma once

#include <algorithm>

#include "kernels/conv2d/patches.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/column_sums.cuh"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE::conv2d_passes {

using namespace gemm;

// Whether both factors of the backward passes are fetched 16 bytes at a time.
inline bool by_four(const Conv2dShape& s) { return s.c % 4 == 0 && s.k % 4 == 0; }

// Vector: of the factors' elements (operands.cuh). Factors whose channels are padded are given as of a shape with theirs.

// ---- fprop
template <class Tiles, int Vector>
void fprop(Queue queue, const Conv2dShape& s, const ElementOf<Vector>* x, const ElementOf<Vector>* w, const float* bias,
           float* y) {
  const int rows = positions(s), depth = filter_size(s), slice = slice_length(depth);
  const Product<PatchRows<Vector>, MatrixRows<Vector>> product{.a = PatchRows<Vector>(patches_of_x(s, x)),
                                                               .b = {w, s.k, depth},
                                                               .rows = rows,
                                                               .columns = s.k,
                                                               .depth = depth,
                                                               .out = y,
                                                               .bias = bias,
                                                               .slice = slice};
  multiply_split<Tiles>(queue, product, split_slices(rows, s.k, depth, slice, Vector != 1));
}

// ---- dgrad
// Along one axis, the pixels that are `phase` modulo the stride, and the taps that meet them.
struct Phase {
  int phase;
  int pixels;     // phase, phase + stride, ...
  int first_tap;  // first_tap, first_tap + stride, ...
  int taps;
  int first_window;  // pixel i meets tap a in window first_window + i - a
};
inline Phase phase_of(int phase, int size, int window, int stride, int pad) {
  const int first_tap = (phase + pad) % stride;
  return {.phase = phase,
          .pixels = phase < size ? ceil_divide(size - phase, stride) : 0,
          .first_tap = first_tap,
          .taps = first_tap < window ? ceil_divide(window - first_tap, stride) : 0,
          .first_window = (phase + pad - first_tap) / stride};
}

// Row (n,i,j) of a phase's product is pixel (n, h.phase + i*stride_h, w.phase + j*stride_w) of dx.
struct PhasePixels {
  int h, w, stride_h, stride_w, phase_h, phase_w;
  Divisor by_grid, by_grid_w;
  __device__ __forceinline__ std::int64_t row(int m) const {
    int in_grid, j;
    const int n = by_grid.divide(m, in_grid);
    const int i = by_grid_w.divide(in_grid, j);
    return (static_cast<std::int64_t>(n) * h + phase_h + i * stride_h) * w + phase_w + j * stride_w;
  }
};

// The same for all phases, so that one sum of slices serves them all; the first phase has the most pixels.
struct DgradSlices {
  int length, split;
};
inline DgradSlices dgrad_slices(const Conv2dShape& s) {
  const int taps = ceil_divide(s.r, s.stride_h) * ceil_divide(s.s, s.stride_w);
  const int pixels =
      extent(std::int64_t{s.n} * ceil_divide(s.h, s.stride_h) * ceil_divide(s.w, s.stride_w), "conv2d: input pixels");
  const int depth = extent(std::int64_t{taps} * s.k, "conv2d: weights of an input channel"),
            length = slice_length(depth);
  return {length, split_slices(pixels, s.c, depth, length, by_four(s))};
}

template <class Tiles, int DyVector, int WVector>
void dgrad_phase(Queue queue, const Conv2dShape& s, const Phase& h, const Phase& w, const DgradSlices& slices,
                 const ElementOf<DyVector>* dy, const ElementOf<WVector>* filters, int channels, float* dx) {
  if (h.pixels == 0 || w.pixels == 0) return;
  const int rows = s.n * h.pixels * w.pixels, depth = h.taps * w.taps * s.k;
  const Divisor by_grid(h.pixels * w.pixels), by_grid_w(w.pixels), by_filters(s.k), by_taps_w(std::max(w.taps, 1));
  const int image_size = extent(std::int64_t{s.p()} * s.q() * s.k, "conv2d: floats of an image");
  const PatchesOf<ElementOf<DyVector>> patches{.image = dy,
                                               .h = s.p(),
                                               .w = s.q(),
                                               .c = s.k,
                                               .image_size = image_size,
                                               .stride_h = 1,
                                               .stride_w = 1,
                                               .first_h = h.first_window,
                                               .first_w = w.first_window,
                                               .step = -1,
                                               .positions = rows,
                                               .taps = depth,
                                               .by_grid = by_grid,
                                               .by_grid_w = by_grid_w,
                                               .by_channels = by_filters,
                                               .by_taps_w = by_taps_w};
  const FilterColumns<WVector> columns{.data = filters,
                                       .lanes = channels,
                                       .filter = s.r * s.s * channels,
                                       .first = (h.first_tap * s.s + w.first_tap) * channels,
                                       .step_row = s.stride_h * s.s * channels,
                                       .step_column = s.stride_w * channels,
                                       .by_filters = by_filters,
                                       .by_taps_w = by_taps_w};
  Product<PatchRows<DyVector>, FilterColumns<WVector>, PhasePixels> product{
      .a = PatchRows<DyVector>(patches),
      .b = columns,
      .rows = rows,
      .columns = s.c,
      .depth = depth,
      .out = dx,
      .bias = nullptr,
      .place = {s.h, s.w, s.stride_h, s.stride_w, h.phase, w.phase, by_grid, by_grid_w},
      .slice = slices.length};
  if (slices.split > 1) {
    product.partial_stride = std::int64_t{s.n} * s.h * s.w * s.c;
    product.partial = scratch_floats(queue, partial_bytes(slices.split, product.partial_stride));
  }
  Tiles::launch(queue, product, slices.split);
}

// w_channels: those of w's taps, of which s.c are used.
template <class Tiles, int DyVector, int WVector>
void dgrad(Queue queue, const Conv2dShape& s, const ElementOf<DyVector>* dy, const ElementOf<WVector>* w,
           int w_channels, float* dx) {
  const DgradSlices slices = dgrad_slices(s);
  for (int h = 0; h < s.stride_h; ++h) {
    const Phase phase_h = phase_of(h, s.h, s.r, s.stride_h, s.pad_h);
    for (int v = 0; v < s.stride_w; ++v) {
      const Phase phase_w = phase_of(v, s.w, s.s, s.stride_w, s.pad_w);
      dgrad_phase<Tiles, DyVector, WVector>(queue, s, phase_h, phase_w, slices, dy, w, w_channels, dx);
    }
  }
  if (slices.split > 1) {
    sum_slices(queue, s.n * s.h * s.w * s.c, s.c, slices.split, static_cast<const float*>(queue.scratch.data), nullptr,
               false, dx);
  }
}

// ---- wgrad
inline int wgrad_slice(const Conv2dShape& s) {
  const int columns = filter_size(s);
  return batch_slice_length(positions(s), tiles_of(s.k, columns, by_four(s)), kBlocksToFill);
}

// dy_channels: those of dy's pixels, of which s.k are used. channels: of dw, where those of x are padded.
template <class Tiles, int DyVector, int XVector>
void wgrad(Queue queue, const Conv2dShape& s, const ElementOf<XVector>* x, const ElementOf<DyVector>* dy,
           int dy_channels, int channels, float* dw) {
  const int depth = positions(s), slice = wgrad_slice(s), slices = ceil_divide(depth, slice);
  Product<MatrixColumns<DyVector>, PatchColumns<XVector>> product{.a = {dy, dy_channels},
                                                                  .b = PatchColumns<XVector>(patches_of_x(s, x)),
                                                                  .rows = s.k,
                                                                  .columns = filter_size(s),
                                                                  .depth = depth,
                                                                  .out = dw,
                                                                  .bias = nullptr,
                                                                  .accumulate = true,
                                                                  .slice = slice};
  if (channels == s.c) return multiply_split<Tiles>(queue, product, slices);
  product.partial_stride = std::int64_t{product.rows} * product.columns;
  product.partial = scratch_floats(queue, sizeof(float) * static_cast<std::size_t>(slices * product.partial_stride));
  Tiles::launch(queue, product, slices);
  const int taps = s.r * s.s * channels;
  sum_slices(queue, s.k * taps, taps, slices, product.partial, nullptr, true, dw, {channels, s.c});
}

// ---- the passes as the entries have them
// Enough for each of the three, with any tiles.
inline std::size_t scratch(const Conv2dShape& s) {
  if (s.n == 0) return 0;
  const int pixels = positions(s), filter = filter_size(s);
  const std::int64_t x = std::int64_t{s.n} * s.h * s.w * s.c;
  return std::max(
      {partial_bytes(split_slices(pixels, s.k, filter, slice_length(filter), s.c % 4 == 0), std::int64_t{pixels} * s.k),
       partial_bytes(dgrad_slices(s).split, x),
       partial_bytes(ceil_divide(pixels, wgrad_slice(s)), std::int64_t{s.k} * filter),
       column_sums_scratch(pixels, s.k)});
}

// kMixed: factors of the backward passes whose channels are multiples of 4 are read 16 bytes at a time even where the
// other factor's are not, at the price of twice the kernels.
template <class Tiles, bool kMixed = false>
struct Passes {
  static void fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
    if (s.n == 0) return;
    s.c % 4 == 0 ? conv2d_passes::fprop<Tiles, 4>(queue, s, x, w, bias, y)
                 : conv2d_passes::fprop<Tiles, 1>(queue, s, x, w, bias, y);
  }
  static void dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
    if (s.n == 0) return;
    if (by_four(s)) return conv2d_passes::dgrad<Tiles, 4, 4>(queue, s, dy, w, s.c, dx);
    if constexpr (kMixed) {
      if (s.k % 4 == 0) return conv2d_passes::dgrad<Tiles, 4, 1>(queue, s, dy, w, s.c, dx);
      if (s.c % 4 == 0) return conv2d_passes::dgrad<Tiles, 1, 4>(queue, s, dy, w, s.c, dx);
    }
    conv2d_passes::dgrad<Tiles, 1, 1>(queue, s, dy, w, s.c, dx);
  }
  static void wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
    if (s.n == 0) return;
    filters(queue, s, x, dy, dw);
    if (db != nullptr) column_sums(queue, positions(s), s.k, dy, db);
  }

 private:
  static void filters(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw) {
    if (by_four(s)) return conv2d_passes::wgrad<Tiles, 4, 4>(queue, s, x, dy, s.k, s.c, dw);
    if constexpr (kMixed) {
      if (s.k % 4 == 0) return conv2d_passes::wgrad<Tiles, 4, 1>(queue, s, x, dy, s.k, s.c, dw);
      if (s.c % 4 == 0) return conv2d_passes::wgrad<Tiles, 1, 4>(queue, s, x, dy, s.k, s.c, dw);
    }
    conv2d_passes::wgrad<Tiles, 1, 1>(queue, s, x, dy, s.k, s.c, dw);
  }
};

}  // namespace gemel::GEMEL_DEVICE::conv2d_passes
