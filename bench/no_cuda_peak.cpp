// SPDX-License-Identifier: MIT
//
// A build without nvcc has no `cuda` device to ask for the peak of.
#include "bench/peak.h"
#include "engine/error.h"

namespace gemel::bench {

double cuda_fma_flops(Device& device, Stream&) {
  throw DeviceError(device.name() + ": its peak cannot be measured by a build without CUDA");
}

}  // namespace gemel::bench
