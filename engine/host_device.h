// SPDX-License-Identifier: MIT
//
// Internal: the devices `cpu` and `simt`. Their memory is the host's, and a queued call returns when its work is done.
#pragma once

#include <memory>

#include "engine/device.h"

namespace gemel {

// Throw InputError when GEMEL_THREADS or GEMEL_CPU_ISA holds what cannot be used.
std::unique_ptr<Device> open_cpu_device();
std::unique_ptr<Device> open_simt_device();

}  // namespace gemel
