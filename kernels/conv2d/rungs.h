// SPDX-License-Identifier: MIT
//
// The ladder of the convolution: every rung by name, for tests and benchmarks. The table holds the one in use.
#pragma once

#include <span>

#include "kernels/kernels.h"

namespace gemel {

struct Conv2dRung {
  const char* name;  // the file's: "01_direct"
  Math math;         // what it multiplies in, whatever the queue says
  decltype(Kernels::conv2d_scratch) scratch;
  decltype(Kernels::conv2d_fprop) fprop;
  decltype(Kernels::conv2d_dgrad) dgrad;
  decltype(Kernels::conv2d_wgrad) wgrad;
  decltype(Kernels::conv_block_forward) block_forward;    // or null: the table's
  decltype(Kernels::conv_block_backward) block_backward;  // the same
  int most_channels = 0;  // of the image: of shapes with more, it is another rung under this name; 0: it serves all

  bool serves(int channels) const { return most_channels == 0 || channels <= most_channels; }

  // `table` with this rung in it.
  Kernels in(Kernels table) const {
    table.conv2d_scratch = scratch;
    table.conv2d_fprop = fprop;
    table.conv2d_dgrad = dgrad;
    table.conv2d_wgrad = wgrad;
    if (block_forward != nullptr) table.conv_block_forward = block_forward;
    if (block_backward != nullptr) table.conv_block_backward = block_backward;
    return table;
  }
};

namespace simt {
std::span<const Conv2dRung> conv2d_rungs();
const Conv2dRung& conv2d_rung(Math);  // the first of this arithmetic
}  // namespace simt
namespace cuda {
std::span<const Conv2dRung> conv2d_rungs();
const Conv2dRung& conv2d_rung(Math);  // the first of this arithmetic
}  // namespace cuda

#if defined(GEMEL_DEVICE)
// Of the device that a kernel file is compiled for, which may be the instrument's.
namespace GEMEL_DEVICE {
const Conv2dRung& conv2d_rung_for(Math, const Conv2dShape&);  // that the table uses
}
#endif

}  // namespace gemel
