// SPDX-License-Identifier: MIT
//
// Folds: dealing them out, and judging each by the others.
#include "siamese/k_fold.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "engine/error.h"
#include "engine/random.h"
#include "siamese/evaluate.h"

namespace gemel {
namespace {

template <class T>
void shuffle(std::vector<T>& items, Random& random) {
  for (std::size_t i = items.size(); i > 1; --i) {
    std::swap(items[i - 1], items[static_cast<std::size_t>(random.below(static_cast<int>(i)))]);
  }
}

// The rows of each fold. Identities with two images or more come first, so that every fold gets one of them.
std::vector<std::vector<int>> deal_identities(const std::vector<std::vector<int>>& rows_of, int folds, Random& random) {
  std::vector<std::size_t> order(rows_of.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  shuffle(order, random);
  std::stable_partition(order.begin(), order.end(), [&](std::size_t i) { return rows_of[i].size() >= 2; });
  std::vector<std::vector<int>> fold_rows(static_cast<std::size_t>(folds));
  for (std::size_t i = 0; i < order.size(); ++i) {
    std::vector<int>& fold = fold_rows[i % fold_rows.size()];
    fold.insert(fold.end(), rows_of[order[i]].begin(), rows_of[order[i]].end());
  }
  return fold_rows;
}

// Each identity's images in parts of two or more, one part a fold as far as they go; the next identity goes on where the
// last one ended.
std::vector<std::vector<int>> deal_images(std::vector<std::vector<int>> rows_of, int folds, Random& random) {
  std::vector<std::vector<int>> fold_rows(static_cast<std::size_t>(folds));
  std::size_t next = 0;
  for (std::vector<int>& rows : rows_of) {
    shuffle(rows, random);
    const std::size_t parts = std::clamp<std::size_t>(rows.size() / 2, 1, fold_rows.size());
    for (std::size_t part = 0; part < parts; ++part, ++next) {
      std::vector<int>& fold = fold_rows[next % fold_rows.size()];
      const auto begin = static_cast<std::ptrdiff_t>(part * rows.size() / parts);
      const auto end = static_cast<std::ptrdiff_t>((part + 1) * rows.size() / parts);
      fold.insert(fold.end(), rows.begin() + begin, rows.begin() + end);
    }
  }
  return fold_rows;
}

}  // namespace

KFold k_fold(std::span<const float> distances, std::span<const std::uint8_t> same, std::span<const int> fold,
             int folds) {
  if (folds < 2) throw Error(concat("k-fold: ", folds, " folds; at least 2"));
  KFold result;
  result.pairs = distances.size();
  for (int held_out = 0; held_out < folds; ++held_out) {
    std::vector<float> others;
    std::vector<std::uint8_t> others_same;
    for (std::size_t i = 0; i < distances.size(); ++i) {
      if (fold[i] == held_out) continue;
      others.push_back(distances[i]);
      others_same.push_back(same[i]);
    }
    const float threshold = verify_pairs(others, others_same).best_threshold;
    double pairs[2] = {0, 0}, right[2] = {0, 0};  // different, same
    for (std::size_t i = 0; i < distances.size(); ++i) {
      if (fold[i] != held_out) continue;
      const std::size_t kind = same[i] != 0 ? 1 : 0;
      pairs[kind] += 1;
      right[kind] += (distances[i] <= threshold) == (kind == 1) ? 1 : 0;
    }
    if (pairs[0] == 0 || pairs[1] == 0)
      throw Error(concat("k-fold: fold ", held_out + 1, " has pairs of one kind only"));
    result.threshold.push_back(threshold);
    result.accuracy.push_back((right[0] / pairs[0] + right[1] / pairs[1]) / 2);
    result.mean += result.accuracy.back() / folds;
  }
  double squares = 0;
  for (const double accuracy : result.accuracy) squares += (accuracy - result.mean) * (accuracy - result.mean);
  result.standard_error = std::sqrt(squares / (folds - 1) / folds);
  return result;
}

FoldedPairs fold_pairs(std::span<const std::int32_t> labels, int folds, std::size_t count, std::uint64_t seed,
                       const std::string& source) {
  std::vector<std::vector<int>> rows_of;
  for (std::size_t i = 0; i < labels.size(); ++i) {
    const auto identity = static_cast<std::size_t>(labels[i]);
    if (rows_of.size() <= identity) rows_of.resize(identity + 1);
    rows_of[identity].push_back(static_cast<int>(i));
  }
  const auto with_pairs = static_cast<int>(
      std::count_if(rows_of.begin(), rows_of.end(), [](const std::vector<int>& rows) { return rows.size() >= 2; }));
  FoldedPairs result;
  result.disjoint_identities = static_cast<int>(rows_of.size()) >= 2 * folds && with_pairs >= folds;
  Random random(seed);
  const std::vector<std::vector<int>> fold_rows =
      result.disjoint_identities ? deal_identities(rows_of, folds, random) : deal_images(rows_of, folds, random);
  const std::size_t share = std::max<std::size_t>(2, count / static_cast<std::size_t>(folds));
  for (int fold = 0; fold < folds; ++fold) {
    const std::vector<int>& rows = fold_rows[static_cast<std::size_t>(fold)];
    std::vector<std::int32_t> fold_labels;
    for (const int row : rows) fold_labels.push_back(labels[static_cast<std::size_t>(row)]);
    const std::uint64_t all = std::uint64_t{rows.size()} * (rows.size() - (rows.empty() ? 0 : 1)) / 2;
    const bool take_all = count == 0 || all <= kAllPairs / static_cast<std::uint64_t>(folds);
    const PairList drawn = rows.empty()
                               ? PairList{}
                               : make_pairs(fold_labels, take_all ? 0 : share, seed + static_cast<std::uint64_t>(fold));
    const auto same = std::count(drawn.same.begin(), drawn.same.end(), 1);
    if (same == 0 || static_cast<std::size_t>(same) == drawn.size()) {
      throw InputError(concat(source, ": too few images of an identity for ", folds,
                              " folds that share none; each takes two of one identity and one of another"));
    }
    for (std::size_t i = 0; i < drawn.size(); ++i) {
      result.pairs.a.push_back(rows[static_cast<std::size_t>(drawn.a[i])]);
      result.pairs.b.push_back(rows[static_cast<std::size_t>(drawn.b[i])]);
      result.pairs.same.push_back(drawn.same[i]);
      result.fold.push_back(fold);
    }
  }
  return result;
}

}  // namespace gemel
