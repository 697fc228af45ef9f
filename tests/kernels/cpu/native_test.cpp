// SPDX-License-Identifier: MIT
//
// The native entries of the `cpu` device, for every instruction set that this processor has: every case against the
// reference, the same bits on 1, 2 and 7 threads, and for an image or row the same bits in any batch.
#include <gtest/gtest.h>

#include <cctype>
#include <cmath>
#include <cstdlib>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/cpu/cpu.h"
#include "kernels/simt/thread_pool.h"
#include "tests/reference/run_case.h"

namespace gemel {
namespace {

using reference::OpCase;
using reference::Outcome;

// Restores the pool's size.
class Threads {
 public:
  Threads() : before_(ThreadPool::instance().threads()) {}
  ~Threads() { ThreadPool::instance().set_threads(before_); }
  Threads(const Threads&) = delete;
  Threads& operator=(const Threads&) = delete;
  void set(int threads) { ThreadPool::instance().set_threads(threads); }

 private:
  int before_;
};

class NativeKernels : public testing::TestWithParam<std::string_view> {
 protected:
  void SetUp() override {
    kernels_ = cpu::kernels_for(GetParam());
    if (kernels_ == nullptr) GTEST_SKIP() << "this processor (or this build) has no " << GetParam();
  }
  const Kernels* kernels_ = nullptr;
};

INSTANTIATE_TEST_SUITE_P(Isa, NativeKernels, testing::ValuesIn(cpu::kIsaNames),
                         [](const auto& info) { return std::string(info.param); });

bool same_bits(const reference::Values& a, const reference::Values& b) {
  for (const auto& [name, values] : a) {
    const std::vector<double>& others = b.at(name);
    if (values.size() != others.size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool both_nan = std::isnan(values[i]) && std::isnan(others[i]);
      if (!both_nan && std::memcmp(&values[i], &others[i], sizeof(double)) != 0) return false;
    }
  }
  return true;
}

TEST_P(NativeKernels, AgreeWithTheReferenceOnAnyNumberOfThreads) {
  Threads threads;
  int cases = 0;
  for (const OpCase& c : reference::all_cases(reference::Depth::quick)) {
    threads.set(1);
    const Outcome alone = run_case(c, *kernels_, Queue{}, reference::host_memory());
    EXPECT_TRUE(alone.mismatch.tensor.empty()) << c.op << " " << c.shape << ": " << alone.mismatch.describe(c);
    EXPECT_EQ(alone.overwritten, "") << c.op << " " << c.shape;
    for (int count : {2, 7}) {
      threads.set(count);
      const Outcome shared = run_case(c, *kernels_, Queue{}, reference::host_memory());
      EXPECT_TRUE(same_bits(alone.got, shared.got)) << c.op << " " << c.shape << " on " << count << " threads";
    }
    ++cases;
  }
  EXPECT_GT(cases, 100);
}

}  // namespace
}  // namespace gemel
