// SPDX-License-Identifier: MIT
//
// Every case of every table entry, on each device under test through the engine's own memory: on `cuda` this is the
// test of the kernels themselves.
#include <gtest/gtest.h>

#include "engine/device.h"
#include "tests/engine/devices.h"
#include "tests/reference/device_memory.h"

namespace gemel {
namespace {

class DeviceCases : public testing::TestWithParam<std::string> {};

TEST_P(DeviceCases, AgreeWithTheReference) {
  const std::unique_ptr<Device> device = open_device(GetParam());
  Stream stream = device->make_stream();
  const reference::Memory memory = reference::device_memory(*device, stream);
  const auto depth = device->on_host() ? reference::Depth::quick : reference::Depth::full;
  for (const reference::OpCase& c : reference::all_cases(depth)) {
    const reference::Outcome outcome = reference::run_case(c, device->kernels(), device->queue(stream), memory);
    EXPECT_TRUE(outcome.mismatch.tensor.empty()) << outcome.mismatch.describe(c);
    EXPECT_TRUE(outcome.overwritten.empty()) << c.op << " " << c.shape << " wrote outside of " << outcome.overwritten;
  }
}

INSTANTIATE_TEST_SUITE_P(, DeviceCases, testing::ValuesIn(test_devices()));

}  // namespace
}  // namespace gemel
