// SPDX-License-Identifier: MIT
//
// The parts of loss_cases(), what several of them use, and the StepState as a tensor, which optimizer cases use too.
#pragma once

#include <cmath>
#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "tests/reference/op_case.h"

namespace gemel::reference {

std::vector<OpCase> contrastive_cases(Depth depth);
std::vector<OpCase> triplet_cases(Depth depth);
std::vector<OpCase> mined_triplet_cases(Depth depth);
std::vector<OpCase> similarity_cases(Depth depth);
std::vector<OpCase> softmax_cases(Depth depth);
std::vector<OpCase> weighted_cases(Depth depth);  // the distances too
std::vector<OpCase> loss_reduce_cases(Depth depth);

double sum(const std::vector<double>& x);
double softplus(double u);  // ln(1 + e^u)
double logistic(double u);  // 1 / (1 + e^-u)

// ---- triplets (triplet.cpp)
struct TripletTerm {
  double loss, pull, push;  // dloss/d(d2_positive), less dloss/d(d2_negative)
};
TripletTerm triplet_term(const TripletParams& params, double d2_positive, double d2_negative);
// distance2 (n,n) of v from its e (n,d).
void distances_of_rows(int n, int d, Values& v);
std::string described(const TripletParams& params);
std::vector<TripletParams> every_kind(Mining mining);  // squared and not, margin 0.5 and soft

// ---- mined triplets (mined_triplet.cpp)
struct Chosen {
  int positive, negative;
};
// The triplets of anchor a by squared distances d2 (n,n). Ties go to the lowest row; a NaN distance is mined before any
// other.
std::vector<Chosen> mine(Mining mining, int n, int a, const std::vector<double>& d2, const std::vector<double>& labels);

// Labels: groups of `each` consecutive rows with one label (1: all different; n: all equal).
Fill groups_of(int each);
// `classes` labels in turn: positives lie all over the batch, in every chunk of 128 columns.
Fill in_turn(int classes);

// A loss that leaves coefficients: from `input` (n,n) and labels (n) to g (n,n), loss, count and active (n), which
// `definition` fills. The caller names the entry and how it is run.
OpCase coefficient_case(int n, const std::string& input, Fill values, Fill labels,
                        std::function<void(Values&)> definition);
// The same case, with the sum of the losses as what g is the gradient of.
OpCase with_objective(OpCase c, const std::string& input);

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
