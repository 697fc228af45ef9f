// SPDX-License-Identifier: MIT
#include "kernels/simt/check/contract.h"

namespace gemel::instrument {
namespace {

std::vector<NamedContract>& list() {
  static std::vector<NamedContract> all;
  return all;
}

}  // namespace

RegisterContract::RegisterContract(const char* kernel, const Contract& contract) {
  list().push_back({kernel, contract});
}

const std::vector<NamedContract>& contracts() { return list(); }

}  // namespace gemel::instrument
