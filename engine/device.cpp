// SPDX-License-Identifier: MIT
//
// What devices have in common, and the way from a name to a device.
#include "engine/device.h"

#include <charconv>

#include "engine/cuda_device.h"
#include "engine/host_device.h"

namespace gemel {
namespace {

InputError unknown_device(std::string_view name) {
  return InputError(concat("device '", name, "': unknown; devices are auto, cuda, cuda:N, cpu and simt"));
}

// "cuda" -> 0, "cuda:1" -> 1.
int cuda_index(std::string_view name) {
  constexpr std::string_view kPrefix = "cuda:";
  if (name == "cuda") return 0;
  if (!name.starts_with(kPrefix)) throw unknown_device(name);
  const char *begin = name.data() + kPrefix.size(), *end = name.data() + name.size();
  int index = -1;
  const auto parsed = std::from_chars(begin, end, index);
  if (parsed.ec != std::errc() || parsed.ptr != end || index < 0) throw unknown_device(name);
  return index;
}

}  // namespace

void Stream::synchronize() {
  device_->refuse_while_recording("a wait");
  impl_->synchronize();
  ++device_->counters().synchronizations;
}

void Device::refuse_while_recording(const char* what) const {
  if (!recording_) return;
  throw DeviceError(concat(name(), ": ", what, " inside recorded work; do it before record()"));
}

std::unique_ptr<Device> open_device(std::string_view name) {
  if (name == "auto") {
    try {
      return open_cuda_device(0);
    } catch (const DeviceError&) {
      return open_cpu_device();
    }
  }
  if (name == "cpu") return open_cpu_device();
  if (name == "simt") return open_simt_device();
  return open_cuda_device(cuda_index(name));
}

std::vector<DeviceReport> list_devices() {
  std::vector<DeviceReport> reports = list_cuda_devices();
  for (const auto& device : {open_cpu_device(), open_simt_device()}) {
    reports.push_back({device->name(), device->description(), true});
  }
  return reports;
}

}  // namespace gemel
