// SPDX-License-Identifier: MIT
//
// First include of every source of kernels/cpu/ that is compiled once per instruction set. GEMEL_CPU_ISA is `baseline`
// (SSE2, NEON or what else the architecture always has), `avx2` (with FMA) or `avx512`; the code lands in
// gemel::cpu::GEMEL_CPU_ISA, where kernels/entries.h declares the entries of the table.
//
// The trap these sources must stay clear of: an inline function or template with external linkage (anything of std::,
// any member function of a shared header) that is not inlined becomes a weak symbol; the linker keeps one copy of it,
// perhaps the one compiled for AVX-512, and the baseline path then runs it. So everything shared between these sources
// sits in an unnamed namespace, nothing of std:: but integer types is used, and what needs more (the thread pool) is
// reached through an ordinary function (parallel.h). tests/kernels/cpu/symbols_test.sh checks the objects with nm.
#pragma once

#ifndef GEMEL_CPU_ISA
#error \
    "kernels/cpu sources are compiled once per instruction set: define GEMEL_CPU_ISA (see kernels/cpu/CMakeLists.txt)"
#endif

#define GEMEL_DEVICE cpu::GEMEL_CPU_ISA
#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

// Replaces the entries that have native code.
void replace_entries(Kernels& table);

// See peak.h.
std::int64_t multiply_adds(int steps);

}  // namespace gemel::GEMEL_DEVICE
