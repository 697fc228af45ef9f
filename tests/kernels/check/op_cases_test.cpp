// SPDX-License-Identifier: MIT
//
// Every kernel of the project, and every rung of its ladder, over the test shapes: the right result, and not one report.
#include <gtest/gtest.h>

#include <cstring>
#include <set>
#include <string>

#include "kernels/simt/check/instrument.h"
#include "tests/kernels/check/tables.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

Memory watched_memory() {
  Memory memory = host_memory();
  memory.allocate = [](std::size_t bytes) { return bytes == 0 ? nullptr : instrument::allocate(bytes); };
  memory.free = [](void* buffer) { instrument::release(buffer); };
  memory.upload = [](void* to, const void* from, std::size_t bytes) {
    if (bytes == 0) return;
    std::memcpy(to, from, bytes);
    instrument::written(to, bytes);
  };
  memory.watched = true;
  return memory;
}

// One test an operation, so that they run side by side.
class Shipped : public testing::TestWithParam<std::string> {};

TEST_P(Shipped, HasNoFaults) {
  instrument::configure({.faults = true, .counters = false});
  int cases = 0;
  for (const Table& table : check_tables()) {
    for (const OpCase& c : all_cases(Depth::quick)) {
      if (c.op != GetParam() || c.op.compare(0, table.ops.size(), table.ops) != 0) continue;
      ++cases;
      const Outcome outcome = run_case(c, table.kernels, Queue{}, watched_memory());
      EXPECT_TRUE(outcome.ok()) << table.name << ": " << outcome.mismatch.describe(c) << outcome.overwritten;
      for (const instrument::Report& report : instrument::take_reports()) {
        ADD_FAILURE() << table.name << ", " << c.op << " " << c.shape << ": " << report.text();
      }
    }
  }
  EXPECT_GT(cases, 0);
}

std::vector<std::string> operations() {
  std::set<std::string> names;
  for (const OpCase& c : all_cases(Depth::quick)) names.insert(c.op);
  return {names.begin(), names.end()};
}

INSTANTIATE_TEST_SUITE_P(Kernels, Shipped, testing::ValuesIn(operations()), [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gemel::reference
