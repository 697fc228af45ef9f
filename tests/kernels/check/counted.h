// SPDX-License-Identifier: MIT
//
// Kernels of one access each whose counters can be worked out by hand: one warp of 32 threads, one block.
#pragma once

namespace gemel::check {

constexpr int kCountedElements = 32 * 32 * 4;

// Lane t loads, or stores, element t * stride + first.
void count_load(const float* in, float* out, int stride, int first);
void count_store(float* out, int stride);
void count_load4(const float* in, float* out, int stride);  // float4 number t * stride
void count_half_warp(const float* in, float* out);          // lanes below 16 load
// Lane t stores word t * stride of shared memory.
void count_shared(float* out, int stride);
void count_shared2(float* out, int stride);        // float2 number t * stride
void count_shared4(float* out, int stride);        // float4 number t * stride
void count_shared_broadcast(float* out);           // all lanes load one word
void count_load_matrices(float* out, int stride);  // row t is float4 number t * stride
void count_loop(const float* in, float* out);      // 3 rows of 32, a barrier after each
void count_twice(const float* in, float* out);     // two blocks load the same 128 bytes

}  // namespace gemel::check
