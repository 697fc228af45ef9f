// SPDX-License-Identifier: MIT
//
// Retrieval: each row's nearest others. Distances come from the device in strips of rows; ranking is the host's, one row a
// task.
#include <algorithm>
#include <cmath>
#include <unordered_map>

#include "engine/error.h"
#include "kernels/simt/thread_pool.h"
#include "siamese/evaluate.h"
#include "siamese/twin_encoder.h"

namespace gemel {
namespace {

constexpr std::size_t kStripFloats = std::size_t{1} << 24;  // 64 MiB of distances at a time
constexpr int kMaxStripRows = 1024;

struct Candidate {
  float distance;
  bool same;
  // The order of the ranking. Of equal distances those of other identities come first: an encoder that cannot tell two
  // rows apart must not be credited with having found the right one.
  bool operator<(const Candidate& other) const {
    return distance != other.distance ? distance < other.distance : same < other.same;
  }
};

struct Scores {
  double recall_at_1, recall_at_5, r_precision, map_at_r;
};

// R = `others` rows share the query's identity; with q_i = 1 where the i-th nearest does and P(i) the mean of q_1..q_i:
//   R-precision = sum_{i<=R} q_i / R     MAP@R = sum_{i<=R} q_i P(i) / R     (Musgrave et al. 2020, section 3.3)
Scores score(std::vector<Candidate>& candidates, std::size_t others) {
  const std::size_t top = std::min(std::max<std::size_t>(others, 5), candidates.size());
  std::partial_sort(candidates.begin(), candidates.begin() + static_cast<std::ptrdiff_t>(top), candidates.end());
  Scores scores{};
  std::size_t found = 0;
  for (std::size_t i = 0; i < top; ++i) {
    if (!candidates[i].same) continue;
    ++found;
    if (i < 1) scores.recall_at_1 = 1;
    if (i < 5) scores.recall_at_5 = 1;
    if (i < others) {
      scores.r_precision += 1;
      scores.map_at_r += static_cast<double>(found) / static_cast<double>(i + 1);
    }
  }
  scores.r_precision /= static_cast<double>(others);
  scores.map_at_r /= static_cast<double>(others);
  return scores;
}

}  // namespace

Retrieval retrieve(TwinEncoder& encoder, std::span<const float> embeddings, std::span<const std::int32_t> labels) {
  const std::size_t n = labels.size();
  Retrieval result;
  if (n == 0) return result;
  const auto d = static_cast<std::size_t>(encoder.network().embedding_size());
  if (embeddings.size() != n * d) {
    throw ShapeError(concat("retrieval: ", embeddings.size(), " numbers are not ", n, " embeddings of ", d));
  }
  if (!std::all_of(embeddings.begin(), embeddings.end(), [](float x) { return std::isfinite(x); })) {
    throw Error("retrieval: an embedding is not finite; the model is not usable");
  }
  std::unordered_map<std::int32_t, std::size_t> identity_size;
  for (const std::int32_t label : labels) ++identity_size[label];

  Device& device = encoder.device();
  Stream& stream = encoder.stream();
  const std::size_t strip = std::clamp<std::size_t>(kStripFloats / n, 1, kMaxStripRows);
  const Buffer e(device, n * d * sizeof(float)), strip_distances(device, std::min(strip, n) * n * sizeof(float));
  device.upload(stream, e.data(), embeddings.data(), e.bytes());
  std::vector<float> distances(std::min(strip, n) * n);
  std::vector<Scores> scores(n);
  for (std::size_t first = 0; first < n; first += strip) {
    const std::size_t rows = std::min(strip, n - first);
    encoder.metric().pairwise(device.kernels(), device.queue(stream), static_cast<int>(rows), static_cast<int>(n),
                              static_cast<int>(d), e.f32() + first * d, e.f32(), strip_distances.f32());
    device.download(stream, distances.data(), strip_distances.f32(), rows * n * sizeof(float));
    ThreadPool::instance().run(static_cast<int>(rows), [&](int row, int) {
      const std::size_t query = first + static_cast<std::size_t>(row);
      const std::size_t others = identity_size.at(labels[query]) - 1;
      if (others == 0) return;
      const float* distance = distances.data() + static_cast<std::size_t>(row) * n;
      std::vector<Candidate> candidates;
      candidates.reserve(n - 1);
      for (std::size_t j = 0; j < n; ++j) {
        if (j != query) candidates.push_back({distance[j], labels[j] == labels[query]});
      }
      scores[query] = score(candidates, others);
    });
  }
  for (std::size_t query = 0; query < n; ++query) {
    if (identity_size.at(labels[query]) < 2) continue;
    ++result.queries;
    result.recall_at_1 += scores[query].recall_at_1;
    result.recall_at_5 += scores[query].recall_at_5;
    result.r_precision += scores[query].r_precision;
    result.map_at_r += scores[query].map_at_r;
  }
  if (result.queries == 0) return result;
  for (double* mean : {&result.recall_at_1, &result.recall_at_5, &result.r_precision, &result.map_at_r}) {
    *mean /= result.queries;
  }
  return result;
}

}  // namespace gemel
