// SPDX-License-Identifier: MIT
//
// The parts of loss_cases(), and the StepState as a tensor, which optimizer cases use too.
#pragma once

#include <cmath>
#include <cstdint>
#include <vector>

#include "tests/reference/op_case.h"

namespace gemel::reference {

std::vector<OpCase> contrastive_cases(Depth depth);
std::vector<OpCase> triplet_cases(Depth depth);
std::vector<OpCase> loss_reduce_cases(Depth depth);

// A StepState is 3 floats and 3 integers in a row. As an f32 tensor its integers read as the numbers with these bits
// (denormals, k 2^-149), which no tolerance tells apart: such a case judges the floats. As an i32 tensor every bit must
// agree: such a case uses floats that are exact, and judges all.
constexpr int kStateWords = 6;
enum StateWord { kLearningRate, kLossSum, kActiveSum, kSteps, kStep, kCursor };

inline double as_float_bits(std::int32_t k) { return std::ldexp(static_cast<double>(k), -149); }
std::int32_t as_int_bits(float x);

// The state as a tensor to be filled with `state`, as f32 or i32 words.
TensorSpec state_tensor(const StepState& state, Role role, Dtype dtype);

}  // namespace gemel::reference
