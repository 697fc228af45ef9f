// SPDX-License-Identifier: MIT
//
// What a case may ask of a rung that rounds its factors, and how far from double a result is.
#pragma once

#include <algorithm>
#include <cmath>
#include <cstddef>

#include "tests/reference/op_case.h"

namespace gemel::reference {

// The case as this arithmetic can be held to it: with twice the rounding of a factor, for each of the two; and where a
// maximum is sought, which rounding would move, with small integers, whose sums are exact.
inline OpCase in_math(OpCase c, Math math) {
  if (math != Math::tf32 && math != Math::bf16) return c;
  if (c.op == "conv_block_forward") {
    for (TensorSpec& tensor : c.tensors) {
      if (tensor.fill.kind == Fill::Kind::normal) tensor.fill = {Fill::Kind::integers, -4, 4};
    }
  }
  c.relative = std::max(c.relative, math == Math::tf32 ? 0x1p-9 : 0x1p-7);
  return c;
}

// Root of the mean squared error of a call's results against the case's reference, as a share of the root of their mean
// square. `got` as run_case leaves it with seed 1. Bias gradients, which no rung rounds, do not count.
inline double rms_error(const OpCase& c, const Values& got) {
  Values want = make_inputs(c, 1);
  for (const TensorSpec& tensor : c.tensors) {
    if (tensor.role == Role::output) want[tensor.name].assign(got.at(tensor.name).size(), 0.0);
  }
  c.reference(want);
  double errors = 0, squares = 0;
  for (const TensorSpec& tensor : c.tensors) {
    if (tensor.role == Role::input || tensor.name == "db") continue;
    for (std::size_t i = 0; i < want[tensor.name].size(); ++i) {
      const double difference = got.at(tensor.name)[i] - want[tensor.name][i];
      errors += difference * difference;
      squares += want[tensor.name][i] * want[tensor.name][i];
    }
  }
  return squares > 0 ? std::sqrt(errors / squares) : std::sqrt(errors);
}

}  // namespace gemel::reference
