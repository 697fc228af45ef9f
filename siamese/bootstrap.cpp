// SPDX-License-Identifier: MIT
//
// Pairs are sorted once; a round is one pass over them with the weights that its draw gives.
#include "siamese/bootstrap.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <vector>

#include "engine/random.h"
#include "kernels/simt/thread_pool.h"
#include "siamese/roc_sweep.h"

namespace gemel {
namespace {

// The pairs in ascending order of distance, as units.
struct Sorted {
  std::vector<std::int32_t> a, b;
  std::vector<std::uint8_t> same, last;  // last: of a group of equal distance
  std::size_t accepted = 0;              // pairs within the threshold
  int units = 0;
  bool of_identities = false;

  std::uint32_t weight(std::size_t i, const std::vector<std::uint32_t>& times) const {
    const std::uint32_t first = times[static_cast<std::size_t>(a[i])];
    return of_identities && same[i] != 0 ? first : first * times[static_cast<std::size_t>(b[i])];
  }
};

struct Round {
  RocFigures figures;
  double accuracy;
};

Sorted sorted(std::span<const float> distances, const PairList& pairs, std::span<const std::int32_t> labels,
              float threshold) {
  std::vector<std::size_t> order(distances.size());
  std::iota(order.begin(), order.end(), std::size_t{0});
  std::stable_sort(order.begin(), order.end(),
                   [&](std::size_t x, std::size_t y) { return distances[x] < distances[y]; });
  Sorted result;
  const int identities = 1 + *std::max_element(labels.begin(), labels.end());
  result.of_identities = identities >= kLeastIdentities;
  result.units = result.of_identities ? identities : static_cast<int>(labels.size());
  auto unit = [&](std::int32_t row) { return result.of_identities ? labels[static_cast<std::size_t>(row)] : row; };
  for (std::size_t i = 0; i < order.size(); ++i) {
    const std::size_t pair = order[i];
    result.a.push_back(unit(pairs.a[pair]));
    result.b.push_back(unit(pairs.b[pair]));
    result.same.push_back(pairs.same[pair]);
    result.last.push_back(i + 1 == order.size() || distances[order[i + 1]] != distances[pair] ? 1 : 0);
    if (distances[pair] <= threshold) result.accepted = i + 1;
  }
  return result;
}

// None where the draw has no pair of one kind.
std::optional<Round> measure(const Sorted& pairs, const std::vector<std::uint32_t>& times) {
  std::int64_t total[2] = {0, 0}, accepted[2] = {0, 0};  // different, same
  for (std::size_t i = 0; i < pairs.a.size(); ++i) {
    if (i == pairs.accepted) std::copy_n(total, 2, accepted);
    total[pairs.same[i] != 0 ? 1 : 0] += pairs.weight(i, times);
  }
  if (pairs.accepted == pairs.a.size()) std::copy_n(total, 2, accepted);
  if (total[0] == 0 || total[1] == 0) return std::nullopt;
  RocSweep sweep(total[1], total[0], 0);
  std::int64_t group[2] = {0, 0};
  for (std::size_t i = 0; i < pairs.a.size(); ++i) {
    group[pairs.same[i] != 0 ? 1 : 0] += pairs.weight(i, times);
    if (pairs.last[i] == 0) continue;
    if (group[0] + group[1] > 0) sweep.add(group[1], group[0], 0);  // thresholds are not asked for
    group[0] = group[1] = 0;
  }
  const double tar = static_cast<double>(accepted[1]) / static_cast<double>(total[1]);
  const double far = static_cast<double>(accepted[0]) / static_cast<double>(total[0]);
  return Round{sweep.figures(), (tar + 1 - far) / 2};
}

// From the 2.5th to the 97.5th percentile, between neighbours on a straight line.
template <class Figure>
Interval interval(const std::vector<Round>& rounds, Figure figure) {
  std::vector<double> values;
  for (const Round& round : rounds) values.push_back(figure(round));
  std::sort(values.begin(), values.end());
  auto percentile = [&](double share) {
    const double at = share * static_cast<double>(values.size() - 1);
    const auto below = static_cast<std::size_t>(at);
    const std::size_t above = std::min(below + 1, values.size() - 1);
    return values[below] + (at - static_cast<double>(below)) * (values[above] - values[below]);
  };
  return {percentile(0.025), percentile(0.975)};
}

}  // namespace

Intervals bootstrap(std::span<const float> distances, const PairList& pairs, std::span<const std::int32_t> labels,
                    float threshold, int rounds, std::uint64_t seed) {
  const Sorted all = sorted(distances, pairs, labels, threshold);
  std::vector<std::optional<Round>> measured(static_cast<std::size_t>(rounds));
  ThreadPool::instance().run(rounds, [&](int round, int) {
    Random random(seed, static_cast<std::uint64_t>(round));
    std::vector<std::uint32_t> times(static_cast<std::size_t>(all.units));
    for (int draw = 0; draw < all.units; ++draw) ++times[static_cast<std::size_t>(random.below(all.units))];
    measured[static_cast<std::size_t>(round)] = measure(all, times);
  });
  std::vector<Round> usable;
  for (const std::optional<Round>& round : measured) {
    if (round) usable.push_back(*round);
  }
  Intervals result;
  result.units = all.units;
  result.of_identities = all.of_identities;
  result.rounds = static_cast<int>(usable.size());
  result.threshold = threshold;
  if (usable.empty()) return result;
  result.auc = interval(usable, [](const Round& r) { return r.figures.auc; });
  result.eer = interval(usable, [](const Round& r) { return r.figures.eer; });
  result.best_accuracy = interval(usable, [](const Round& r) { return r.figures.best_accuracy; });
  result.accuracy = interval(usable, [](const Round& r) { return r.accuracy; });
  result.tar_at_far_1e2 = interval(usable, [](const Round& r) { return r.figures.tar_at_far_1e2; });
  result.tar_at_far_1e3 = interval(usable, [](const Round& r) { return r.figures.tar_at_far_1e3; });
  return result;
}

}  // namespace gemel
