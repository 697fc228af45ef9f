// SPDX-License-Identifier: MIT
//
// The one header of every kernel file.  The same text is compiled twice:
//
//   nvcc            -DGEMEL_DEVICE=cuda   kernels/simt/cuda.h   thin aliases over <cuda_runtime.h>
//   g++ or clang++  -DGEMEL_DEVICE=simt   kernels/simt/host.h   the SIMT executor: one fiber per GPU thread
//
// A kernel file puts everything into `namespace gemel::GEMEL_DEVICE`, and keeps to these conventions:
//   - static shared memory is SIMT_SHARED(float, tile, [16][64]), dynamic is shared_storage<Struct>();
//   - unrolling is SIMT_UNROLL, 16-byte accesses are load4 and store4;
//   - a launch is launch<kernel>(config, arguments...), or launch_flat<kernel>(...) for a kernel that neither
//     meets a barrier nor exchanges values between threads;
//   - SIMT_CONTRACT(kernel, .sectors = 1.1) behind a kernel bounds what it asks of memory (kernels/simt/check/contract.h);
//   - every thread of a block reaches every barrier: guard the work, not the barrier;
//   - warp functions name the lanes that take part (`_sync`, no __activemask).
#pragma once

#if defined(__CUDACC__)
#include "kernels/simt/cuda.h"
#else
#include "kernels/simt/host.h"
#endif
