// SPDX-License-Identifier: MIT
//
// contrastive and pairwise_backward for the CPU: the formulas and edge cases are in kernels/loss/.
//
// Replaces the executor's kernels: 512 pairs of 128 columns take 0.03 ms instead of 1.8, and the gradient of 1024 rows
// of 128 columns from a full matrix 8.4 instead of 94 (Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
//
// contrastive        an item is kPairs pairs; lanes run over the columns and are added in a fixed order.
// pairwise_backward  an item is kRows rows of de. Their coefficients s = 2 (g + g^T) are gathered for kColumns columns
//                    at a time, so that g^T is read in runs of kRows floats, and zeros are skipped. By differences e_i -
//                    e_j, so close rows do not cancel. Every element is one chain in the order of j.
#include "kernels/cpu/rows.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

constexpr int kPairs = 16;
constexpr int kRows = 8, kColumns = 128;

struct PairTerm {
  float loss;
  float slope;  // dL/da = slope (a - b) / n
};

// NaN must not read as "beyond the margin".
PairTerm pair_term(Contrastive variant, bool similar, float margin, float d2, float d) {
  if (similar) return {0.5f * d2, 1.0f};
  if (variant == Contrastive::hadsell) {
    const float hinge = margin - d <= 0 ? 0.0f : margin - d;
    return {0.5f * hinge * hinge, d == 0 ? 0.0f : -hinge / d};
  }
  const bool beyond = d2 >= margin;
  return {beyond ? 0.0f : 0.5f * (margin - d2), beyond ? 0.0f : -1.0f};
}

// sum += sum over `count` rows j of s[j] (row - e_j), for Vectors vectors of columns from `row` on.
template <int Vectors>
GEMEL_INLINE void add_differences(const float* row, const float* e, int d, const float* s, int count, float* sum) {
  V r[Vectors], c[Vectors];
  GEMEL_UNROLL for (int v = 0; v < Vectors; ++v) {
    r[v] = load(row + v * kLanes);
    c[v] = load(sum + v * kLanes);
  }
  for (int j = 0; j < count; ++j, e += d) {
    if (s[j] == 0) continue;
    const V factor = broadcast(s[j]);
    GEMEL_UNROLL for (int v = 0; v < Vectors; ++v) c[v] += factor * (r[v] - load(e + v * kLanes));
  }
  GEMEL_UNROLL for (int v = 0; v < Vectors; ++v) store(sum + v * kLanes, c[v]);
}

void add_row(const float* row, const float* e, int d, const float* s, int count, float* sum) {
  int k = 0;
  for (; k + 4 * kLanes <= d; k += 4 * kLanes) add_differences<4>(row + k, e + k, d, s, count, sum + k);
  for (; k + kLanes <= d; k += kLanes) add_differences<1>(row + k, e + k, d, s, count, sum + k);
  if (k == d) return;
  const V r = load_part(row + k, d - k);
  V c = load_part(sum + k, d - k);
  for (int j = 0; j < count; ++j) {
    if (s[j] != 0) c += broadcast(s[j]) * (r - load_part(e + std::ptrdiff_t{j} * d + k, d - k));
  }
  store_part(sum + k, c, d - k);
}

}  // namespace

void contrastive(Queue, int n, int d, Contrastive variant, float margin, const float* e, const std::int32_t* labels,
                 float* distance, float* loss, float* active, float* de) {
  const float scale = 1.0f / static_cast<float>(n);
  parallel(divide_up(n, kPairs), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * kPairs, end = min(begin + kPairs, n);
    for (int pair = begin; pair < end; ++pair) {
      const std::ptrdiff_t first = std::ptrdiff_t{pair} * d, twin = first + std::ptrdiff_t{n} * d;
      const float d2 = squared_distance(d, e + first, e + twin), length = square_root(d2);
      const PairTerm term = pair_term(variant, labels[pair] == labels[pair + n], margin, d2, length);
      const float factor = term.slope * scale;
      for_each_vector(static_cast<std::size_t>(d), [&](std::size_t i, int lanes) {
        const V gradient = factor * (load_lanes(e + first + i, lanes) - load_lanes(e + twin + i, lanes));
        store_lanes(de + first + i, gradient, lanes);
        store_lanes(de + twin + i, -gradient, lanes);
      });
      distance[pair] = length;
      loss[pair] = term.loss;
      active[pair] = term.loss != 0 ? 1.0f : 0.0f;
    }
  });
}

void pairwise_backward(Queue, int n, int d, const float* e, const float* g, const float* scale, float* de) {
  const float twice = 2.0f * *scale;
  parallel(divide_up(n, kRows), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * kRows, rows = min(kRows, n - begin);
    float* out = de + std::ptrdiff_t{begin} * d;
    __builtin_memset(out, 0, sizeof(float) * static_cast<std::size_t>(rows) * d);
    for (int column = 0; column < n; column += kColumns) {
      const int columns = min(kColumns, n - column);
      float s[kRows][kColumns];
      for (int j = 0; j < columns; ++j) {
        const float* transposed = g + std::ptrdiff_t{column + j} * n + begin;
        for (int i = 0; i < rows; ++i)
          s[i][j] = twice * (g[std::ptrdiff_t{begin + i} * n + column + j] + transposed[i]);
      }
      for (int i = 0; i < rows; ++i) {
        add_row(e + std::ptrdiff_t{begin + i} * d, e + std::ptrdiff_t{column} * d, d, s[i], columns,
                out + std::ptrdiff_t{i} * d);
      }
    }
  });
}

}  // namespace gemel::GEMEL_DEVICE
