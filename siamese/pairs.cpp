// SPDX-License-Identifier: MIT
//
// Which pairs are measured.
#include "siamese/pairs.h"

#include <algorithm>
#include <numeric>
#include <unordered_set>

#include "engine/random.h"
#include "siamese/twin_encoder.h"

namespace gemel {
namespace {

constexpr std::size_t kStripRows = 4096;

// All pairs of rows as two numbered lists, same and different. Rows are sorted by label; with `end(i)` the end of i's
// identity, row i is paired with i+1..end-1 (same) and with end..n-1 (different), and prefix sums number these pairs.
class PairNumbers {
 public:
  explicit PairNumbers(std::span<const std::int32_t> labels) : rows_(labels.size()) {
    std::iota(rows_.begin(), rows_.end(), 0);
    std::stable_sort(rows_.begin(), rows_.end(), [&](std::int32_t a, std::int32_t b) {
      return labels[static_cast<std::size_t>(a)] < labels[static_cast<std::size_t>(b)];
    });
    const std::size_t n = rows_.size();
    auto label = [&](std::size_t i) { return labels[static_cast<std::size_t>(rows_[i])]; };
    end_.assign(n, n);
    for (std::size_t i = n; i-- > 1;) end_[i - 1] = label(i - 1) == label(i) ? end_[i] : i;
    for (std::size_t i = 0; i < n; ++i) {
      same_.push_back(same_.back() + (end_[i] - i - 1));
      different_.push_back(different_.back() + (n - end_[i]));
    }
  }

  std::uint64_t count(bool same) const { return (same ? same_ : different_).back(); }

  void append(bool same, std::uint64_t number, PairList& pairs) const {
    const std::vector<std::uint64_t>& before = same ? same_ : different_;
    const auto i =
        static_cast<std::size_t>(std::upper_bound(before.begin(), before.end(), number) - before.begin() - 1);
    const std::size_t j = (same ? i + 1 : end_[i]) + static_cast<std::size_t>(number - before[i]);
    pairs.a.push_back(std::min(rows_[i], rows_[j]));
    pairs.b.push_back(std::max(rows_[i], rows_[j]));
    pairs.same.push_back(same ? 1 : 0);
  }

 private:
  std::vector<std::int32_t> rows_;
  std::vector<std::size_t> end_;
  std::vector<std::uint64_t> same_{0}, different_{0};  // [i]: pairs of rows before i
};

// [0, bound), without bias.
std::uint64_t below(Random& random, std::uint64_t bound) {
  const std::uint64_t unbiased = ~std::uint64_t{0} - ~std::uint64_t{0} % bound;
  for (;;) {
    const std::uint64_t high = random.bits(), low = random.bits();
    const std::uint64_t value = high << 32 | low;
    if (value < unbiased) return value % bound;
  }
}

// `count` different numbers below `bound`, ascending (Floyd's algorithm, Bentley & Floyd, CACM 1987).
std::vector<std::uint64_t> draw(std::uint64_t bound, std::uint64_t count, Random& random) {
  std::vector<std::uint64_t> numbers;
  if (count == bound) {
    numbers.resize(count);
    std::iota(numbers.begin(), numbers.end(), std::uint64_t{0});
    return numbers;
  }
  std::unordered_set<std::uint64_t> taken;
  for (std::uint64_t last = bound - count; last < bound; ++last) {
    const std::uint64_t value = below(random, last + 1);
    numbers.push_back(taken.insert(value).second ? value : last);
    taken.insert(numbers.back());
  }
  std::sort(numbers.begin(), numbers.end());
  return numbers;
}

}  // namespace

PairList make_pairs(std::span<const std::int32_t> labels, std::size_t count, std::uint64_t seed) {
  const PairNumbers numbers(labels);
  const std::uint64_t all_same = numbers.count(true), all_different = numbers.count(false);
  std::uint64_t n_same = all_same, n_different = all_different;
  if (count != 0 && count < all_same + all_different) {
    n_same = std::min<std::uint64_t>(count / 2, all_same);
    n_different = std::min<std::uint64_t>(count - n_same, all_different);
    n_same = std::min<std::uint64_t>(count - n_different, all_same);  // where there are too few different ones
  }
  PairList pairs;
  Random random(seed);
  for (const std::uint64_t number : draw(all_same, n_same, random)) numbers.append(true, number, pairs);
  for (const std::uint64_t number : draw(all_different, n_different, random)) numbers.append(false, number, pairs);
  return pairs;
}

std::vector<float> pair_distances(TwinEncoder& encoder, std::span<const float> embeddings, const PairList& pairs) {
  const auto d = static_cast<std::size_t>(encoder.network().embedding_size());
  const auto gather = [&](std::span<const std::int32_t> rows) {
    std::vector<float> gathered(rows.size() * d);
    for (std::size_t i = 0; i < rows.size(); ++i) {
      std::copy_n(embeddings.data() + static_cast<std::size_t>(rows[i]) * d, d, gathered.data() + i * d);
    }
    return gathered;
  };
  const std::span a(pairs.a), b(pairs.b);
  std::vector<float> distances;
  for (std::size_t first = 0; first < a.size(); first += kStripRows) {
    const std::size_t count = std::min(kStripRows, a.size() - first);
    const std::vector<float> strip =
        encoder.distances(gather(a.subspan(first, count)), gather(b.subspan(first, count)));
    distances.insert(distances.end(), strip.begin(), strip.end());
  }
  return distances;
}

}  // namespace gemel
