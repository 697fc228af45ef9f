// SPDX-License-Identifier: MIT
#include <gtest/gtest.h>

#include <algorithm>
#include <cstdio>
#include <map>
#include <chrono>
#include <string>

#include "tests/kernels/check/tables.h"
#include "tests/reference/profile_case.h"
#include "tests/reference/watched_memory.h"

namespace gemel::reference {
TEST(Contracts, Print) {
  instrument::configure({.faults = false, .counters = true});
  instrument::take_counters();
  for (const OpCase& c : profile_cases())
    for (const Table& table : check_tables()) {
      if (c.op.compare(0, table.ops.size(), table.ops) != 0) continue;
      auto t0 = std::chrono::steady_clock::now();
      run_case(c, table.kernels, Queue{}, watched_memory());
      double s = std::chrono::duration<double>(std::chrono::steady_clock::now() - t0).count();
      std::printf("TIME %.2f %s %s %s\n", s, table.name.c_str(), c.op.c_str(), c.shape.c_str());
      for (auto& k : instrument::take_counters()) {
        double sec = 0, ideal = 0, wf = 0, iw = 0;
        for (auto& a : k.accesses) {
          if (a.space == instrument::Space::global) sec += a.sectors, ideal += std::max<double>(a.requests, a.bytes_used / 32.0);
          else wf += a.wavefronts, iw += a.ideal_wavefronts;
        }
        std::printf("K\t%s\t%s\t%s\t%.4f\t%.4f\t%.4f\t%.4f\n", k.kernel.c_str(), table.name.c_str(), c.op.c_str(), ideal ? sec / ideal : 0, iw ? wf / iw : 0,
                    k.loads.distinct_sectors ? double(k.loads.sectors) / k.loads.distinct_sectors : 0, k.stores.distinct_sectors ? double(k.stores.sectors) / k.stores.distinct_sectors : 0);
      }
      std::fflush(stdout);
    }
  instrument::configure({});
}
}  // namespace gemel::reference
