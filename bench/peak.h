// SPDX-License-Identifier: MIT
//
// What a device can do at best, measured in the same run as what is compared with it.
#pragma once

#include "engine/device.h"

namespace gemel::bench {

struct Peak {
  double flops = 0;  // f32 multiply-adds from registers, operations a second
  double bytes = 0;  // a copy larger than the caches, bytes read and written a second
};

Peak measure_peak(Device& device, Stream& stream);

// The least time that the roofline allows for `flops` operations and `bytes` of traffic, as a share of `seconds`.
double roofline_share(const Peak& peak, double flops, double bytes, double seconds);

// The `cuda` device's multiply-add peak (cuda_peak.cu). Throws DeviceError in a build without CUDA.
double cuda_fma_flops(Device& device, Stream& stream);

}  // namespace gemel::bench
