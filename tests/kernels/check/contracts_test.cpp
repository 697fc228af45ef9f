// SPDX-License-Identifier: MIT
//
// Every kernel has a contract (SIMT_CONTRACT, beside it), is measured, and keeps it.
#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <string>

#include "kernels/simt/check/contract.h"
#include "tests/kernels/check/tables.h"
#include "tests/reference/profile_case.h"
#include "tests/reference/watched_memory.h"

namespace gemel::reference {
namespace {

using instrument::AccessCounters;
using instrument::Contract;
using instrument::KernelCounters;
using instrument::Space;

// A kernel's name without its namespaces and template arguments.
std::string base_name(std::string name) {
  name.erase(std::min(name.find('<'), name.size()));
  const auto colons = name.rfind("::");
  return colons == std::string::npos ? name : name.substr(colons + 2);
}

double share(double a, double b) { return b > 0 ? a / b : 1; }

Contract measured(const KernelCounters& kernel) {
  double sectors = 0, ideal_sectors = 0, wavefronts = 0, ideal_wavefronts = 0;
  for (const AccessCounters& a : kernel.accesses) {
    if (a.space == Space::shared) {
      wavefronts += static_cast<double>(a.wavefronts);
      ideal_wavefronts += static_cast<double>(a.ideal_wavefronts);
    } else {
      sectors += static_cast<double>(a.sectors);
      ideal_sectors += static_cast<double>(a.ideal_sectors);
    }
  }
  const auto again = [](const instrument::Traffic& traffic) {
    return share(static_cast<double>(traffic.sectors), static_cast<double>(traffic.distinct_sectors));
  };
  return {share(sectors, ideal_sectors), share(wavefronts, ideal_wavefronts), again(kernel.loads),
          again(kernel.stores)};
}

// The worst of each over all cases, by kernel.
std::map<std::string, Contract> measure_all() {
  std::map<std::string, Contract> worst;
  instrument::configure({.faults = false, .counters = true});
  instrument::take_counters();
  for (const OpCase& c : contract_cases()) {
    for (const Table& table : check_tables()) {
      if (!table.runs(c)) continue;
      EXPECT_TRUE(run_case(in_math(c, table.math), table.kernels, Queue{}, watched_memory()).ok())
          << c.op << " " << c.shape;
    }
  }
  for (const KernelCounters& kernel : instrument::take_counters()) {
    const Contract now = measured(kernel);
    Contract& known = worst[base_name(kernel.kernel)];
    known = {std::max(known.sectors, now.sectors), std::max(known.conflicts, now.conflicts),
             std::max(known.loads, now.loads), std::max(known.stores, now.stores)};
  }
  instrument::configure({});
  return worst;
}

// Partial sectors at the ends of buffers and rows are in no contract.
constexpr double kEnds = 1.005;

TEST(Contracts, AreKeptByEveryKernel) {
  std::map<std::string, Contract> declared;
  for (const auto& [kernel, contract] : instrument::contracts()) declared[kernel] = contract;
  const std::map<std::string, Contract> kernels = measure_all();
  for (const auto& [kernel, contract] : declared) {
    EXPECT_EQ(kernels.count(kernel), 1u) << kernel << " has a contract, and no case in contract_cases() reaches it";
  }
  for (const auto& [kernel, got] : kernels) {
    const auto found = declared.find(kernel);
    if (found == declared.end()) {
      ADD_FAILURE() << kernel << " has no SIMT_CONTRACT; measured: .sectors = " << got.sectors
                    << ", .conflicts = " << got.conflicts << ", .loads = " << got.loads << ", .stores = " << got.stores;
      continue;
    }
    const Contract& want = found->second;
    EXPECT_LE(got.sectors, kEnds * want.sectors) << kernel << ": sectors, as a multiple of those its bytes would fill";
    EXPECT_LE(got.conflicts, kEnds * want.conflicts) << kernel << ": wavefronts, of those without bank conflicts";
    EXPECT_LE(got.loads, kEnds * want.loads) << kernel << ": sectors loaded, of the distinct ones among them";
    EXPECT_LE(got.stores, kEnds * want.stores) << kernel << ": sectors stored, of the distinct ones among them";
  }
}

}  // namespace
}  // namespace gemel::reference
