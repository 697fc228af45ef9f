// SPDX-License-Identifier: MIT
//
// Principal components and t-SNE, in double.
#include "siamese/embedding_map.h"

#include <algorithm>
#include <cmath>
#include <functional>

#include "engine/error.h"
#include "engine/random.h"
#include "kernels/simt/thread_pool.h"

namespace gemel {
namespace {

using Rows = std::vector<double>;  // (n, d)

Rows centred(std::span<const float> embeddings, std::size_t n, std::size_t d) {
  if (embeddings.size() != n * d) {
    throw ShapeError(concat("map: ", embeddings.size(), " numbers are not ", n, " embeddings of ", d));
  }
  if (!std::all_of(embeddings.begin(), embeddings.end(), [](float x) { return std::isfinite(x); })) {
    throw Error("map: an embedding is not finite; the model is not usable");
  }
  Rows rows(embeddings.begin(), embeddings.end());
  for (std::size_t j = 0; j < d; ++j) {
    double mean = 0;
    for (std::size_t i = 0; i < n; ++i) mean += rows[i * d + j] / static_cast<double>(n);
    for (std::size_t i = 0; i < n; ++i) rows[i * d + j] -= mean;
  }
  return rows;
}

// The places of all rows along the direction v of largest spread, which is taken out of the rows.
std::vector<double> take_component(Rows& rows, std::size_t n, std::size_t d) {
  constexpr int kIterations = 100;
  std::vector<double> v(d), along(n);
  Random random(1);
  for (double& x : v) x = random.normal();
  for (int iteration = 0; iteration <= kIterations; ++iteration) {
    double length2 = 0;
    for (const double x : v) length2 += x * x;
    if (!(length2 > 0)) return std::vector<double>(n, 0.0);
    for (double& x : v) x /= std::sqrt(length2);
    for (std::size_t i = 0; i < n; ++i) {
      along[i] = 0;
      for (std::size_t j = 0; j < d; ++j) along[i] += rows[i * d + j] * v[j];
    }
    if (iteration == kIterations) break;
    std::fill(v.begin(), v.end(), 0.0);
    for (std::size_t i = 0; i < n; ++i) {
      for (std::size_t j = 0; j < d; ++j) v[j] += along[i] * rows[i * d + j];
    }
  }
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < d; ++j) rows[i * d + j] -= along[i] * v[j];
  }
  return along;
}

// Row i's p(j|i) for all j, with the bandwidth at which their entropy is that of `perplexity` even neighbours.
void neighbour_shares(const Rows& rows, std::size_t n, std::size_t d, std::size_t i, double perplexity,
                      double* shares) {
  std::vector<double> distance2(n);
  double nearest = INFINITY;
  for (std::size_t j = 0; j < n; ++j) {
    for (std::size_t k = 0; k < d; ++k) {
      const double difference = rows[i * d + k] - rows[j * d + k];
      distance2[j] += difference * difference;
    }
    if (j != i) nearest = std::min(nearest, distance2[j]);
  }
  double mean = 0;
  for (std::size_t j = 0; j < n; ++j) mean += (distance2[j] - nearest) / static_cast<double>(n);
  double low = 0, high = INFINITY, beta = mean > 0 ? 1 / mean : 1;
  for (int step = 0; step < 60; ++step) {
    double sum = 0, weighted = 0;
    for (std::size_t j = 0; j < n; ++j) {
      shares[j] = j == i ? 0 : std::exp(-beta * (distance2[j] - nearest));
      sum += shares[j];
      weighted += shares[j] * (distance2[j] - nearest);
    }
    for (std::size_t j = 0; j < n; ++j) shares[j] /= sum;
    const double entropy = std::log(sum) + beta * weighted / sum;
    (entropy > std::log(perplexity) ? low : high) = beta;
    beta = std::isfinite(high) ? (low + high) / 2 : 2 * beta;
  }
}

void for_each_row(std::size_t n, const std::function<void(std::size_t)>& work) {
  ThreadPool::instance().run(static_cast<int>(n), [&](int i, int) { work(static_cast<std::size_t>(i)); });
}

}  // namespace

std::vector<MapPoint> principal_map(std::span<const float> embeddings, int n, int d) {
  const auto rows_count = static_cast<std::size_t>(n), columns = static_cast<std::size_t>(d);
  Rows rows = centred(embeddings, rows_count, columns);
  const std::vector<double> x = take_component(rows, rows_count, columns);
  const std::vector<double> y = take_component(rows, rows_count, columns);
  std::vector<MapPoint> points(rows_count);
  for (std::size_t i = 0; i < rows_count; ++i) points[i] = {x[i], y[i]};
  return points;
}

std::vector<MapPoint> neighbour_map(std::span<const float> embeddings, int n_rows, int columns, double perplexity) {
  constexpr int kIterations = 750, kExaggerated = 250;
  constexpr double kExaggeration = 12, kLeastStep = 50, kStart = 1e-4;
  const auto n = static_cast<std::size_t>(n_rows), d = static_cast<std::size_t>(columns);
  std::vector<MapPoint> at = principal_map(embeddings, n_rows, columns);
  if (n < 4) return at;
  double spread = 0;
  for (const MapPoint& point : at) spread += point.x * point.x / static_cast<double>(n);
  if (!(spread > 0)) return at;
  for (MapPoint& point : at) {
    point.x *= kStart / std::sqrt(spread);
    point.y *= kStart / std::sqrt(spread);
  }

  // p_ij = (p(j|i) + p(i|j)) / 2n
  const Rows rows = centred(embeddings, n, d);
  Rows conditional(n * n), p(n * n);
  perplexity = std::min(perplexity, static_cast<double>(n - 1) / 3);
  for_each_row(n, [&](std::size_t i) { neighbour_shares(rows, n, d, i, perplexity, &conditional[i * n]); });
  for (std::size_t i = 0; i < n; ++i) {
    for (std::size_t j = 0; j < n; ++j) {
      p[i * n + j] = (conditional[i * n + j] + conditional[j * n + i]) / (2 * static_cast<double>(n));
    }
  }

  // Gradient of KL(p || q), q_ij = w_ij / sum w, w_ij = 1 / (1 + ||y_i - y_j||^2):
  //   4 sum_j (p_ij - q_ij) w_ij (y_i - y_j)
  std::vector<MapPoint> attraction(n), repulsion(n), velocity(n), gain(n, {1, 1});
  std::vector<double> row_weight(n);
  const double step = std::max(static_cast<double>(n) / kExaggeration, kLeastStep);
  for (int iteration = 0; iteration < kIterations; ++iteration) {
    const double exaggeration = iteration < kExaggerated ? kExaggeration : 1;
    const double momentum = iteration < kExaggerated ? 0.5 : 0.8;
    for_each_row(n, [&](std::size_t i) {
      MapPoint pull{0, 0}, push{0, 0};
      double sum = 0;
      for (std::size_t j = 0; j < n; ++j) {
        if (j == i) continue;
        const double x = at[i].x - at[j].x, y = at[i].y - at[j].y;
        const double weight = 1 / (1 + x * x + y * y);
        sum += weight;
        pull.x += p[i * n + j] * weight * x;
        pull.y += p[i * n + j] * weight * y;
        push.x += weight * weight * x;
        push.y += weight * weight * y;
      }
      attraction[i] = pull;
      repulsion[i] = push;
      row_weight[i] = sum;
    });
    double weights = 0;
    for (const double weight : row_weight) weights += weight;
    // Each coordinate with a gain of its own (Jacobs 1988): it grows while the gradient keeps its direction.
    auto move = [&](double gradient, double& moving, double& its_gain, double& place) {
      its_gain = (gradient > 0) != (moving > 0) ? its_gain + 0.2 : std::max(0.8 * its_gain, 0.01);
      moving = momentum * moving - step * its_gain * gradient;
      place += moving;
    };
    for (std::size_t i = 0; i < n; ++i) {
      move(4 * (exaggeration * attraction[i].x - repulsion[i].x / weights), velocity[i].x, gain[i].x, at[i].x);
      move(4 * (exaggeration * attraction[i].y - repulsion[i].y / weights), velocity[i].y, gain[i].y, at[i].y);
    }
  }
  return at;
}

}  // namespace gemel
