// SPDX-License-Identifier: MIT
//
// Every operation's cases, in the order of struct Kernels.
#include <iterator>

#include "tests/reference/op_case.h"

namespace gemel::reference {

std::vector<OpCase> all_cases(Depth depth) {
  std::vector<OpCase> all;
  for (const auto cases_of : {conv2d_cases, conv_block_cases, local2d_cases, linear_cases, pool2d_cases,
                              activation_cases, dropout_cases, channel_cases, residual_cases, normalize_cases,
                              distance_cases, loss_cases, optimizer_cases, image_cases, photograph_cases, face_cases}) {
    std::vector<OpCase> cases = cases_of(depth);
    std::move(cases.begin(), cases.end(), std::back_inserter(all));
  }
  return all;
}

}  // namespace gemel::reference
