// SPDX-License-Identifier: MIT
//
// The ladder of the locally connected layer: every rung by name, for tests and benchmarks. The table holds the one in use.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace gemel {

struct Local2dRung {
  const char* name;  // the file's: "01_direct"
  decltype(Kernels::local2d_scratch) scratch;
  decltype(Kernels::local2d_fprop) fprop;
  decltype(Kernels::local2d_dgrad) dgrad;
  decltype(Kernels::local2d_wgrad) wgrad;

  // `table` with this rung in it.
  Kernels in(Kernels table) const {
    table.local2d_scratch = scratch;
    table.local2d_fprop = fprop;
    table.local2d_dgrad = dgrad;
    table.local2d_wgrad = wgrad;
    return table;
  }
};

namespace simt {
std::span<const Local2dRung> local2d_rungs();
}
namespace cuda {
std::span<const Local2dRung> local2d_rungs();
}

}  // namespace gemel
