// SPDX-License-Identifier: MIT
//
// The ladder of the fully connected layer: every rung by name, for tests and benchmarks. The table holds the one in
// use.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace gemel {

struct LinearRung {
  const char* name;  // the file's: "01_naive"
  Math math;         // what it multiplies in, whatever the queue says
  decltype(Kernels::linear_scratch) scratch;
  decltype(Kernels::linear_fprop) fprop;
  decltype(Kernels::linear_dgrad) dgrad;
  decltype(Kernels::linear_wgrad) wgrad;

  // `table` with this rung in it.
  Kernels in(Kernels table) const {
    table.linear_scratch = scratch;
    table.linear_fprop = fprop;
    table.linear_dgrad = dgrad;
    table.linear_wgrad = wgrad;
    return table;
  }
};

namespace simt {
std::span<const LinearRung> linear_rungs();
const LinearRung& linear_rung(Math);  // the first of this arithmetic
}  // namespace simt
namespace cuda {
std::span<const LinearRung> linear_rungs();
const LinearRung& linear_rung(Math);  // the first of this arithmetic
}  // namespace cuda

#if defined(GEMEL_DEVICE)
// Of the device that a kernel file is compiled for, which may be the instrument's.
namespace GEMEL_DEVICE {
const LinearRung& linear_rung(Math);
}
#endif

}  // namespace gemel
