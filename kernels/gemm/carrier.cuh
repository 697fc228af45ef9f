// SPDX-License-Identifier: MIT
//
// How the tiles of a product's factors come to shared memory (tile_product.cuh, mma_product.cuh).
#pragma once

#include "kernels/gemm/operands.cuh"
#include "kernels/simt/async.h"

namespace gemel::GEMEL_DEVICE::gemm {

// Which elements of a tile of `Width` lanes x kDepth depths of an operand a thread carries: threads lie along the axis
// that is contiguous in memory, and what is left of them across it. A thread takes kAlongEach vectors along and
// kAcrossEach across.
template <class T, class Operand, int Width>
class Walk {
 public:
  static constexpr int kVector = Operand::kVector;
  static constexpr int kAlong = (Operand::kAlongDepth ? T::kDepth : Width) / kVector;
  static constexpr int kAcross = Operand::kAlongDepth ? Width : T::kDepth;
  static constexpr int kAlongEach = kAlong > T::kThreads ? kAlong / T::kThreads : 1;
  static constexpr int kAcrossStep = kAlong > T::kThreads ? 1 : T::kThreads / kAlong;
  static constexpr int kAcrossEach = kAcross / kAcrossStep;
  static_assert(kAlongEach * kAcrossEach * kVector * T::kThreads == Width * T::kDepth, "each element has one carrier");

  static constexpr int kLanes = Operand::kAlongDepth ? kAcrossEach : kAlongEach;
  static constexpr int kDepths = Operand::kAlongDepth ? kAlongEach : kAcrossEach;

  __device__ __forceinline__ Walk(const Operand& operand, int first_lane, int thread)
      : operand_(operand), along_(thread % kAlong * kVector), across_(thread / kAlong) {
    SIMT_UNROLL_REGISTERS
    for (int i = 0; i < kLanes; ++i) lanes_[i] = operand.lane(first_lane + lane(i));
  }

  // In the tile, of the thread's vectors (or their first elements) by number.
  __device__ __forceinline__ int lane(int i) const { return Operand::kAlongDepth ? across(i) : along(i); }
  __device__ __forceinline__ int depth(int j) const { return Operand::kAlongDepth ? along(j) : across(j); }

  // visit(j, i, address): where vector (j,i) of depths k.. is in memory; null where it is 0, as depths from `end` on.
  template <class Visit>
  __device__ __forceinline__ void visit(int k, int end, Visit visit) const {
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < kDepths; ++j) {
      const bool inside = k + depth(j) < end;
      const typename Operand::Depth at = operand_.depth(inside ? k + depth(j) : 0);
      SIMT_UNROLL_REGISTERS
      for (int i = 0; i < kLanes; ++i) visit(j, i, inside ? operand_.address(lanes_[i], at) : nullptr);
    }
  }

 private:
  __device__ __forceinline__ int along(int i) const { return along_ + i * T::kThreads * kVector; }
  __device__ __forceinline__ int across(int i) const { return across_ + i * kAcrossStep; }

  const Operand& operand_;
  int along_, across_;
  typename Operand::Lane lanes_[kLanes];
};

// By way of registers: `fetch` starts the loads, `put` stores what came.
template <class T, class Operand, int Width>
class Carrier {
 public:
  __device__ __forceinline__ Carrier(const Operand& operand, int first_lane, int thread)
      : walk_(operand, first_lane, thread) {}

  // Depths [k, k + kDepth), those from `end` on being 0.
  __device__ __forceinline__ void fetch(int k, int end) {
    walk_.visit(k, end, [&](int j, int i, const float* from) {
      float* to = held_[j][i];
      if constexpr (kVector == 4) {
        const float4 v = from != nullptr ? load4(from) : make_float4(0, 0, 0, 0);
        to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
      } else {
        to[0] = from != nullptr ? *from : 0.0f;
      }
    });
  }

  __device__ __forceinline__ void put(float (&tile)[T::kDepth][Width + 4]) const {
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < W::kDepths; ++j) {
      SIMT_UNROLL_REGISTERS
      for (int i = 0; i < W::kLanes; ++i) {
        const float* from = held_[j][i];
        const int depth = walk_.depth(j), lane = walk_.lane(i);
        if constexpr (Operand::kAlongDepth) {
          SIMT_UNROLL_REGISTERS
          for (int v = 0; v < kVector; ++v) tile[depth + v][lane] = from[v];
        } else if constexpr (kVector == 4) {
          store4(&tile[depth][lane], make_float4(from[0], from[1], from[2], from[3]));
        } else {
          tile[depth][lane] = from[0];
        }
      }
    }
  }

 private:
  using W = Walk<T, Operand, Width>;
  static constexpr int kVector = Operand::kVector;
  W walk_;
  float held_[W::kDepths][W::kLanes][kVector] = {};
};

// By asynchronous copies, which are started here and waited for by the caller. tile.at(lane, depth) is where an element
// goes; kTogether: the elements of a vector go to neighbours.
template <class T, class Operand, int Width, bool kTogether>
class AsyncCarrier {
  static constexpr int kVector = Operand::kVector;
  using Element = ElementOf<kVector>;

 public:
  // Copies of a thread for one tile.
  static constexpr int kCopies = Width * T::kDepth / T::kThreads / (kTogether ? kVector : 1);
  static_assert(kTogether || kVector <= 4);

  __device__ __forceinline__ AsyncCarrier(const Operand& operand, int first_lane, int thread)
      : walk_(operand, first_lane, thread) {}

  // Depths [k, k + kDepth), those from `end` on being 0.
  template <class Copies, class Tile>
  __device__ __forceinline__ void start(int k, int end, Copies& copies, Tile& tile) const {
    walk_.visit(k, end, [&](int j, int i, const Element* from) {
      const int lane = walk_.lane(i), depth = walk_.depth(j);
      if constexpr (kTogether) {
        copies.template copy<kVector * sizeof(Element)>(tile.at(lane, depth), from);
      } else {
        SIMT_UNROLL_REGISTERS
        for (int v = 0; v < kVector; ++v) {
          copies.template copy<4>(Operand::kAlongDepth ? tile.at(lane, depth + v) : tile.at(lane + v, depth),
                                  from != nullptr ? from + v : nullptr);
        }
      }
    });
  }

 private:
  Walk<T, Operand, Width> walk_;
};

}  // namespace gemel::GEMEL_DEVICE::gemm
