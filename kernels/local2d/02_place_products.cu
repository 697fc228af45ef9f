// SPDX-License-Identifier: MIT
//
// local2d, rung 2: a place is a matrix product of its own, and all of them are one launch (a family of products,
// kernels/gemm/tile_product.cuh). A tile of filters, fetched once to shared memory, serves a tile of images.
//
//   fprop  y[:,p,q,:]  (N, K)    = patches of x at (p,q) (N, RSC) * w[p,q]^T (RSC, K) + b[p,q]
//   dgrad  dx[:,h,w,:] (N, C)    = dy of the places that met (h,w) (N, R'S'K) * their filters at the tap they met it
//                                  with (R'S'K, C); R'S': ceil(R/stride_h) * ceil(S/stride_w)
//   wgrad  dw[p,q]     (K, RSC) += dy[:,p,q,:]^T (K, N) * patches of x at (p,q) (N, RSC)
//          db[p,q,k]            += sum_n dy[n,p,q,k]
//
// dgrad is a family over the pixels of x: it gathers, so that no sum is shared between blocks and each weight is read
// once for a tile of images.
//
// Shapes    x, dx: (N,H,W,C)   w, dw: (P,Q,K,R,S,C)   y, dy: (N,P,Q,K)   b, db: (P,Q,K)   f32
// Mapping   grid x: places (pixels for dgrad), and the tiles of each next to each other; blocks as in tile_product.cuh.
//           Rows are images (filters for wgrad): 16 x 32 tiles, one warp a block, for at most 64 of them, 128 x 32 for
//           more; 64 x 64 where columns are more than 32. wgrad: 16 x 128 for at most 16 filters, else 64 x 64. Where
//           C and K are multiples of 4, factors are read 16 bytes at a time.
// Shared    7 KB a block of 16 x 32 results, 19 KB for 16 x 128 and 21 KB for 128 x 32 (two stages each).
// Traffic   2*N*P*Q*K*R*S*C FLOPs a pass, w read once (wgrad: dw read and written once): N/2 (N/4) FLOPs a byte. Bound by
//           memory for small batches, by arithmetic beyond some 40 images. Tiles are wider than 16 filters or channels:
//           half of the multiply-adds of DeepFace's fprop and dgrad are idle.
// Numerics  f32; each sum is one chain in ascending order of its depth: an image has the same bits in every batch.
// Edge      taps in the padding multiply w by 0 (fprop): an infinite or NaN weight shows there, unlike in rung 1. dgrad
//           leaves out what no window met. N = 0 launches nothing. b and db may be null.
// Used by   the table.    Tests tests/reference/local2d.cpp
#include <algorithm>

#include "kernels/conv2d/patches.cuh"
#include "kernels/entries.h"
#include "kernels/gemm/column_sums.cuh"
#include "kernels/gemm/tile_product.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace gemm;

int places(const Conv2dShape& s) { return extent(std::int64_t{s.p()} * s.q(), "local2d: places"); }
bool by_four(const Conv2dShape& s) { return s.c % 4 == 0 && s.k % 4 == 0; }

// Rows of the product are rows of the output that lie `step` apart: those of one place or pixel, image after image.
struct RowsApart {
  int step, first;
  __device__ __forceinline__ std::int64_t row(int m) const { return static_cast<std::int64_t>(m) * step + first; }
};

// The patches at place 0, one for each image; at() moves them to another place.
struct PlacePatches {
  Patches patches;
  Divisor by_q;

  __device__ __forceinline__ Patches at(int place) const {
    int q;
    const int p = by_q.divide(place, q);
    Patches there = patches;
    there.first_h += p * patches.stride_h;
    there.first_w += q * patches.stride_w;
    return there;
  }
};
PlacePatches place_patches(const Conv2dShape& s, const float* x) {
  Patches patches = patches_of_x(s, x);
  patches.positions = s.n;
  patches.by_grid = Divisor(1);
  patches.by_grid_w = Divisor(1);
  return {patches, Divisor(s.q())};
}

// ---- fprop: product i is place i.
template <int Vector>
struct FpropFamily {
  PlacePatches x;
  const float *w, *bias;
  float* y;
  int count, rows, columns, depth;  // P*Q, N, K, R*S*C

  __device__ __forceinline__ auto product(int place) const {
    using Factors = Product<PatchRows<Vector>, MatrixRows<Vector>, RowsApart>;
    return Factors{.a = PatchRows<Vector>(x.at(place)),
                   .b = {w + static_cast<std::int64_t>(place) * columns * depth, columns, depth},
                   .rows = rows,
                   .columns = columns,
                   .depth = depth,
                   .out = y,
                   .bias = bias != nullptr ? bias + static_cast<std::int64_t>(place) * columns : nullptr,
                   .place = {count, place},
                   .slice = depth};
  }
};

// ---- dgrad: product i is pixel i of dx.
// The windows that meet a pixel, as depths (a,b,k): place (first_p - a, first_q - b) at tap (first_r + a*stride_h,
// first_s + b*stride_w), where both exist.
struct Meetings {
  int P, Q, K, R, S, C, stride_h, stride_w;
  Divisor by_filters, by_taps_w;
  int first_p, first_q, first_r, first_s;

  struct At {
    std::int64_t filter;  // of all places' filters, -1: none
    int tap;              // in floats
  };
  __device__ __forceinline__ At at(int depth) const {
    int k, b;
    const int pair = by_filters.divide(depth, k);
    const int a = by_taps_w.divide(pair, b);
    const int p = first_p - a, q = first_q - b, r = first_r + a * stride_h, s = first_s + b * stride_w;
    const bool meets = p >= 0 && p < P && q >= 0 && q < Q && r < R && s < S;
    return {meets ? (static_cast<std::int64_t>(p) * Q + q) * K + k : -1, (r * S + s) * C};
  }
};

// Lane n and depth (a,b,k): dy[n,p,q,k].
template <int Vector>
struct MetGradients {
  static constexpr bool kAlongDepth = true;
  static constexpr int kVector = Vector;
  Meetings meetings;
  const float* dy;
  int lanes;  // N
  int image;  // floats of an image of dy

  using Lane = int;
  using Depth = std::int64_t;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int k) const { return meetings.at(k).filter; }
  __device__ __forceinline__ const float* address(Lane l, Depth filter) const {
    return l < lanes && filter >= 0 ? dy + (static_cast<std::int64_t>(l) * image + filter) : nullptr;
  }
};

// Lane c and depth (a,b,k): w[p,q,k,r,s,c].
template <int Vector>
struct MetFilters {
  static constexpr bool kAlongDepth = false;
  static constexpr int kVector = Vector;
  Meetings meetings;
  const float* w;
  int lanes;        // C
  int filter_size;  // R*S*C

  using Lane = int;
  using Depth = std::int64_t;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int k) const {
    const Meetings::At at = meetings.at(k);
    return at.filter >= 0 ? at.filter * filter_size + at.tap : -1;
  }
  __device__ __forceinline__ const float* address(Lane l, Depth tap) const {
    return l < lanes && tap >= 0 ? w + (tap + l) : nullptr;
  }
};

template <int Vector>
struct DgradFamily {
  Meetings meetings;
  Divisor by_w, by_stride_h, by_stride_w;
  int pad_h, pad_w;
  const float *dy, *w;
  float* dx;
  int count, rows, columns, depth;  // H*W, N, C, R'*S'*K

  __device__ __forceinline__ auto product(int pixel) const {
    int column;
    const int h = by_w.divide(pixel, column);
    Meetings here = meetings;
    here.first_p = by_stride_h.divide(h + pad_h, here.first_r);
    here.first_q = by_stride_w.divide(column + pad_w, here.first_s);
    using Factors = Product<MetGradients<Vector>, MetFilters<Vector>, RowsApart>;
    return Factors{.a = {here, dy, rows, here.P * here.Q * here.K},
                   .b = {here, w, columns, here.R * here.S * here.C},
                   .rows = rows,
                   .columns = columns,
                   .depth = depth,
                   .out = dx,
                   .bias = nullptr,
                   .place = {count, pixel},
                   .slice = depth};
  }
};

// ---- wgrad: product i is place i.
// Lane k and depth n: dy[n,p,q,k].
template <int Vector>
struct PlaceGradients {
  static constexpr bool kAlongDepth = false;
  static constexpr int kVector = Vector;
  const float* dy;  // of the place
  int lanes;        // K
  int image;        // floats of an image of dy

  using Lane = int;
  using Depth = std::int64_t;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int n) const { return static_cast<std::int64_t>(n) * image; }
  __device__ __forceinline__ const float* address(Lane l, Depth at) const {
    return l < lanes ? dy + (at + l) : nullptr;
  }
};

template <int Vector>
struct WgradFamily {
  PlacePatches x;
  const float* dy;
  float* dw;
  int count, rows, columns, depth;  // P*Q, K, R*S*C, N

  __device__ __forceinline__ auto product(int place) const {
    using Factors = Product<PlaceGradients<Vector>, PatchColumns<Vector>>;
    return Factors{.a = {dy + static_cast<std::int64_t>(place) * rows, rows, count * rows},
                   .b = PatchColumns<Vector>(x.at(place)),
                   .rows = rows,
                   .columns = columns,
                   .depth = depth,
                   .out = dw + static_cast<std::int64_t>(place) * rows * columns,
                   .bias = nullptr,
                   .accumulate = true,
                   .slice = depth};
  }
};

// Rows that are images.
template <class Family>
void multiply_images(Queue queue, const Family& family) {
  if (family.rows <= 64 && family.columns <= 32) return launch_family<ShortTile>(queue, family);
  if (family.columns <= NarrowTile::kColumns) return launch_family<NarrowTile>(queue, family);
  launch_family<MediumTile>(queue, family);
}

template <int Vector>
void fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  const FpropFamily<Vector> family{.x = place_patches(s, x),
                                   .w = w,
                                   .bias = bias,
                                   .y = y,
                                   .count = places(s),
                                   .rows = s.n,
                                   .columns = s.k,
                                   .depth = filter_size(s)};
  multiply_images(queue, family);
}

template <int Vector>
void dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  const int taps_h = ceil_divide(s.r, s.stride_h), taps_w = ceil_divide(s.s, s.stride_w);
  const DgradFamily<Vector> family{
      .meetings = {.P = s.p(),
                   .Q = s.q(),
                   .K = s.k,
                   .R = s.r,
                   .S = s.s,
                   .C = s.c,
                   .stride_h = s.stride_h,
                   .stride_w = s.stride_w,
                   .by_filters = Divisor(s.k),
                   .by_taps_w = Divisor(taps_w),
                   .first_p = 0,
                   .first_q = 0,
                   .first_r = 0,
                   .first_s = 0},
      .by_w = Divisor(s.w),
      .by_stride_h = Divisor(s.stride_h),
      .by_stride_w = Divisor(s.stride_w),
      .pad_h = s.pad_h,
      .pad_w = s.pad_w,
      .dy = dy,
      .w = w,
      .dx = dx,
      .count = extent(std::int64_t{s.h} * s.w, "local2d: input pixels"),
      .rows = s.n,
      .columns = s.c,
      .depth = extent(std::int64_t{taps_h} * taps_w * s.k, "local2d: weights of an input channel")};
  multiply_images(queue, family);
}

template <int Vector>
void wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw) {
  const WgradFamily<Vector> family{.x = place_patches(s, x),
                                   .dy = dy,
                                   .dw = dw,
                                   .count = places(s),
                                   .rows = s.k,
                                   .columns = filter_size(s),
                                   .depth = s.n};
  family.rows <= WideTile::kRows ? launch_family<WideTile>(queue, family) : launch_family<MediumTile>(queue, family);
}

int outputs(const Conv2dShape& s) { return extent(std::int64_t{places(s)} * s.k, "local2d: outputs of an image"); }

}  // namespace

std::size_t local2d_scratch(const Conv2dShape& s) { return s.n == 0 ? 0 : column_sums_scratch(s.n, outputs(s)); }

void local2d_fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  if (s.n == 0) return;
  s.c % 4 == 0 ? fprop<4>(queue, s, x, w, bias, y) : fprop<1>(queue, s, x, w, bias, y);
}

void local2d_dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  if (s.n == 0) return;
  by_four(s) ? dgrad<4>(queue, s, dy, w, dx) : dgrad<1>(queue, s, dy, w, dx);
}

void local2d_wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  if (s.n == 0) return;
  by_four(s) ? wgrad<4>(queue, s, x, dy, dw) : wgrad<1>(queue, s, x, dy, dw);
  if (db != nullptr) column_sums(queue, s.n, outputs(s), dy, db);
}

}  // namespace gemel::GEMEL_DEVICE
