// SPDX-License-Identifier: MIT
//
// Tests of the native tables: a suite runs once for each instruction set, and says so where this processor lacks one.
#pragma once

#include <gtest/gtest.h>

#include <string>
#include <string_view>

#include "kernels/cpu/cpu.h"

namespace gemel {

class NativeTables : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    kernels_ = cpu::kernels_for(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this processor (or this build) has no " << GetParam();
  }
  const Kernels* kernels_ = nullptr;
};

inline std::string isa_test_name(const testing::TestParamInfo<std::string_view>& info) {
  return std::string(info.param);
}

}  // namespace gemel
