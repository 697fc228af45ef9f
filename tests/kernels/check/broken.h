// SPDX-License-Identifier: MIT
//
// Kernels with one fault each, and what the instrument must say of them.
#pragma once

#include <span>
#include <string_view>

#include "kernels/simt/check/instrument.h"

namespace gemel::check {

// What a kernel of the collection may be given. `in` holds kElements numbers, `out` and `unwritten` have room for as many.
struct Given {
  float *in, *out, *unwritten, *freed, *host;
};
inline constexpr int kElements = 128;

// The lines of broken.cu that end in "<- NAME" are those to be named: both of a race.
struct Broken {
  std::string_view name;
  instrument::Kind kind;
  void (*run)(const Given&);   // with the fault
  void (*mend)(const Given&);  // without
};

std::span<const Broken> broken_kernels();

}  // namespace gemel::check
