// SPDX-License-Identifier: MIT
//
// Which shape of an operation its counters are taken on: that of `gemel profile` and of the contracts' test.
#pragma once

#include <vector>

#include "tests/reference/op_case.h"

namespace gemel::reference {

// Of each operation the least case worth timing; where that is too large for the instrument, the largest quick one.
std::vector<OpCase> profile_cases();

// Those and the few more that reach every kernel: what contracts are measured on.
std::vector<OpCase> contract_cases();

}  // namespace gemel::reference
