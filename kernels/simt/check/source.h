// SPDX-License-Identifier: MIT
//
// From code addresses to lines of source, by binutils' addr2line on the running program. Private to the instrument.
//
// A code address is that of a call's return, from the beginning of the program as it lies in memory (PIE or not).
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "kernels/simt/check/instrument.h"

namespace gemel::instrument {

// Of an access in the running program; 0 where it lies elsewhere.
std::uint32_t code_address(const void* return_address);

// Looks all of them up at once: each start of addr2line reads the program's debug information anew.
void look_up(const std::vector<std::uint32_t>& addresses);
// The innermost line that is not the portable layer's own (host_*.h: load4, atomicAdd). Unknown until looked up.
Source source_of(std::uint32_t address);

// A path of this build as one from the root of the tree; others stay as they are.
std::string in_tree(const std::string& path);
// Where the tree was when this was built.
const char* tree_root();

}  // namespace gemel::instrument
