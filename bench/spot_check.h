// SPDX-License-Identifier: MIT
//
// Large products and distance matrices against double precision, at some hundred places: for the workloads here and for
// the programs of tools/peers, which have nothing else of this project.
#pragma once

#include <cmath>
#include <cstddef>
#include <string>

namespace gemel::bench {

// sqrt(sum_k (a_k - b_k)^2) and sum_k a_k b_k of rows of d floats.
inline double distance(const float* a, const float* b, int d) {
  double sum = 0;
  for (int k = 0; k < d; ++k) sum += (double(a[k]) - b[k]) * (double(a[k]) - b[k]);
  return std::sqrt(sum);
}
inline double dot(const float* a, const float* b, int d) {
  double sum = 0;
  for (int k = 0; k < d; ++k) sum += double(a[k]) * b[k];
  return sum;
}

// Some hundred entries of y (n,m) against `entry(row of a, row of b, d)`, the rows normal numbers. Empty: close.
inline std::string spot_check(const float* y, const float* a, const float* b, int n, int m, int d,
                              double (*entry)(const float*, const float*, int)) {
  for (int t = 0; t < 200; ++t) {
    const std::size_t i = std::size_t(t) * 7919 % n, j = std::size_t(t) * 104729 % m;
    const double want = entry(a + i * d, b + j * d, d), got = y[i * m + j];
    if (!(std::abs(got - want) <= 1e-4 * std::sqrt(double(d)))) {
      return "entry " + std::to_string(i) + ", " + std::to_string(j) + " is " + std::to_string(got) + " instead of " +
             std::to_string(want);
    }
  }
  return "";
}

}  // namespace gemel::bench
