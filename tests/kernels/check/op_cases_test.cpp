// SPDX-License-Identifier: MIT
//
// Every kernel of the project, and every rung of its ladder, over the test shapes: the right result, and not one report;
// where it is quick, with the threads in other orders too.
#include <gtest/gtest.h>

#include <set>
#include <string>
#include <vector>

#include "kernels/simt/executor.h"
#include "tests/kernels/check/tables.h"
#include "tests/reference/watched_memory.h"

namespace gemel::reference {
namespace {

using check::ThreadOrder;

// More than this is run in the usual order alone.
constexpr double kQuickFlops = 2e5, kQuickBytes = 2e5;

// Tiles 128 wide over one channel: more time than all other cases together. Its rung runs on 30 others.
bool takes_too_long(const OpCase& c) { return c.op == "conv2d_dgrad" && c.shape == "n=4 31x29x1 -> 64 @10x10"; }

std::vector<ThreadOrder> orders(const OpCase& c) {
  if (c.cost.flops > kQuickFlops || c.cost.bytes > kQuickBytes) return {{}};
  return {{}, {ThreadOrder::Kind::reverse}, {ThreadOrder::Kind::shuffle, 1}};
}

// One test an operation, so that they run side by side.
class Shipped : public testing::TestWithParam<std::string> {};

TEST_P(Shipped, HasNoFaults) {
  instrument::take_reports();
  int cases = 0;
  for (const Table& table : check_tables()) {
    for (const OpCase& of_all : all_cases(Depth::quick)) {
      if (of_all.op != GetParam() || !table.runs(of_all) || takes_too_long(of_all)) continue;
      const OpCase c = in_math(of_all, table.math);
      ++cases;
      for (const ThreadOrder order : orders(c)) {
        check::set_thread_order(order);
        const Outcome outcome = run_case(c, table.kernels, Queue{}, watched_memory());
        EXPECT_TRUE(outcome.ok()) << table.name << ": " << outcome.mismatch.describe(c) << outcome.overwritten;
        for (const instrument::Report& report : instrument::take_reports()) {
          ADD_FAILURE() << table.name << ", " << c.op << " " << c.shape << ": " << report.text();
        }
      }
    }
  }
  check::set_thread_order({});
  EXPECT_GT(cases, 0);
}

std::vector<std::string> operations() {
  std::set<std::string> names;
  for (const OpCase& c : all_cases(Depth::quick)) names.insert(c.op);
  return {names.begin(), names.end()};
}

INSTANTIATE_TEST_SUITE_P(Kernels, Shipped, testing::ValuesIn(operations()),
                         [](const auto& info) { return info.param; });

}  // namespace
}  // namespace gemel::reference
