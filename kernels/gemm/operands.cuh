// SPDX-License-Identifier: MIT
//
// Where the factors of a tiled product (tile_product.cuh) come from: a matrix in memory, or the patches of an image
// that a convolution multiplies, found by index arithmetic instead of being written out (implicit GEMM).
//
// An operand is a table over lanes (rows of the product for A, columns for B) and depths (the summed index):
//
//   kAlongDepth        whether elements are contiguous in memory along the depth, else along the lane
//   kVector            elements along that axis fetched at once: 4 floats or 8 BF16 (one aligned 16-byte access), 1 float
//   Lane lane(int)     what can be known from the lane alone; indices past the last lane are allowed, their elements 0
//   Depth depth(int)   the same for the depth; only indices of the product
//   address(Lane, Depth)   the (first of kVector) element(s), or null where they are 0
#pragma once

#include <cstdint>
#include <type_traits>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::gemm {

// A number of 8 bits of exponent and 7 of mantissa, in memory.
struct Bf16 {
  std::uint16_t bits;
};

template <int kVector>
using ElementOf = std::conditional_t<kVector == 8, Bf16, float>;

// Division by an invariant integer with one multiplication: Granlund, Montgomery 1994, figure 4.1, for 0 <= n < 2^31.
class Divisor {
 public:
  Divisor() = default;
  explicit Divisor(int divisor) : divisor_(divisor) {
    while ((std::uint64_t{1} << shift_) < static_cast<std::uint64_t>(divisor)) ++shift_;
    const std::uint64_t excess = (std::uint64_t{1} << shift_) - static_cast<std::uint64_t>(divisor);
    multiplier_ = static_cast<std::uint32_t>((excess << 32) / static_cast<std::uint64_t>(divisor) + 1);
  }

  __host__ __device__ __forceinline__ int divide(int n, int& remainder) const {
    const auto high = static_cast<std::uint32_t>(std::uint64_t{multiplier_} * static_cast<std::uint32_t>(n) >> 32);
    const int quotient = static_cast<int>((high + static_cast<std::uint32_t>(n)) >> shift_);
    remainder = n - quotient * divisor_;
    return quotient;
  }

 private:
  int divisor_ = 1;
  std::uint32_t multiplier_ = 1;
  std::uint32_t shift_ = 0;
};

// Lane l is row l of a row-major matrix, depths its columns.
template <int Vector>
struct MatrixRows {
  static constexpr bool kAlongDepth = true;
  static constexpr int kVector = Vector;
  const ElementOf<Vector>* data;
  int lanes, row_length;

  using Lane = int;
  using Depth = int;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int k) const { return k; }
  __device__ __forceinline__ const ElementOf<Vector>* address(Lane l, Depth k) const {
    return l < lanes ? data + (static_cast<std::int64_t>(l) * row_length + k) : nullptr;
  }
};

// Lane l is column l of a row-major matrix, depths its rows.
template <int Vector>
struct MatrixColumns {
  static constexpr bool kAlongDepth = false;
  static constexpr int kVector = Vector;
  const ElementOf<Vector>* data;
  int lanes;  // also the row length

  using Lane = int;
  using Depth = int;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int k) const { return k; }
  __device__ __forceinline__ const ElementOf<Vector>* address(Lane l, Depth k) const {
    return l < lanes ? data + (static_cast<std::int64_t>(k) * lanes + l) : nullptr;
  }
};

// The patches of an image (N,H,W,C): position (n,i,j) of a grid and tap (a,b,c) meet at
// image[n, i*stride_h + first_h + a*step, j*stride_w + first_w + b*step, c], which is 0 outside the image.
// step is 1 in fprop and wgrad, where x is gathered, and -1 in dgrad, where dy is.
template <class Element>
struct PatchesOf {
  const Element* image;
  int h, w, c;
  int image_size;  // h * w * c
  int stride_h, stride_w, first_h, first_w, step;
  int positions, taps;  // n * i * j; a * b * c
  Divisor by_grid, by_grid_w, by_channels, by_taps_w;

  struct Position {
    int n, h, w;
  };
  struct Tap {
    int h, w, c;
  };

  __device__ __forceinline__ Position position(int index) const {
    if (index >= positions) return {0, kOutside, kOutside};
    int in_grid, j;
    const int n = by_grid.divide(index, in_grid);
    const int i = by_grid_w.divide(in_grid, j);
    return {n, i * stride_h + first_h, j * stride_w + first_w};
  }
  __device__ __forceinline__ Tap tap(int index) const {
    if (index >= taps) return {kOutside, kOutside, 0};
    int channel, b;
    const int pair = by_channels.divide(index, channel);
    const int a = by_taps_w.divide(pair, b);
    return {a * step, b * step, channel};
  }
  __device__ __forceinline__ const Element* address(const Position& at, const Tap& tap) const {
    const int row = at.h + tap.h, column = at.w + tap.w;
    const bool inside = static_cast<unsigned>(row) < static_cast<unsigned>(h) &&
                        static_cast<unsigned>(column) < static_cast<unsigned>(w);
    return inside ? image + (static_cast<std::int64_t>(at.n) * image_size + (row * w + column) * c + tap.c) : nullptr;
  }

 private:
  static constexpr int kOutside = -(1 << 29);  // two of them still do not wrap around
};
using Patches = PatchesOf<float>;

// Lanes are positions, depths are taps: the left factor of fprop and dgrad.
template <int Vector>
struct PatchRows : PatchesOf<ElementOf<Vector>> {
  using All = PatchesOf<ElementOf<Vector>>;
  static constexpr bool kAlongDepth = true;
  static constexpr int kVector = Vector;
  using Lane = typename All::Position;
  using Depth = typename All::Tap;
  __host__ __device__ explicit PatchRows(const All& patches) : All(patches) {}
  __device__ __forceinline__ Lane lane(int l) const { return this->position(l); }
  __device__ __forceinline__ Depth depth(int k) const { return this->tap(k); }
};

// Lanes 4i, ..., 4i + 3 are the four positions of 2x2 window i, row by row: fprop before a pool. The grid of `patches` is
// that of the windows; its strides, from window to window, are even.
template <int Vector>
struct WindowRows : PatchRows<Vector> {
  using typename PatchRows<Vector>::Lane;
  explicit WindowRows(const PatchesOf<ElementOf<Vector>>& patches) : PatchRows<Vector>(patches) {}
  __device__ __forceinline__ Lane lane(int l) const {
    Lane at = this->position(l >> 2);
    at.h += (l >> 1 & 1) * (this->stride_h >> 1);
    at.w += (l & 1) * (this->stride_w >> 1);
    return at;
  }
};

// Lanes are taps, depths are positions: the right factor of wgrad.
template <int Vector>
struct PatchColumns : PatchesOf<ElementOf<Vector>> {
  using All = PatchesOf<ElementOf<Vector>>;
  static constexpr bool kAlongDepth = false;
  static constexpr int kVector = Vector;
  using Lane = typename All::Tap;
  using Depth = typename All::Position;
  __host__ __device__ explicit PatchColumns(const All& patches) : All(patches) {}
  __device__ __forceinline__ Lane lane(int l) const { return this->tap(l); }
  __device__ __forceinline__ Depth depth(int k) const { return this->position(k); }
  __device__ __forceinline__ const ElementOf<Vector>* address(const Lane& tap, const Depth& at) const {
    return All::address(at, tap);
  }
};

// dgrad's right factor: lane c and depth (a,b,k) meet at w[k, first_r + a*stride_h, first_s + b*stride_w, c].
template <int Vector>
struct FilterColumns {
  static constexpr bool kAlongDepth = false;
  static constexpr int kVector = Vector;
  const ElementOf<Vector>* data;
  int lanes;                         // C
  int filter;                        // elements of a filter, R*S*C
  int first, step_row, step_column;  // offset of tap (0,0), and from tap to tap
  Divisor by_filters, by_taps_w;

  using Lane = int;
  using Depth = std::int64_t;
  __device__ __forceinline__ Lane lane(int l) const { return l; }
  __device__ __forceinline__ Depth depth(int index) const {
    int k, b;
    const int pair = by_filters.divide(index, k);
    const int a = by_taps_w.divide(pair, b);
    return static_cast<std::int64_t>(k) * filter + (first + a * step_row + b * step_column);
  }
  __device__ __forceinline__ const ElementOf<Vector>* address(Lane l, Depth tap) const {
    return l < lanes ? data + (tap + l) : nullptr;
  }
};

}  // namespace gemel::GEMEL_DEVICE::gemm
