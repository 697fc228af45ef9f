// SPDX-License-Identifier: MIT
//
// dz, the gradient of a block's convolution (conv_block.cu), never written out: each element is found from dy, y and argmax
// when it is read.
#pragma once

#include <cstdint>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

struct BlockGradient {
  const float* dy;             // (N,out_h,out_w,K)
  const float* y;              // the same, or null: no ReLU
  const std::uint8_t* argmax;  // the same, or null: no pool
  int P, Q, K;                 // of dz, (N,P,Q,K)
  int out_h, out_w;

  // dz of the 2x2 positions from (p,q) on, both even, and channels k .. k + 3; 0 past the end of each.
  __device__ __forceinline__ void window(int n, int p, int q, int k, float (&dz)[4][4]) const {
    SIMT_UNROLL_REGISTERS
    for (int tap = 0; tap < 4; ++tap) {
      SIMT_UNROLL_REGISTERS
      for (int c = 0; c < 4; ++c) dz[tap][c] = 0;
    }
    if (argmax != nullptr) {
      if (p / 2 >= out_h || q / 2 >= out_w) return;
      const std::int64_t at = element(n, p / 2, q / 2, k);
      float gradient[4];
      four(at, k, gradient);
      int taps[4] = {};
      if (K % 4 == 0) {
        if (k < K) {
          const uchar4 packed = *reinterpret_cast<const uchar4*>(argmax + at);
          taps[0] = packed.x, taps[1] = packed.y, taps[2] = packed.z, taps[3] = packed.w;
        }
      } else {
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) taps[c] = k + c < K ? argmax[at + c] : 0;
      }
      SIMT_UNROLL_REGISTERS
      for (int tap = 0; tap < 4; ++tap) {
        SIMT_UNROLL_REGISTERS
        for (int c = 0; c < 4; ++c) dz[tap][c] = taps[c] == tap ? gradient[c] : 0.0f;
      }
    } else {
      SIMT_UNROLL_REGISTERS
      for (int tap = 0; tap < 4; ++tap) {
        if (p + tap / 2 < P && q + tap % 2 < Q) four(element(n, p + tap / 2, q + tap % 2, k), k, dz[tap]);
      }
    }
  }

 private:
  __device__ __forceinline__ std::int64_t element(int n, int i, int j, int k) const {
    return ((static_cast<std::int64_t>(n) * out_h + i) * out_w + j) * K + k;
  }

  // dy where it passes the ReLU, of channels k .. k + 3 as far as they go.
  __device__ __forceinline__ void four(std::int64_t at, int k, float (&gradient)[4]) const {
    SIMT_UNROLL_REGISTERS
    for (int c = 0; c < 4; ++c) gradient[c] = 0;
    if (K % 4 == 0) {
      if (k >= K) return;
      const float4 all = load4(dy + at);
      float4 output = make_float4(1, 1, 1, 1);
      if (y != nullptr) output = load4(y + at);
      gradient[0] = output.x <= 0 ? 0.0f : all.x;  // passes where y is NaN
      gradient[1] = output.y <= 0 ? 0.0f : all.y;
      gradient[2] = output.z <= 0 ? 0.0f : all.z;
      gradient[3] = output.w <= 0 ? 0.0f : all.w;
    } else {
      SIMT_UNROLL_REGISTERS
      for (int c = 0; c < 4; ++c) {
        if (k + c < K) gradient[c] = y != nullptr && y[at + c] <= 0 ? 0.0f : dy[at + c];
      }
    }
  }
};

}  // namespace gemel::GEMEL_DEVICE
