// SPDX-License-Identifier: MIT
//
// The instrument's centre: what every access of a running kernel passes through. Private to the instrument.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/simt/check/counters.h"
#include "kernels/simt/check/parameters.h"
#include "kernels/simt/check/reports.h"
#include "kernels/simt/check/shadow.h"

namespace gemel::instrument {

// True on the OS thread that runs a block, while it does.
[[gnu::tls_model("initial-exec")]] extern thread_local constinit bool watching;

// An access of 1, 2, 4, 8 or 16 bytes by the running thread, about to be made at `return_address`.
void access(const void* address, unsigned bytes, Act act, const void* return_address);
// Any number of bytes, with no claim of alignment: as the accesses of at most 16 bytes that a GPU would make of it.
void access_range(const void* address, std::size_t bytes, Act act, const void* return_address);

}  // namespace gemel::instrument
