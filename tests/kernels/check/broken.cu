// SPDX-License-Identifier: MIT
//
// A collection of faults. Each kernel is whole where `Sound`, and else lacks one thing; broken.h says what the marks mean.
// Blocks are of two warps, so that a fault inside a warp and one between warps differ.
#include "tests/kernels/check/broken.h"

#include <cstring>

#include "kernels/simt/mma.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using instrument::Kind;

constexpr int kThreads = 64;
constexpr unsigned kAllLanes = 0xffffffffu;

// ---- races in shared memory

template <bool Sound>
__global__ void missing_barrier_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  tile[t] = 0;
  __syncthreads();
  tile[t] = g.in[t];  // <- missing_barrier
  if constexpr (Sound) __syncthreads();
  g.out[t] = tile[kThreads - 1 - t];  // <- missing_barrier
}

template <bool Sound>
__global__ void missing_syncwarp_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  tile[t] = 0;
  __syncthreads();
  tile[t] = g.in[t];  // <- missing_syncwarp
  if constexpr (Sound) __syncwarp();
  g.out[t] = tile[t ^ 1];  // <- missing_syncwarp
}

// A __syncwarp where the exchange crosses warps.
template <bool Sound>
__global__ void syncwarp_for_barrier_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  tile[t] = 0;
  __syncthreads();
  tile[t] = g.in[t];  // <- syncwarp_for_barrier
  if constexpr (Sound) {
    __syncthreads();
  } else {
    __syncwarp();
  }
  g.out[t] = tile[t ^ 32];  // <- syncwarp_for_barrier
}

// A shuffle orders no memory.
template <bool Sound>
__global__ void shuffle_for_syncwarp_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  tile[t] = 0;
  __syncthreads();
  tile[t] = g.in[t];  // <- shuffle_for_syncwarp
  if constexpr (Sound) __syncwarp();
  const float other = __shfl_xor_sync(kAllLanes, 1.0f, 1);
  g.out[t] = other * tile[t ^ 1];  // <- shuffle_for_syncwarp
}

// The tile is filled anew while others still read it.
template <bool Sound>
__global__ void tile_refilled_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  float sum = 0;
  for (int step = 0; step < 2; ++step) {
    tile[t] = g.in[step * kThreads + t];  // <- tile_refilled
    __syncthreads();
    sum += tile[kThreads - 1 - t];  // <- tile_refilled
    if constexpr (Sound) __syncthreads();
  }
  g.out[t] = sum;
}

// ldmatrix reads the rows that the lanes name, not their own.
template <bool Sound>
__global__ void ldmatrix_before_barrier_kernel(Given g) {
  SIMT_SHARED(float4, rows, [kThreads]);
  const int t = threadIdx.x;
  rows[t] = make_float4(0, 0, 0, 0);
  __syncthreads();
  store4(&rows[t].x, make_float4(g.in[t], 0, 0, 0));  // <- ldmatrix_before_barrier
  if constexpr (Sound) __syncthreads();
  std::uint32_t fragment[4];
  load_matrices(&rows[t ^ 32], fragment);  // <- ldmatrix_before_barrier
  g.out[t] = __uint_as_float(fragment[0]);
}

// The sum of a tree whose last step comes too early.
template <bool Sound>
__global__ void tree_sum_kernel(Given g) {
  SIMT_SHARED(float, sums, [kThreads]);
  const int t = threadIdx.x;
  sums[t] = g.in[t];
  __syncthreads();
  for (int half = kThreads / 2; half > 0; half /= 2) {
    if (t < half) sums[t] += sums[t + half];  // <- tree_sum
    if (Sound || half != 2) __syncthreads();
  }
  if (t == 0) g.out[0] = sums[0];
}

// ---- the same race in the forms that compilers make calls of memcpy and memset from

template <int Bytes>
struct alignas(4) Piece {
  unsigned char bytes[Bytes];
};

template <int Bytes, bool Sound>
__global__ void struct_copy_kernel(Given g) {
  SIMT_SHARED(Piece<Bytes>, pieces, [2]);
  const int t = threadIdx.x;
  const auto* in = reinterpret_cast<const Piece<Bytes>*>(g.in);
  if (t == 0) pieces[0] = in[0];  // <- struct_copy
  if constexpr (Sound) __syncthreads();
  if (t == 32) pieces[0] = in[0];  // <- struct_copy
}

template <int Bytes, bool Sound>
__global__ void memcpy_kernel(Given g) {
  SIMT_SHARED(Piece<Bytes>, pieces, [2]);
  const int t = threadIdx.x;
  if (t == 0) std::memcpy(&pieces[0], g.in, Bytes);  // <- memcpy
  if constexpr (Sound) __syncthreads();
  if (t == 32) std::memcpy(&pieces[0], g.in, Bytes);  // <- memcpy
}

template <bool Sound>
__global__ void zero_loop_kernel(Given g) {
  SIMT_SHARED(float, tile, [kElements]);
  const int t = threadIdx.x;
  if (t == 0) {
    for (int i = 0; i < kElements; ++i) tile[i] = 0;  // <- zero_loop
  }
  if constexpr (Sound) __syncthreads();
  if (t == 32) tile[77] = g.in[0];  // <- zero_loop
}

// ---- races between blocks

template <bool Sound>
__global__ void blocks_write_kernel(Given g) {
  const int t = threadIdx.x;
  g.out[Sound ? blockIdx.x * kThreads + t : t] = g.in[t];  // <- blocks_write
}

template <bool Sound>
__global__ void blocks_wait_kernel(Given g) {
  if (threadIdx.x != 0) return;
  g.in[blockIdx.x] = 1;  // <- blocks_wait
  const int other = Sound ? blockIdx.x : gridDim.x - 1 - blockIdx.x;
  g.out[blockIdx.x] = g.in[other];  // <- blocks_wait
}

template <bool Sound>
__global__ void plain_beside_atomic_kernel(Given g) {
  auto* count = reinterpret_cast<unsigned*>(g.in);
  if (threadIdx.x != 0) return;
  if (Sound || blockIdx.x == 0) {
    atomicAdd(count, 1u);  // <- plain_beside_atomic
  } else {
    *count += 1;  // <- plain_beside_atomic
  }
}

// ---- bounds

template <bool Sound>
__global__ void off_by_one_kernel(Given g) {
  const int i = blockIdx.x * kThreads + threadIdx.x;
  if (i < kElements + (Sound ? 0 : 1)) g.out[i] = 1;  // <- off_by_one
}

template <bool Sound>
__global__ void before_the_first_kernel(Given g) {
  const int t = threadIdx.x;
  g.out[t] = Sound && t == 0 ? 0 : g.in[t - 1];  // <- before_the_first
}

template <bool Sound>
__global__ void wrong_stride_kernel(Given g) {
  const int row = threadIdx.x / 8, column = threadIdx.x % 8;
  constexpr int kStride = Sound ? 16 : 17;
  for (int half = 0; half < 2; ++half) g.out[row * kStride + 8 * half + column] = 1;  // <- wrong_stride
}

template <bool Sound>
__global__ void shared_off_by_one_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  tile[Sound ? t : t + 1] = g.in[t];  // <- shared_off_by_one
}

template <bool Sound>
__global__ void freed_kernel(Given g) {
  g.out[threadIdx.x] = (Sound ? g.in : g.freed)[threadIdx.x];  // <- freed
}

template <bool Sound>
__global__ void host_pointer_kernel(Given g) {
  g.out[threadIdx.x] = (Sound ? g.in : g.host)[threadIdx.x];  // <- host_pointer
}

// ---- what nobody wrote

template <bool Sound>
__global__ void unwritten_shared_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  if (Sound || t < kThreads - 1) tile[t] = g.in[t];
  __syncthreads();
  g.out[t] = tile[kThreads - 1 - t];  // <- unwritten_shared
}

template <bool Sound>
__global__ void unwritten_global_kernel(Given g) {
  g.out[threadIdx.x] = (Sound ? g.in : g.unwritten)[threadIdx.x];  // <- unwritten_global
}

// What the block before left behind is not this block's.
template <bool Sound>
__global__ void written_by_another_block_kernel(Given g) {
  SIMT_SHARED(float, tile, [kThreads]);
  const int t = threadIdx.x;
  if (Sound || blockIdx.x == 0) tile[t] = g.in[t];
  __syncthreads();
  g.out[blockIdx.x * kThreads + t] = tile[t];  // <- written_by_another_block
}

// ---- alignment

template <bool Sound>
__global__ void misaligned_load4_kernel(Given g) {
  const float4 v = load4(g.in + 4 * threadIdx.x % kThreads + (Sound ? 0 : 1));  // <- misaligned_load4
  g.out[threadIdx.x] = v.x;
}

// ---- barriers

template <bool Sound>
__global__ void barrier_in_a_branch_kernel(Given g) {
  if (Sound || threadIdx.x < 32) __syncthreads();  // <- barrier_in_a_branch
  g.out[threadIdx.x] = 1;
}

template <bool Sound>
__global__ void early_return_kernel(Given g) {
  if (!Sound && threadIdx.x >= 40) return;
  __syncthreads();  // <- early_return
  g.out[threadIdx.x] = 1;
}

template <bool Sound>
__global__ void two_barriers_kernel(Given g) {
  if (Sound || threadIdx.x < 32) {
    __syncthreads();  // <- two_barriers
  } else {
    __syncthreads();  // <- two_barriers
  }
  g.out[threadIdx.x] = 1;
}

// ---- warp functions

template <bool Sound>
__global__ void mask_names_the_ended_kernel(Given g) {
  const int lane = threadIdx.x % 32;
  if (!Sound && lane >= 16) return;
  g.out[threadIdx.x] = __shfl_down_sync(kAllLanes, 1.0f, 1);  // <- mask_names_the_ended
}

template <bool Sound>
__global__ void mask_leaves_the_caller_out_kernel(Given g) {
  g.out[threadIdx.x] = __ballot_sync(Sound ? kAllLanes : 0x0000ffffu, 1) != 0;  // <- mask_leaves_the_caller_out
}

template <auto Kernel>
void run(const Given& g) {
  launch<Kernel>({2, kThreads}, g);
}
template <auto Kernel>
void run_one_block(const Given& g) {
  launch<Kernel>({1, kThreads}, g);
}
// Without a barrier: as the kernels of one thread an element are launched.
template <auto Kernel>
void run_flat(const Given& g) {
  launch_flat<Kernel>({3, kThreads}, g);
}

#define ONE_BLOCK(name) #name, &run_one_block < name##_kernel < false>>, &run_one_block < name##_kernel < true>>
#define BLOCKS(name) #name, &run < name##_kernel < false>>, &run < name##_kernel < true>>
#define FLAT(name) #name, &run_flat < name##_kernel < false>>, &run_flat < name##_kernel < true>>
#define SIZED(name, bytes) \
#name, &run_one_block < name##_kernel < bytes, false>>, &run_one_block < name##_kernel < bytes, true>>

struct Row {
  const char* name;
  void (*run)(const Given&);
  void (*mend)(const Given&);
};
constexpr Broken entry(Kind kind, Row row) { return {row.name, kind, row.run, row.mend}; }

}  // namespace

std::span<const Broken> broken_kernels() {
  static constexpr Broken all[] = {
      entry(Kind::race, {ONE_BLOCK(missing_barrier)}),
      entry(Kind::race, {ONE_BLOCK(missing_syncwarp)}),
      entry(Kind::race, {ONE_BLOCK(syncwarp_for_barrier)}),
      entry(Kind::race, {ONE_BLOCK(shuffle_for_syncwarp)}),
      entry(Kind::race, {ONE_BLOCK(tile_refilled)}),
      entry(Kind::race, {ONE_BLOCK(ldmatrix_before_barrier)}),
      entry(Kind::race, {ONE_BLOCK(tree_sum)}),
      entry(Kind::race, {SIZED(struct_copy, 8)}),
      entry(Kind::race, {SIZED(struct_copy, 16)}),
      entry(Kind::race, {SIZED(struct_copy, 32)}),
      entry(Kind::race, {SIZED(struct_copy, 64)}),
      entry(Kind::race, {SIZED(struct_copy, 512)}),
      entry(Kind::race, {SIZED(memcpy, 16)}),
      entry(Kind::race, {SIZED(memcpy, 64)}),
      entry(Kind::race, {SIZED(memcpy, 512)}),
      entry(Kind::race, {ONE_BLOCK(zero_loop)}),
      entry(Kind::race, {BLOCKS(blocks_write)}),
      entry(Kind::race, {BLOCKS(blocks_wait)}),
      entry(Kind::race, {BLOCKS(plain_beside_atomic)}),
      entry(Kind::out_of_bounds, {FLAT(off_by_one)}),
      entry(Kind::out_of_bounds, {ONE_BLOCK(before_the_first)}),
      entry(Kind::out_of_bounds, {ONE_BLOCK(wrong_stride)}),
      entry(Kind::out_of_bounds, {ONE_BLOCK(shared_off_by_one)}),
      entry(Kind::out_of_bounds, {ONE_BLOCK(freed)}),
      entry(Kind::host_memory, {ONE_BLOCK(host_pointer)}),
      entry(Kind::uninitialised, {ONE_BLOCK(unwritten_shared)}),
      entry(Kind::uninitialised, {ONE_BLOCK(unwritten_global)}),
      entry(Kind::uninitialised, {BLOCKS(written_by_another_block)}),
      entry(Kind::misaligned, {ONE_BLOCK(misaligned_load4)}),
      entry(Kind::barrier, {ONE_BLOCK(barrier_in_a_branch)}),
      entry(Kind::barrier, {ONE_BLOCK(early_return)}),
      entry(Kind::barrier, {ONE_BLOCK(two_barriers)}),
      entry(Kind::warp_mask, {ONE_BLOCK(mask_names_the_ended)}),
      entry(Kind::warp_mask, {ONE_BLOCK(mask_leaves_the_caller_out)}),
  };
  return all;
}

}  // namespace gemel::GEMEL_DEVICE
