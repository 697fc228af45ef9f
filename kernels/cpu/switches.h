// SPDX-License-Identifier: MIT
//
// What a program may switch off in the native kernels. Ordinary functions (see isa.h).
#pragma once

namespace gemel::cpu {

// Whether 3x3 convolutions of stride 1 may take Winograd's way (winograd.h): faster, with other bits.
// At the start true, unless the environment variable GEMEL_WINOGRAD is 0. Scratch sizes depend on it: switch before
// networks are planned, not between an entry's `*_scratch` and the entry.
bool uses_winograd();
void use_winograd(bool on);

}  // namespace gemel::cpu
