// SPDX-License-Identifier: MIT
//
// Internal: the device `cuda`. Defined by cuda_device.cpp, or by no_cuda_device.cpp where there is no CUDA toolkit.
#pragma once

#include <memory>
#include <vector>

#include "engine/device.h"

namespace gemel {

// Throws DeviceError that says what is missing: built without CUDA, no driver, no such GPU, no code for it.
std::unique_ptr<Device> open_cuda_device(int index);

// A line a GPU; without any, one line "cuda" that says why.
std::vector<DeviceReport> list_cuda_devices();

}  // namespace gemel
