// SPDX-License-Identifier: MIT
//
// Kernels whose threads do not all meet: each is an exception that names kernel, line and threads, after which the
// executor works as before.
#include <gtest/gtest.h>

#include <stdexcept>
#include <string>
#include <vector>

#include "kernels/simt/simt.h"
#include "tests/kernels/simt/executor_fixture.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// The line a kernel waits at, for the message: written on the line of the call.
#define HERE (line = __LINE__)
int line = 0, other_line = 0;

std::string at(int line_number) { return "diagnosis_test.cpp:" + std::to_string(line_number); }

__global__ void sum_kernel(int* out) {
  SIMT_SHARED(int, row, [64]);
  row[threadIdx.x] = threadIdx.x;
  __syncthreads();
  out[threadIdx.x] = row[63 - threadIdx.x] + __shfl_xor_sync(0xffffffffu, row[threadIdx.x], 1);
}

class DiagnosisTest : public Executor {
 protected:
  DiagnosisTest() { ThreadPool::instance().set_threads(1); }
  ~DiagnosisTest() override {  // whatever happened, the next launch runs
    for (ThreadOrder order : kOrders) {
      set_thread_order(order);
      std::vector<int> out(64);
      launch<sum_kernel>({1, 64}, out.data());
      for (int t = 0; t < 64; ++t) EXPECT_EQ(out[t], 63 - t + (t ^ 1));
    }
  }
};

__global__ void early_return_kernel(unsigned n) {
  if (threadIdx.x >= n) return;
  HERE, __syncthreads();
}

TEST_F(DiagnosisTest, BarrierSkippedByThreadsThatEnded) {
  const std::string message = message_of<BarrierError>([] { launch<early_return_kernel>({{2, 3}, 64}, 40u); });
  EXPECT_CONTAINS(message, "early_return_kernel, block (0, 0, 0): a barrier that some threads skip");
  EXPECT_CONTAINS(message, "threads 0-39: waiting at the barrier at ");
  EXPECT_CONTAINS(message, at(line));
  EXPECT_CONTAINS(message, "threads 40-63: ended");
}

TEST_F(DiagnosisTest, BarrierOfOneThread) {
  const std::string message = message_of<BarrierError>([] { launch<early_return_kernel>({1, 33}, 1u); });
  EXPECT_CONTAINS(message, "thread 0: waiting at the barrier");
  EXPECT_CONTAINS(message, "threads 1-32: ended");
}

TEST_F(DiagnosisTest, EveryOrderFindsIt) {
  for (ThreadOrder order : kOrders) {
    set_thread_order(order);
    EXPECT_CONTAINS(message_of<BarrierError>([] {
                      launch<early_return_kernel>({1, 96}, 31u);
                    }),
                    "threads 31-95: ended");
  }
}

__global__ void branches_kernel() {
  if (threadIdx.x % 2 == 0) {
    line = __LINE__, __syncthreads();
  } else {
    other_line = __LINE__, __syncthreads();
  }
}

TEST_F(DiagnosisTest, DifferentBarriers) {
  const std::string message = message_of<BarrierError>([] { launch<branches_kernel>({1, 6}); });
  EXPECT_CONTAINS(message, "branches_kernel, block (0, 0, 0): threads are at different barriers");
  EXPECT_CONTAINS(message, "thread 0: waiting at the barrier at ");
  EXPECT_CONTAINS(message, at(line));
  EXPECT_CONTAINS(message, "thread 1: in a barrier at ");
  EXPECT_CONTAINS(message, at(other_line));
  EXPECT_CONTAINS(message, "threads 2-5: not begun");
  EXPECT_NE(line, other_line);
}

// Each thread passes the loop's barrier a different number of times.
__global__ void uneven_loop_kernel() {
  for (unsigned i = 0; i <= threadIdx.x; ++i) HERE, __syncthreads();
}

TEST_F(DiagnosisTest, UnevenLoop) {
  const std::string message = message_of<BarrierError>([] { launch<uneven_loop_kernel>({1, 3}); });
  EXPECT_CONTAINS(message, "thread 0: ended");
  EXPECT_CONTAINS(message, "threads 1-2: waiting at the barrier at ");
  EXPECT_CONTAINS(message, at(line));
}

__global__ void ended_lanes_kernel(float* out) {
  if (threadIdx.x < 5) return;
  HERE, out[threadIdx.x] = __shfl_down_sync(0xffffffffu, 1.0f, 1);
}

TEST_F(DiagnosisTest, WarpFunctionNamesLanesThatEnded) {
  std::vector<float> out(64);
  std::string message = message_of<BarrierError>([&] { launch<ended_lanes_kernel>({1, 64}, out.data()); });
  EXPECT_CONTAINS(message,
                  "ended_lanes_kernel, block (0, 0, 0): __shfl_sync of lanes 0xffffffff names lanes that have "
                  "ended: 0-4");
  EXPECT_CONTAINS(message, "thread 5: in __shfl_sync at ");
  EXPECT_CONTAINS(message, at(line));
  set_thread_order({ThreadOrder::Kind::reverse});  // now they wait before the others end
  message = message_of<BarrierError>([&] { launch<ended_lanes_kernel>({1, 32}, out.data()); });
  EXPECT_CONTAINS(message, "__shfl_sync names lanes that have ended");
  EXPECT_CONTAINS(message, "threads 0-4: ended");
  EXPECT_CONTAINS(message, "threads 5-31: waiting in __shfl_sync of lanes 0xffffffff at ");
}

__global__ void outside_mask_kernel() { HERE, __syncwarp(0x0000fffeu); }

TEST_F(DiagnosisTest, WarpFunctionLeavesItsCallerOut) {
  const std::string message = message_of<BarrierError>([] { launch<outside_mask_kernel>({1, 32}); });
  EXPECT_CONTAINS(message, "__syncwarp of lanes 0x0000fffe is called by a lane the mask leaves out");
  EXPECT_CONTAINS(message, "thread 0: in __syncwarp at ");
  EXPECT_CONTAINS(message, at(line));
}

__global__ void disagree_on_mask_kernel() { __syncwarp(threadIdx.x < 16 ? 0xffffffffu : 0xfffffffdu); }
__global__ void disagree_on_function_kernel(unsigned* out) {
  if (threadIdx.x < 16) {
    line = __LINE__, __syncwarp();
  } else {
    other_line = __LINE__, *out = __ballot_sync(0xffffffffu, 1);
  }
}

TEST_F(DiagnosisTest, LanesDisagree) {
  const std::string about = "lanes of a warp wait for each other with different masks or in different functions";
  std::string message = message_of<BarrierError>([] { launch<disagree_on_mask_kernel>({1, 32}); });
  EXPECT_CONTAINS(message, "disagree_on_mask_kernel, block (0, 0, 0): " + about);
  EXPECT_CONTAINS(message, "threads 0-15: waiting in __syncwarp of lanes 0xffffffff at ");
  EXPECT_CONTAINS(message, "threads 16-31: waiting in __syncwarp of lanes 0xfffffffd at ");
  unsigned out = 0;
  message = message_of<BarrierError>([&] { launch<disagree_on_function_kernel>({1, 32}, &out); });
  EXPECT_CONTAINS(message, about);
  EXPECT_CONTAINS(message, "threads 0-15: waiting in __syncwarp of lanes 0xffffffff at ");
  EXPECT_CONTAINS(message, at(line));
  EXPECT_CONTAINS(message, "threads 16-31: waiting in __ballot_sync of lanes 0xffffffff at ");
  EXPECT_CONTAINS(message, at(other_line));
}

__global__ void barrier_or_warp_kernel() {
  if (threadIdx.x < 32) {
    line = __LINE__, __syncthreads();
  } else if (threadIdx.x < 40) {
    other_line = __LINE__, __syncwarp();
  } else {
    __syncthreads();
  }
}

TEST_F(DiagnosisTest, BarrierAndWarpFunctionWaitForEachOther) {
  const std::string message = message_of<BarrierError>([] { launch<barrier_or_warp_kernel>({1, 40}); });
  // Lanes 8-31 of the second warp do not exist, so its 8 lanes meet, and then skip the barrier.
  EXPECT_CONTAINS(message, "a barrier that some threads skip");
  EXPECT_CONTAINS(message, "threads 32-39: ended");
  const std::string divergent = message_of<BarrierError>([] { launch<barrier_or_warp_kernel>({1, 64}); });
  EXPECT_CONTAINS(divergent, "threads are at different barriers");
}

__global__ void half_a_warp_kernel() {
  if (threadIdx.x % 32 < 8) {
    other_line = __LINE__, __syncwarp();
  }
  line = __LINE__, __syncthreads();
}

TEST_F(DiagnosisTest, LanesThatDoNotComeToAWarpFunction) {
  const std::string message = message_of<BarrierError>([] { launch<half_a_warp_kernel>({1, 64}); });
  EXPECT_CONTAINS(message, "some threads wait at a barrier, others in a warp function for lanes that do not come");
  EXPECT_CONTAINS(message, "threads 0-7, 32-39: waiting in __syncwarp of lanes 0xffffffff at ");
  EXPECT_CONTAINS(message, at(other_line));
  EXPECT_CONTAINS(message, "threads 8-31, 40-63: waiting at the barrier at ");
}

__global__ void ring_kernel() { __syncwarp(1u << threadIdx.x | 1u << (threadIdx.x + 1) % 3); }

TEST_F(DiagnosisTest, LanesThatWaitInARing) {
  EXPECT_CONTAINS(message_of<BarrierError>([] { launch<ring_kernel>({1, 3}); }), "deadlock: lanes wait for each other");
}

__global__ void throwing_kernel(int culprit) {
  __syncthreads();
  if (static_cast<int>(threadIdx.x) == culprit) throw std::out_of_range("thrown by a thread");
  __syncthreads();
}

TEST_F(DiagnosisTest, WhatAKernelThrowsReachesTheLaunch) {
  for (int workers : {1, 3}) {
    ThreadPool::instance().set_threads(workers);
    for (int culprit : {0, 17, 99}) {
      EXPECT_EQ(message_of<std::out_of_range>([&] {
                  launch<throwing_kernel>({7, 100}, culprit);
                }),
                "thrown by a thread");
    }
  }
}

TEST_F(DiagnosisTest, ManyFailuresInARow) {
  for (int i = 0; i < 300; ++i) {
    EXPECT_THROW(launch<early_return_kernel>({1, 256}, 255u), BarrierError);
  }
}

__global__ void launching_kernel() { launch<outside_mask_kernel>({1, 32}); }

TEST_F(DiagnosisTest, LaunchInsideAKernel) {
  EXPECT_EQ(message_of<LaunchError>([] {
              launch<launching_kernel>({1, 1});
            }),
            "launch of outside_mask_kernel inside kernel launching_kernel");
}

__global__ void flat_barrier_kernel() { HERE, __syncthreads(); }
__global__ void flat_shuffle_kernel(int* out) { HERE, *out = __shfl_sync(1u, *out, 0); }
__global__ void flat_shared_kernel() {
  SIMT_SHARED(int, row, [4]);
  row[0] = 1;
}

TEST_F(DiagnosisTest, LaunchFlatOfAKernelThatWaits) {
  int out = 0;
  std::string message = message_of<LaunchError>([] { launch_flat<flat_barrier_kernel>({1, 32}); });
  EXPECT_CONTAINS(message, "flat_barrier_kernel: a barrier at ");
  EXPECT_CONTAINS(message, at(line) + " needs a block of threads: use launch, not launch_flat");
  message = message_of<LaunchError>([&] { launch_flat<flat_shuffle_kernel>({1, 1}, &out); });
  EXPECT_CONTAINS(message, "flat_shuffle_kernel: __shfl_sync at ");
  EXPECT_CONTAINS(message, at(line));
  message = message_of<LaunchError>([] { launch_flat<flat_shared_kernel>({1, 1}); });
  EXPECT_CONTAINS(message, "flat_shared_kernel: shared memory needs a block of threads");
  EXPECT_EQ(message_of<LaunchError>([] {
              launch_flat<flat_shared_kernel>({1, 1, 16});
            }),
            "launch of flat_shared_kernel: shared memory needs launch, not launch_flat");
}

TEST_F(DiagnosisTest, BarrierOnTheHost) {
  EXPECT_CONTAINS(message_of<LaunchError>([] { __syncthreads(); }), "host code: a barrier at ");
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
