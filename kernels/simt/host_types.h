// SPDX-License-Identifier: MIT
//
// CUDA's built-in types and variables for the host.
#pragma once

#include <cstddef>

#include "kernels/simt/build.h"

namespace gemel::GEMEL_EXECUTOR {

struct uint3 {
  unsigned x, y, z;
};

struct dim3 {
  unsigned x, y, z;
  constexpr dim3(unsigned x = 1, unsigned y = 1, unsigned z = 1) : x(x), y(y), z(z) {}
  constexpr dim3(uint3 v) : x(v.x), y(v.y), z(v.z) {}
};

struct alignas(8) float2 {
  float x, y;
};
struct float3 {
  float x, y, z;
};
struct alignas(16) float4 {
  float x, y, z, w;
};
struct alignas(8) int2 {
  int x, y;
};
struct int3 {
  int x, y, z;
};
struct alignas(16) int4 {
  int x, y, z, w;
};
struct alignas(8) uint2 {
  unsigned x, y;
};
struct alignas(16) uint4 {
  unsigned x, y, z, w;
};
struct alignas(4) uchar4 {
  unsigned char x, y, z, w;
};
struct alignas(16) double2 {
  double x, y;
};

inline float2 make_float2(float x, float y) { return {x, y}; }
inline float3 make_float3(float x, float y, float z) { return {x, y, z}; }
inline float4 make_float4(float x, float y, float z, float w) { return {x, y, z, w}; }
inline int2 make_int2(int x, int y) { return {x, y}; }
inline int3 make_int3(int x, int y, int z) { return {x, y, z}; }
inline int4 make_int4(int x, int y, int z, int w) { return {x, y, z, w}; }
inline uint2 make_uint2(unsigned x, unsigned y) { return {x, y}; }
inline uint3 make_uint3(unsigned x, unsigned y, unsigned z) { return {x, y, z}; }
inline uint4 make_uint4(unsigned x, unsigned y, unsigned z, unsigned w) { return {x, y, z, w}; }
inline uchar4 make_uchar4(unsigned char x, unsigned char y, unsigned char z, unsigned char w) { return {x, y, z, w}; }
inline double2 make_double2(double x, double y) { return {x, y}; }

// Where the running GPU thread stands.  The scheduler sets them whenever it lets another thread run.  `constinit` spares
// every access a call that asks whether they are initialised, the model one that asks where they are.
[[gnu::tls_model("initial-exec")]] inline thread_local constinit uint3 threadIdx{};
[[gnu::tls_model("initial-exec")]] inline thread_local constinit uint3 blockIdx{};
[[gnu::tls_model("initial-exec")]] inline thread_local constinit dim3 blockDim{};
[[gnu::tls_model("initial-exec")]] inline thread_local constinit dim3 gridDim{};
inline constexpr int warpSize = 32;

}  // namespace gemel::GEMEL_EXECUTOR
