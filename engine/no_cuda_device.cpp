// SPDX-License-Identifier: MIT
//
// In place of cuda_device.cpp in a build without the CUDA toolkit.
#include "engine/cuda_device.h"

namespace gemel {
namespace {

constexpr const char* kReason = "built without CUDA; install the CUDA toolkit and build again, or use the device cpu";

}  // namespace

std::unique_ptr<Device> open_cuda_device(int) { throw DeviceError(concat("cuda: ", kReason)); }

std::vector<DeviceReport> list_cuda_devices() { return {{"cuda", kReason, false}}; }

}  // namespace gemel
