// SPDX-License-Identifier: MIT
//
// Which devices the tests run on: GEMEL_TEST_DEVICE, a comma-separated list ("cuda", "cpu,simt"), else cpu and simt.
//   class OptimizerTest : public testing::TestWithParam<std::string> {};
//   INSTANTIATE_TEST_SUITE_P(Devices, OptimizerTest, testing::ValuesIn(gemel::test_devices()),
//   gemel::device_test_name);
#pragma once

#include <gtest/gtest.h>

#include <cctype>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

namespace gemel {

inline std::vector<std::string> test_devices() {
  const char* chosen = std::getenv("GEMEL_TEST_DEVICE");
  std::istringstream list(chosen != nullptr && *chosen != '\0' ? chosen : "cpu,simt");
  std::vector<std::string> names;
  for (std::string name; std::getline(list, name, ',');) {
    if (!name.empty()) names.push_back(name);
  }
  return names;
}

// "cuda:1" -> "cuda_1": googletest takes letters, digits and underscores in a test's name.
inline std::string device_test_name(const testing::TestParamInfo<std::string>& info) {
  std::string name = info.param;
  for (char& letter : name) {
    if (std::isalnum(static_cast<unsigned char>(letter)) == 0) letter = '_';
  }
  return name;
}

}  // namespace gemel
