// SPDX-License-Identifier: MIT
//
// Whether embeddings still use their space: distances, spread, and the effective rank of their covariance.
#include <algorithm>
#include <cmath>

#include "engine/error.h"
#include "siamese/evaluate.h"

namespace gemel {
namespace {

constexpr std::size_t kMaxRows = 4096, kMaxMatrix = 512;

using Matrix = std::vector<double>;  // (size, size), symmetric

// The diagonal and the squares of the off-diagonal of a tridiagonal matrix with the eigenvalues of `a`: Householder
// reflections (Golub & Van Loan, Matrix Computations, algorithm 8.3.1).
std::pair<std::vector<double>, std::vector<double>> tridiagonalize(Matrix a, std::size_t size) {
  std::vector<double> diagonal(size), squares(size, 0.0), v(size), w(size);
  for (std::size_t k = 0; k + 1 < size; ++k) {
    double norm2 = 0;
    for (std::size_t i = k + 1; i < size; ++i) {
      v[i] = a[i * size + k];
      norm2 += v[i] * v[i];
    }
    squares[k] = norm2;
    // Reflecting v, column k below the diagonal, onto its first axis; none is needed where it lies there.
    v[k + 1] += v[k + 1] >= 0 ? std::sqrt(norm2) : -std::sqrt(norm2);
    double length2 = 0;
    for (std::size_t i = k + 1; i < size; ++i) length2 += v[i] * v[i];
    if (!(length2 > 0)) continue;
    double inner = 0;  // w = p - (p v / v v) v with p = 2 A v / v v; A <- A - v w^T - w v^T
    for (std::size_t i = k + 1; i < size; ++i) {
      w[i] = 0;
      for (std::size_t j = k + 1; j < size; ++j) w[i] += a[i * size + j] * v[j];
      w[i] *= 2 / length2;
      inner += w[i] * v[i];
    }
    for (std::size_t i = k + 1; i < size; ++i) w[i] -= inner / length2 * v[i];
    for (std::size_t i = k + 1; i < size; ++i) {
      for (std::size_t j = k + 1; j < size; ++j) a[i * size + j] -= v[i] * w[j] + w[i] * v[j];
    }
  }
  for (std::size_t i = 0; i < size; ++i) diagonal[i] = a[i * size + i];
  return {std::move(diagonal), std::move(squares)};
}

// Eigenvalues of a positive semi-definite matrix, ascending, each by bisection: the pivots of T - x I that are negative
// count the eigenvalues below x (Golub & Van Loan, section 8.4.2).
std::vector<double> eigenvalues(const Matrix& a, std::size_t size) {
  const auto [diagonal, squares] = tridiagonalize(a, size);
  auto count_below = [&diagonal = diagonal, &squares = squares](double x) {
    std::size_t count = 0;
    double pivot = 1;
    for (std::size_t i = 0; i < diagonal.size(); ++i) {
      pivot = diagonal[i] - x - (i > 0 ? squares[i - 1] / pivot : 0);
      if (pivot == 0) pivot = 1e-300;
      count += pivot < 0 ? 1 : 0;
    }
    return count;
  };
  double trace = 0;
  for (const double x : diagonal) trace += x;
  std::vector<double> values(size);
  for (std::size_t k = 0; k < size; ++k) {
    double low = 0, high = trace;  // none is larger than their sum
    for (int halving = 0; halving < 52; ++halving) {
      const double middle = (low + high) / 2;
      (count_below(middle) > k ? high : low) = middle;
    }
    values[k] = (low + high) / 2;
  }
  return values;
}

// exp(entropy) of the eigenvalues as shares of their sum: 1 for a line, D where all directions are used alike.
double effective_rank(const std::vector<double>& values) {
  double sum = 0, entropy = 0;
  for (const double value : values) sum += value;
  if (!(sum > 0)) return 0;
  for (const double value : values) {
    const double share = value / sum;
    if (share > 0) entropy -= share * std::log(share);
  }
  return std::exp(entropy);
}

// x (rows, d), centred, of `count` evenly spaced rows.
std::vector<double> centred_rows(std::span<const float> embeddings, std::size_t n, std::size_t d, std::size_t count,
                                 const std::vector<double>& mean) {
  std::vector<double> x(count * d);
  for (std::size_t i = 0; i < count; ++i) {
    const float* row = embeddings.data() + i * n / count * d;
    for (std::size_t j = 0; j < d; ++j) x[i * d + j] = row[j] - mean[j];
  }
  return x;
}

// x^T x (d, d), or, with fewer rows than columns, x x^T (rows, rows): the same eigenvalues but for zeros.
std::pair<Matrix, std::size_t> scatter(const std::vector<double>& x, std::size_t rows, std::size_t d) {
  const bool by_rows = rows < d;
  const std::size_t size = by_rows ? rows : d;
  Matrix a(size * size, 0.0);
  if (by_rows) {
    for (std::size_t i = 0; i < rows; ++i) {
      for (std::size_t j = 0; j <= i; ++j) {
        double sum = 0;
        for (std::size_t k = 0; k < d; ++k) sum += x[i * d + k] * x[j * d + k];
        a[i * size + j] = a[j * size + i] = sum;
      }
    }
  } else {
    for (std::size_t row = 0; row < rows; ++row) {
      const double* v = x.data() + row * d;
      for (std::size_t i = 0; i < d; ++i) {
        for (std::size_t j = 0; j <= i; ++j) a[i * size + j] += v[i] * v[j];
      }
    }
    for (std::size_t i = 0; i < d; ++i) {
      for (std::size_t j = 0; j < i; ++j) a[j * size + i] = a[i * size + j];
    }
  }
  return {std::move(a), size};
}

}  // namespace

EmbeddingHealth embedding_health(std::span<const float> embeddings, int n, int d, std::span<const float> distances,
                                 std::span<const std::uint8_t> same) {
  const auto rows = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(d);
  if (n < 1 || d < 1 || embeddings.size() != rows * columns || distances.size() != same.size()) {
    throw ShapeError(concat("embedding health: ", embeddings.size(), " numbers are not ", n, " embeddings of ", d,
                            ", or ", distances.size(), " distances not those of ", same.size(), " pairs"));
  }
  EmbeddingHealth health;
  std::size_t n_same = 0;
  for (std::size_t i = 0; i < distances.size(); ++i) {
    (same[i] != 0 ? health.mean_same : health.mean_different) += distances[i];
    n_same += same[i] != 0 ? 1 : 0;
  }
  const std::size_t n_different = distances.size() - n_same;
  if (n_same > 0) health.mean_same /= static_cast<double>(n_same);
  if (n_different > 0) health.mean_different /= static_cast<double>(n_different);

  std::vector<double> mean(columns, 0.0);
  double mean_norm = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    double norm2 = 0;
    for (std::size_t j = 0; j < columns; ++j) {
      const double x = embeddings[i * columns + j];
      mean[j] += x;
      norm2 += x * x;
    }
    mean_norm += std::sqrt(norm2) / n;
  }
  for (double& x : mean) x /= n;
  double variance = 0;
  for (std::size_t i = 0; i < rows; ++i) {
    for (std::size_t j = 0; j < columns; ++j) {
      const double x = embeddings[i * columns + j] - mean[j];
      variance += x * x / n;
    }
  }
  health.spread = std::sqrt(variance);
  const std::size_t sampled = std::min(rows, columns > kMaxMatrix ? kMaxMatrix : kMaxRows);
  if (variance > 0) {
    const auto [matrix, size] = scatter(centred_rows(embeddings, rows, columns, sampled, mean), sampled, columns);
    health.effective_rank = effective_rank(eigenvalues(matrix, size));
  }
  // Written so that NaN counts as collapsed.
  const bool spread_out = health.spread >= 1e-2 * mean_norm && health.spread > 0;
  const bool apart = n_same == 0 || n_different == 0 || health.mean_same < 0.99 * health.mean_different;
  health.collapsed = !(spread_out && apart);
  return health;
}

}  // namespace gemel
