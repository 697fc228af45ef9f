// SPDX-License-Identifier: MIT
//
// l2_normalize_forward and l2_normalize_backward for the CPU: the formulas, and what inverse_norm tells backward, are
// in kernels/normalize/.
//
// Replaces the executor's kernels: 256 rows of 128 columns take 0.007 ms instead of 0.82 (forward), 0.008 instead of
// 0.81 (backward); Zen 3 EPYC, one core, AVX2, g++ 12, CPU time.
//
// Traffic  8 bytes an element forward, 12 backward: the second pass over a row finds it in the first-level cache.
#include "kernels/cpu/rows.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

}  // namespace

void l2_normalize_forward(Queue, int n, int d, float epsilon, const float* x, float* y, float* inverse_norm) {
  for_each_row(n, [&](int row) {
    const float* from = x + std::ptrdiff_t{row} * d;
    float* to = y + std::ptrdiff_t{row} * d;
    const float norm = square_root(dot(d, from, from));
    const bool clamped = norm < epsilon;
    const float inverse = norm == 0 ? 0.0f : 1.0f / (clamped ? epsilon : norm);
    for_each_vector(static_cast<std::size_t>(d), [&](std::size_t i, int lanes) {
      store_lanes(to + i, load_lanes(from + i, lanes) * inverse, lanes);
    });
    inverse_norm[row] = clamped ? -inverse : inverse;
  });
}

void l2_normalize_backward(Queue, int n, int d, const float* y, const float* inverse_norm, const float* dy, float* dx) {
  for_each_row(n, [&](int row) {
    const float* unit = y + std::ptrdiff_t{row} * d;
    const float* from = dy + std::ptrdiff_t{row} * d;
    float* to = dx + std::ptrdiff_t{row} * d;
    const float inverse = inverse_norm[row];
    const float along = inverse < 0 ? 0.0f : dot(d, unit, from);  // clamped: linear
    const float factor = inverse < 0 ? -inverse : inverse;
    for_each_vector(static_cast<std::size_t>(d), [&](std::size_t i, int lanes) {
      const V across = load_lanes(from + i, lanes) - load_lanes(unit + i, lanes) * along;
      store_lanes(to + i, factor * across, lanes);
    });
  });
}

}  // namespace gemel::GEMEL_DEVICE
