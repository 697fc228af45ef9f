// SPDX-License-Identifier: MIT
//
// The samplers, over one structure: the rows of each identity.
#include "siamese/sampler.h"

#include <algorithm>
#include <map>
#include <numeric>

#include "engine/error.h"

namespace gemel {
namespace {

// Rows by identity, identities in ascending order of their labels.
using Groups = std::vector<std::vector<std::int32_t>>;

Groups group_rows(std::span<const std::int32_t> labels) {
  std::map<std::int32_t, std::vector<std::int32_t>> by_label;
  for (std::size_t i = 0; i < labels.size(); ++i) by_label[labels[i]].push_back(static_cast<std::int32_t>(i));
  Groups groups;
  for (auto& [label, rows] : by_label) groups.push_back(std::move(rows));
  return groups;
}

void check_groups(const Groups& groups) {
  if (groups.size() < 2) throw InputError("training needs at least two identities, to learn what differs");
  if (std::none_of(groups.begin(), groups.end(), [](const auto& rows) { return rows.size() > 1; })) {
    throw InputError("training needs identities with two images or more, to learn what stays the same");
  }
}

void shuffle(std::span<std::int32_t> values, Random& random) {
  for (std::size_t i = values.size(); i > 1; --i) {
    std::swap(values[i - 1], values[static_cast<std::size_t>(random.below(static_cast<int>(i)))]);
  }
}

// Hands out its values in random order, each once before any a second time.
class Epoch {
 public:
  explicit Epoch(std::vector<std::int32_t> values) : values_(std::move(values)), at_(values_.size()) {}
  std::int32_t next(Random& random) {
    if (at_ == values_.size()) {
      shuffle(values_, random);
      at_ = 0;
    }
    return values_[at_++];
  }

 private:
  std::vector<std::int32_t> values_;
  std::size_t at_;
};

std::vector<std::int32_t> first_numbers(std::size_t count) {
  std::vector<std::int32_t> numbers(count);
  std::iota(numbers.begin(), numbers.end(), 0);
  return numbers;
}

class BalancedPairs final : public Sampler {
 public:
  BalancedPairs(std::span<const std::int32_t> labels, int pairs, std::uint64_t seed)
      : groups_(group_rows(labels)),
        group_of_(labels.size()),
        place_(labels.size()),
        pairs_(pairs),
        random_(seed),
        same_anchors_({}),
        different_anchors_(first_numbers(labels.size())) {
    if (pairs < 1) throw InputError(concat("a batch has at least 1 pair, not ", pairs));
    check_groups(groups_);
    std::vector<std::int32_t> partnered;
    for (std::size_t g = 0; g < groups_.size(); ++g) {
      for (std::size_t i = 0; i < groups_[g].size(); ++i) {
        const auto row = static_cast<std::size_t>(groups_[g][i]);
        group_of_[row] = static_cast<int>(g);
        place_[row] = static_cast<int>(i);
      }
      if (groups_[g].size() > 1) partnered.insert(partnered.end(), groups_[g].begin(), groups_[g].end());
    }
    same_anchors_ = Epoch(std::move(partnered));
  }

  int rows() const override { return 2 * pairs_; }
  int alike() const override { return rows(); }

  void next(std::span<std::int32_t> index) override {
    const auto pairs = static_cast<std::size_t>(pairs_);
    if (index.size() != 2 * pairs) throw Error(concat("sampler: ", index.size(), " places for ", 2 * pairs, " rows"));
    for (std::size_t i = 0; i < pairs; ++i) {
      same_next_ = !same_next_;
      index[i] = (same_next_ ? same_anchors_ : different_anchors_).next(random_);
      index[pairs + i] = same_next_ ? partner(index[i]) : stranger(index[i]);
    }
  }

  std::string describe() const override { return concat(pairs_, " pairs, half of them same"); }

 private:
  // Another image of the anchor's identity: one of the others, the anchor's own place skipped.
  std::int32_t partner(std::int32_t anchor) {
    const auto& rows = groups_[static_cast<std::size_t>(group_of_[static_cast<std::size_t>(anchor)])];
    int choice = random_.below(static_cast<int>(rows.size()) - 1);
    if (choice >= place_[static_cast<std::size_t>(anchor)]) ++choice;
    return rows[static_cast<std::size_t>(choice)];
  }

  std::int32_t stranger(std::int32_t anchor) {
    int group = random_.below(static_cast<int>(groups_.size()) - 1);
    if (group >= group_of_[static_cast<std::size_t>(anchor)]) ++group;
    const auto& rows = groups_[static_cast<std::size_t>(group)];
    return rows[static_cast<std::size_t>(random_.below(static_cast<int>(rows.size())))];
  }

  Groups groups_;
  std::vector<int> group_of_, place_;  // of each row: its group, and where in it
  int pairs_;
  Random random_;
  Epoch same_anchors_, different_anchors_;
  bool same_next_ = false;
};

class IdentitiesByImages final : public Sampler {
 public:
  IdentitiesByImages(std::span<const std::int32_t> labels, int p, int k, std::uint64_t seed)
      : groups_(group_rows(labels)), p_(p), k_(k), random_(seed), order_(first_numbers(groups_.size())) {
    if (p < 2 || k < 2) throw InputError(concat("a batch has at least 2 identities x 2 images, not ", p, " x ", k));
    check_groups(groups_);
    if (groups_.size() < static_cast<std::size_t>(p)) {
      throw InputError(concat("a batch of ", p, " identities needs as many in the data, which has ", groups_.size()));
    }
  }

  int rows() const override { return p_ * k_; }
  int alike() const override { return k_; }

  void next(std::span<std::int32_t> index) override {
    const auto p = static_cast<std::size_t>(p_), k = static_cast<std::size_t>(k_);
    if (index.size() != p * k) throw Error(concat("sampler: ", index.size(), " places for ", p * k, " rows"));
    for (std::size_t i = 0; i < p; ++i) {
      const auto group = static_cast<std::size_t>(next_identity(i));
      pick_images(group, index.subspan(i * k, k));
    }
  }

  std::string describe() const override { return concat(p_, " identities x ", k_, " images"); }

 private:
  // The i-th identity of a batch. Where an epoch ends inside a batch, the next one is shuffled and those that the batch
  // holds already are put off: moved behind the others.
  std::int32_t next_identity(std::size_t i) {
    if (i == 0) taken_.clear();
    if (at_ == order_.size()) {
      shuffle(order_, random_);
      std::stable_partition(order_.begin(), order_.end(), [&](std::int32_t group) {
        return std::find(taken_.begin(), taken_.end(), group) == taken_.end();
      });
      at_ = 0;
    }
    taken_.push_back(order_[at_]);
    return order_[at_++];
  }

  // Identities with fewer than k images give all of them before any again.
  void pick_images(std::size_t group, std::span<std::int32_t> to) {
    std::vector<std::int32_t>& rows = groups_[group];
    for (std::size_t i = 0; i < to.size(); ++i) {
      const std::size_t place = i % rows.size();  // a step of Fisher and Yates' shuffle
      const auto other = place + static_cast<std::size_t>(random_.below(static_cast<int>(rows.size() - place)));
      std::swap(rows[place], rows[other]);
      to[i] = rows[place];
    }
  }

  Groups groups_;  // an identity's rows change their order as they are drawn
  int p_, k_;
  Random random_;
  std::vector<std::int32_t> order_;  // of identities, in this epoch
  std::size_t at_ = order_.size();
  std::vector<std::int32_t> taken_;  // by this batch
};

}  // namespace

std::unique_ptr<Sampler> balanced_pairs(std::span<const std::int32_t> labels, int pairs, std::uint64_t seed) {
  return std::make_unique<BalancedPairs>(labels, pairs, seed);
}

std::unique_ptr<Sampler> identities_by_images(std::span<const std::int32_t> labels, int p, int k, std::uint64_t seed) {
  return std::make_unique<IdentitiesByImages>(labels, p, k, seed);
}

}  // namespace gemel
