// SPDX-License-Identifier: MIT
//
// How the tiles of a product's factors come to shared memory (tile_product.cuh).
#pragma once

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE::gemm {

// Brings `Width` lanes x kDepth depths of an operand to shared memory, by way of registers: `fetch` starts the loads,
// `put` stores what came.
template <class T, class Operand, int Width>
class Carrier {
 public:
  __device__ __forceinline__ Carrier(const Operand& operand, int first_lane, int thread)
      : operand_(operand), along_(thread % kAlong * kVector), across_(thread / kAlong) {
    SIMT_UNROLL_REGISTERS
    for (int i = 0; i < kLanes; ++i) {
      lanes_[i] = operand.lane(first_lane + (Operand::kAlongDepth ? across(i) : along(i)));
    }
  }

  // Depths [k, k + kDepth), those from `end` on being 0.
  __device__ __forceinline__ void fetch(int k, int end) {
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < kDepths; ++j) {
      const int depth = k + (Operand::kAlongDepth ? along(j) : across(j));
      const bool inside = depth < end;
      const typename Operand::Depth at = operand_.depth(inside ? depth : 0);
      SIMT_UNROLL_REGISTERS
      for (int i = 0; i < kLanes; ++i) {
        const float* from = inside ? operand_.address(lanes_[i], at) : nullptr;
        float* to = held_[j][i];
        if constexpr (kVector == 4) {
          const float4 v = from != nullptr ? load4(from) : make_float4(0, 0, 0, 0);
          to[0] = v.x, to[1] = v.y, to[2] = v.z, to[3] = v.w;
        } else {
          to[0] = from != nullptr ? *from : 0.0f;
        }
      }
    }
  }

  __device__ __forceinline__ void put(float (&tile)[T::kDepth][Width + 4]) const {
    SIMT_UNROLL_REGISTERS
    for (int j = 0; j < kDepths; ++j) {
      SIMT_UNROLL_REGISTERS
      for (int i = 0; i < kLanes; ++i) {
        const float* from = held_[j][i];
        if constexpr (Operand::kAlongDepth) {
          SIMT_UNROLL_REGISTERS
          for (int v = 0; v < kVector; ++v) tile[along(j) + v][across(i)] = from[v];
        } else if constexpr (kVector == 4) {
          store4(&tile[across(j)][along(i)], make_float4(from[0], from[1], from[2], from[3]));
        } else {
          tile[across(j)][along(i)] = from[0];
        }
      }
    }
  }

 private:
  // Threads lie along the axis that is contiguous in memory, and what is left of them across it. A thread takes
  // kAlongEach vectors along and kAcrossEach across.
  static constexpr int kVector = Operand::kVector;
  static constexpr int kAlong = (Operand::kAlongDepth ? T::kDepth : Width) / kVector;
  static constexpr int kAcross = Operand::kAlongDepth ? Width : T::kDepth;
  static constexpr int kAlongEach = kAlong > T::kThreads ? kAlong / T::kThreads : 1;
  static constexpr int kAcrossStep = kAlong > T::kThreads ? 1 : T::kThreads / kAlong;
  static constexpr int kAcrossEach = kAcross / kAcrossStep;
  static_assert(kAlongEach * kAcrossEach * kVector * T::kThreads == Width * T::kDepth, "each element has one carrier");

  static constexpr int kLanes = Operand::kAlongDepth ? kAcrossEach : kAlongEach;
  static constexpr int kDepths = Operand::kAlongDepth ? kAlongEach : kAcrossEach;

  __device__ __forceinline__ int along(int i) const { return along_ + i * T::kThreads * kVector; }
  __device__ __forceinline__ int across(int i) const { return across_ + i * kAcrossStep; }

  const Operand& operand_;
  int along_, across_;
  typename Operand::Lane lanes_[kLanes];
  float held_[kDepths][kLanes][kVector] = {};
};

}  // namespace gemel::GEMEL_DEVICE::gemm
