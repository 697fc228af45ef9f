// SPDX-License-Identifier: MIT
//
// What a launch tells the instrument by itself; the executor tells the rest (events.h).
#pragma once

#include <cstddef>

namespace gemel::instrument {

// Where the next launch's parameters lie: what a kernel may read though it is the host's.
void parameters(const void* address, std::size_t bytes);

}  // namespace gemel::instrument
