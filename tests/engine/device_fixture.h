// SPDX-License-Identifier: MIT
//
// A test with an open device and a stream; its parameter is the device's name.
#pragma once

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/device.h"
#include "tests/engine/devices.h"

namespace gemel {

class DeviceTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());
  Stream stream_ = device_->make_stream();

  Buffer uploaded(const std::vector<float>& values) {
    Buffer buffer(*device_, values.size() * sizeof(float));
    device_->upload(stream_, buffer.data(), values.data(), buffer.bytes());
    return buffer;
  }
  std::vector<float> downloaded(const float* from, std::size_t count) {
    return download(*device_, stream_, from, count);
  }
};

// The message of what `action` throws as an E; a failed test and "" when it throws nothing or something else.
template <class E, class Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "another type of exception: " << error.what();
    return "";
  }
  ADD_FAILURE() << "no exception";
  return "";
}

}  // namespace gemel
