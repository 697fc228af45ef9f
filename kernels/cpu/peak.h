// SPDX-License-Identifier: MIT
//
// What one core can do at best in an instruction set: the yardstick of the benches.
#pragma once

#include <cstdint>
#include <string_view>

namespace gemel::cpu {

// Runs `steps` rounds of independent multiply-adds in registers on the calling thread and returns how many
// floating-point operations that was. Throws std::invalid_argument for an instruction set that kernels_for() does not
// have.
std::int64_t run_multiply_adds(std::string_view isa, int steps);

}  // namespace gemel::cpu
