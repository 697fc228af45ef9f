// SPDX-License-Identifier: MIT
//
// The `cpu` device's kernels: the executor's table (gemel::simt) with its hot entries replaced by native code, one
// build per instruction set, chosen when the program starts.
#pragma once

#include <string_view>

#include "kernels/cpu/switches.h"
#include "kernels/kernels.h"

namespace gemel::cpu {

// Instruction sets this build knows, narrowest first: "baseline" always, "avx2" and "avx512" on x86-64.
inline constexpr std::string_view kIsaNames[] = {"baseline", "avx2", "avx512"};

// The table for one instruction set; null when this build lacks it, or the processor or the system does.
const Kernels* kernels_for(std::string_view isa);

// The instruction set of cpu::kernels(): the widest that works, or the one that the environment variable GEMEL_CPU_ISA
// names. Throws std::invalid_argument where that one cannot be used.
std::string_view isa_name();

}  // namespace gemel::cpu
