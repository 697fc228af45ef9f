// SPDX-License-Identifier: MIT
//
// What an entry refuses. Ordinary functions, as sources compiled for AVX build no exceptions themselves (see isa.h).
#pragma once

#include <cstddef>

#include "kernels/kernels.h"

namespace gemel::cpu {

// Throws LaunchError unless the queue has `bytes` of scratch, aligned as kernels.h says.
void require_scratch(const Queue& queue, std::size_t bytes, const char* entry);

[[noreturn]] void throw_launch_error(const char* entry, const char* reason);

}  // namespace gemel::cpu
