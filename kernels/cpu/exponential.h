// SPDX-License-Identifier: MIT
//
// exp and log(1 + x) of a vector of floats, and the logistic losses made of them. NaN stays NaN.
#pragma once

#include "kernels/cpu/simd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// exp(x), to 2 units in the last place: x = k ln 2 + f, |f| <= ln 2 / 2, exp(f) by its Taylor series. Below -87.3 and
// above 88.3 the result stays at the value there.
GEMEL_INLINE Vec<kLanes> exponential(Vec<kLanes> x) {
  using V = Vec<kLanes>;
  const V low = broadcast(-87.3f), high = broadcast(88.3f);
  x = x < low ? low : x;
  x = x > high ? high : x;
  // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
  const V shift = broadcast(12582912.0f);
  V shifted = x * 1.44269504f + shift;
  V k = shifted - shift;
  V f = (x - k * 0.693359375f) + k * 2.12194440e-4f;  // ln 2 in two parts
  V series = broadcast(1.0f / 5040);
  series = series * f + 1.0f / 720;
  series = series * f + 1.0f / 120;
  series = series * f + 1.0f / 24;
  series = series * f + 1.0f / 6;
  series = series * f + 0.5f;
  series = series * f + 1.0f;
  series = series * f + 1.0f;
  // 2^k through the exponent's bits; k is in the low bits of `shifted`.
  IntVec<kLanes> bits;
  __builtin_memcpy(&bits, &shifted, sizeof bits);
  bits = (bits + 127) << 23;
  V power;
  __builtin_memcpy(&power, &bits, sizeof power);
  return series * power;
}

// log(1 + x) for 0 <= x <= 1, to 2 units in the last place, also where 1 + x rounds to 1:
// 2 artanh(s) = 2 (s + s^3 / 3 + s^5 / 5 + ...) at s = x / (2 + x) <= 1/3, where 8 terms are enough.
GEMEL_INLINE Vec<kLanes> log_one_plus(Vec<kLanes> x) {
  using V = Vec<kLanes>;
  const V s = x / (2.0f + x), square = s * s;
  V series = broadcast(1.0f / 15);
  series = series * square + 1.0f / 13;
  series = series * square + 1.0f / 11;
  series = series * square + 1.0f / 9;
  series = series * square + 1.0f / 7;
  series = series * square + 1.0f / 5;
  series = series * square + 1.0f / 3;
  return 2.0f * s + 2.0f * s * square * series;
}

// exp(x) for x <= 0: 0 where `exponential` stops.
GEMEL_INLINE Vec<kLanes> power_of(Vec<kLanes> x) { return x < broadcast(-87.3f) ? Vec<kLanes>{} : exponential(x); }

// log(1 + exp(u)), and its slope 1 / (1 + exp(-u)). Neither overflows or cancels; 0 and 0 at -infinity.
struct Softplus {
  Vec<kLanes> value, slope;
};
GEMEL_INLINE Softplus softplus(Vec<kLanes> u) {
  using V = Vec<kLanes>;
  const IntVec<kLanes> positive = u > V{};
  const V power = power_of(positive ? -u : u);  // exp(-|u|)
  return {(positive ? u : V{}) + log_one_plus(power), (positive ? broadcast(1.0f) : power) / (1.0f + power)};
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
