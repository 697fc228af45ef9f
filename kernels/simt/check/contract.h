// SPDX-License-Identifier: MIT
//
// What a kernel must keep, declared beside it by SIMT_CONTRACT(kernel, ...): nothing for `cuda` and `simt`, an entry of
// this list for `check`. tests/kernels/check/contracts_test.cpp measures and enforces.
#pragma once

#include <string>
#include <vector>

namespace gemel::instrument {

// At most so many times the ideal, over a launch; 1 is ideal and what is not said.
struct Contract {
  double sectors = 1;    // sectors moved, of those that the bytes each request asks for would fill: coalescing
  double conflicts = 1;  // wavefronts of shared memory, of those without bank conflicts
  double loads = 1;      // sectors loaded, of the distinct ones among them: how much is left to caches
  double stores = 1;     // the same of stores and atomics
  int registers = 64;    // a thread's, on a GPU: tools/cuda/check_registers.py compares with what ptxas says
};

struct NamedContract {
  std::string kernel;
  Contract contract;
};

struct RegisterContract {
  RegisterContract(const char* kernel, const Contract& contract);
};

// Of all kernels linked in; a kernel in a header is there once a file.
const std::vector<NamedContract>& contracts();

}  // namespace gemel::instrument
