// SPDX-License-Identifier: MIT
//
// Counters against numbers worked out by hand. A sector is 32 bytes, a bank 4 bytes wide, 32 of them; a warp's 32 floats
// side by side are 128 bytes, 4 sectors, one wavefront.
#include <gtest/gtest.h>

#include <algorithm>
#include <functional>
#include <vector>

#include "kernels/simt/check/instrument.h"
#include "tests/kernels/check/counted.h"

namespace gemel::check {
namespace {

using instrument::AccessCounters;
using instrument::Act;
using instrument::KernelCounters;
using instrument::Space;

class CountersTest : public testing::Test {
 protected:
  CountersTest() {
    std::fill(in, in + kCountedElements, 1.0f);
    instrument::written(in, kBytes);
    instrument::configure({.faults = false, .counters = true});
    instrument::take_counters();
  }
  ~CountersTest() override {
    instrument::configure({});
    instrument::release(in);
    instrument::release(out);
  }

  static constexpr std::size_t kBytes = kCountedElements * sizeof(float);
  float* in = static_cast<float*>(instrument::allocate(kBytes));
  float* out = static_cast<float*>(instrument::allocate(kBytes));
};

KernelCounters only_kernel() {
  const auto kernels = instrument::take_counters();
  EXPECT_EQ(kernels.size(), 1u);
  return kernels.empty() ? KernelCounters{} : kernels[0];
}

AccessCounters only(const KernelCounters& kernel, Space space, Act act) {
  std::vector<AccessCounters> found;
  for (const AccessCounters& access : kernel.accesses) {
    if (access.space == space && access.act == act) found.push_back(access);
  }
  EXPECT_EQ(found.size(), 1u);
  return found.empty() ? AccessCounters{} : found[0];
}

struct Load {
  int stride, first;
  unsigned sectors, used;
};

TEST_F(CountersTest, LoadsMoveWholeSectors) {
  for (const Load& want : {Load{1, 0, 4, 128},    // side by side
                           Load{1, 1, 5, 128},    // the same, one element on: a sector more
                           Load{2, 0, 8, 128},    // every other: half of each sector is used
                           Load{8, 0, 32, 128},   // a sector each
                           Load{32, 0, 32, 128},  // no worse than that
                           Load{0, 5, 1, 4}}) {   // broadcast
    count_load(in, out, want.stride, want.first);
    const AccessCounters load = only(only_kernel(), Space::global, Act::read);
    EXPECT_EQ(load.requests, 1u);
    EXPECT_EQ(load.lanes, 32u);
    EXPECT_EQ(load.bytes, 4u);
    EXPECT_EQ(load.sectors, want.sectors) << "stride " << want.stride;
    EXPECT_EQ(load.ideal_sectors, want.stride == 0 ? 1u : 4u);
    EXPECT_EQ(load.bytes_used, want.used) << "stride " << want.stride;
  }
}

TEST_F(CountersTest, StoresMoveWholeSectors) {
  for (const auto& [stride, sectors] : {std::pair(1, 4u), std::pair(2, 8u), std::pair(32, 32u)}) {
    count_store(out, stride);
    const AccessCounters store = only(only_kernel(), Space::global, Act::write);
    EXPECT_EQ(store.requests, 1u);
    EXPECT_EQ(store.sectors, sectors) << "stride " << stride;
    EXPECT_EQ(store.bytes_used, 128u);
  }
}

TEST_F(CountersTest, Float4LoadsAreOneRequest) {
  count_load4(in, out, 1);
  AccessCounters load = only(only_kernel(), Space::global, Act::read);
  EXPECT_EQ(load.requests, 1u);
  EXPECT_EQ(load.bytes, 16u);
  EXPECT_EQ(load.sectors, 16u);  // 512 bytes
  EXPECT_EQ(load.bytes_used, 512u);
  count_load4(in, out, 2);
  load = only(only_kernel(), Space::global, Act::read);
  EXPECT_EQ(load.sectors, 32u);
  EXPECT_EQ(load.bytes_used, 512u);
}

TEST_F(CountersTest, LanesThatDoNotTakePartAreNotCounted) {
  count_half_warp(in, out);
  const AccessCounters load = only(only_kernel(), Space::global, Act::read);
  EXPECT_EQ(load.requests, 1u);
  EXPECT_EQ(load.lanes, 16u);
  EXPECT_EQ(load.sectors, 2u);
}

TEST_F(CountersTest, SharedWavefrontsAreTheFullestBanksWords) {
  // Words t * stride lie in 32 / gcd(32, stride) banks.
  for (const auto& [stride, wavefronts] : {std::pair(1, 1u), std::pair(2, 2u), std::pair(4, 4u), std::pair(8, 8u),
                                           std::pair(16, 16u), std::pair(31, 1u), std::pair(32, 32u)}) {
    count_shared(out, stride);
    const AccessCounters store = only(only_kernel(), Space::shared, Act::write);
    EXPECT_EQ(store.requests, 1u);
    EXPECT_EQ(store.wavefronts, wavefronts) << "stride " << stride;
    EXPECT_EQ(store.ideal_wavefronts, 1u);
  }
  count_shared(out, 33);
  EXPECT_EQ(only(only_kernel(), Space::shared, Act::write).wavefronts, 1u);  // a padded column
}

// A matrix of 8 rows of 16 bytes a wavefront, if their banks differ.
TEST_F(CountersTest, LoadsOfMatricesAreWideSharedAccesses) {
  for (const auto& [stride, wavefronts] : {std::pair(1, 4u), std::pair(2, 8u), std::pair(5, 4u), std::pair(8, 32u)}) {
    count_load_matrices(out, stride);
    const AccessCounters load = only(only_kernel(), Space::shared, Act::read);
    EXPECT_EQ(load.requests, 1u);
    EXPECT_EQ(load.lanes, 32u);
    EXPECT_EQ(load.bytes, 16u);
    EXPECT_EQ(load.ideal_wavefronts, 4u);
    EXPECT_EQ(load.wavefronts, wavefronts) << "stride " << stride;
  }
}

TEST_F(CountersTest, WideSharedAccessesGoByHalvesAndQuartersOfTheWarp) {
  for (const auto& [stride, wavefronts] : {std::pair(1, 2u), std::pair(2, 4u), std::pair(16, 32u)}) {
    count_shared2(out, stride);
    const AccessCounters store = only(only_kernel(), Space::shared, Act::write);
    EXPECT_EQ(store.bytes, 8u);
    EXPECT_EQ(store.ideal_wavefronts, 2u);
    EXPECT_EQ(store.wavefronts, wavefronts) << "stride " << stride;
  }
  // Quarters of 8 lanes: side by side 128 bytes; every other float4 half of the banks, twice.
  for (const auto& [stride, wavefronts] : {std::pair(1, 4u), std::pair(2, 8u), std::pair(5, 4u), std::pair(8, 32u)}) {
    count_shared4(out, stride);
    const AccessCounters store = only(only_kernel(), Space::shared, Act::write);
    EXPECT_EQ(store.bytes, 16u);
    EXPECT_EQ(store.ideal_wavefronts, 4u);
    EXPECT_EQ(store.wavefronts, wavefronts) << "stride " << stride;
  }
}

TEST_F(CountersTest, ABroadcastIsOneWavefront) {
  count_shared_broadcast(out);
  const KernelCounters kernel = only_kernel();
  const AccessCounters load = only(kernel, Space::shared, Act::read);
  EXPECT_EQ(load.lanes, 32u);
  EXPECT_EQ(load.wavefronts, 1u);
  EXPECT_EQ(only(kernel, Space::shared, Act::write).lanes, 1u);
}

TEST_F(CountersTest, EachTurnOfALoopIsARequest) {
  count_loop(in, out);
  const AccessCounters load = only(only_kernel(), Space::global, Act::read);
  EXPECT_EQ(load.requests, 3u);
  EXPECT_EQ(load.lanes, 96u);
  EXPECT_EQ(load.sectors, 12u);
}

TEST_F(CountersTest, DistinctSectorsAreCountedOnceALaunch) {
  count_twice(in, out);
  const KernelCounters kernel = only_kernel();
  EXPECT_EQ(kernel.loads.sectors, 8u);
  EXPECT_EQ(kernel.loads.distinct_sectors, 4u);
  EXPECT_EQ(kernel.stores.sectors, 8u);
  EXPECT_EQ(kernel.stores.distinct_sectors, 8u);
  count_twice(in, out);
  count_twice(in, out);
  EXPECT_EQ(only_kernel().loads.distinct_sectors, 8u);
}

TEST_F(CountersTest, AreKeptByLineOfSource) {
  count_load(in, out, 1, 0);
  const KernelCounters kernel = only_kernel();
  EXPECT_EQ(kernel.kernel, "load_kernel");
  const instrument::Source source = only(kernel, Space::global, Act::read).source;
  EXPECT_EQ(source.file, "tests/kernels/check/counted.cu");
  const std::string text = instrument::source_text(source.file);
  const auto marked = text.find("// load\n");
  ASSERT_NE(marked, std::string::npos);
  EXPECT_EQ(source.line, 1 + std::count(text.begin(), text.begin() + static_cast<std::ptrdiff_t>(marked), '\n'));
}

}  // namespace
}  // namespace gemel::check
