// SPDX-License-Identifier: MIT
#include "tests/kernels/check/counted.h"

#include "kernels/simt/mma.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

__global__ void load_kernel(const float* in, float* out, int stride, int first) {
  const int t = threadIdx.x;
  out[t] = in[t * stride + first];  // load
}

__global__ void store_kernel(float* out, int stride) { out[threadIdx.x * stride] = 1; }

__global__ void load4_kernel(const float* in, float* out, int stride) {
  const int t = threadIdx.x;
  const float4 v = load4(in + 4 * t * stride);
  out[t] = v.x + v.w;
}

__global__ void half_warp_kernel(const float* in, float* out) {
  const int t = threadIdx.x;
  if (t < 16) out[t] = in[t];
}

template <class T, int Words>
__global__ void shared_kernel(float* out, int stride) {
  SIMT_SHARED(T, words, [Words]);
  const int t = threadIdx.x;
  words[t * stride] = T{};
  __syncthreads();
  out[t] = 0;
}

__global__ void shared_broadcast_kernel(float* out) {
  SIMT_SHARED(float, words, [32]);
  const int t = threadIdx.x;
  if (t == 0) words[7] = 1;
  __syncthreads();
  out[t] = words[7];
}

__global__ void load_matrices_kernel(float* out, int stride) {
  SIMT_SHARED(float4, rows, [256]);
  const int t = threadIdx.x;
  rows[t * stride] = float4{};
  __syncwarp();
  std::uint32_t fragment[4];
  load_matrices(&rows[t * stride], fragment);
  out[t] = __uint_as_float(fragment[0]);
}

__global__ void loop_kernel(const float* in, float* out) {
  const int t = threadIdx.x;
  float sum = 0;
  for (int row = 0; row < 3; ++row) {
    sum += in[32 * row + t];
    __syncthreads();
  }
  out[t] = sum;
}

__global__ void twice_kernel(const float* in, float* out) { out[32 * blockIdx.x + threadIdx.x] = in[threadIdx.x]; }

}  // namespace

void count_load(const float* in, float* out, int stride, int first) {
  launch<load_kernel>({1, 32}, in, out, stride, first);
}
void count_store(float* out, int stride) { launch<store_kernel>({1, 32}, out, stride); }
void count_load4(const float* in, float* out, int stride) { launch<load4_kernel>({1, 32}, in, out, stride); }
void count_half_warp(const float* in, float* out) { launch<half_warp_kernel>({1, 32}, in, out); }
void count_shared(float* out, int stride) { launch<shared_kernel<float, 1024>>({1, 32}, out, stride); }
void count_shared2(float* out, int stride) { launch<shared_kernel<float2, 1024>>({1, 32}, out, stride); }
void count_shared4(float* out, int stride) { launch<shared_kernel<float4, 512>>({1, 32}, out, stride); }
void count_shared_broadcast(float* out) { launch<shared_broadcast_kernel>({1, 32}, out); }
void count_load_matrices(float* out, int stride) { launch<load_matrices_kernel>({1, 32}, out, stride); }
void count_loop(const float* in, float* out) { launch<loop_kernel>({1, 32}, in, out); }
void count_twice(const float* in, float* out) { launch<twice_kernel>({2, 32}, in, out); }

}  // namespace gemel::GEMEL_DEVICE
