// SPDX-License-Identifier: MIT
#include "tests/reference/profile_case.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>

namespace gemel::reference {
namespace {

// About what the instrument counts in ten seconds.
constexpr double kMostFlops = 7e7, kMostBytes = 1.2e8;

double work(const OpCase& c) { return c.cost.flops + c.cost.bytes; }

}  // namespace

std::vector<OpCase> profile_cases() {
  std::vector<OpCase> chosen;
  std::map<std::string, std::size_t> index;
  const auto slot = [&](const OpCase& c) -> OpCase& {
    const auto [known, fresh] = index.try_emplace(c.op, chosen.size());
    if (fresh) chosen.emplace_back();
    return chosen[known->second];
  };
  for (OpCase& c : all_cases(Depth::quick)) {
    OpCase& best = slot(c);
    if (best.op.empty() || work(c) > work(best)) best = std::move(c);
  }
  std::vector<bool> timed(chosen.size(), false);
  for (OpCase& c : all_cases(Depth::full)) {
    if (!c.bench || c.cost.flops > kMostFlops || c.cost.bytes > kMostBytes) continue;
    OpCase& best = slot(c);
    timed.resize(chosen.size(), false);
    const std::size_t at = index.at(c.op);
    if (timed[at] && work(c) >= work(best)) continue;
    timed[at] = true;
    best = std::move(c);
  }
  return chosen;
}

std::vector<OpCase> contract_cases() {
  static constexpr std::pair<const char*, const char*> kMore[] = {
      {"conv_block_backward", "n=2 33x31x1 -> 20 @5x5 relu pool no dx"},
      {"conv_block_forward", "n=2 33x31x1 -> 20 @5x5 relu pool integers"},
      {"conv_block_backward", "n=2 12x12x20 -> 50 @5x5 relu pool no bias"},
      {"conv_block_forward", "n=1 9x8x131 -> 35 @3x3 stride 2,1 pad 1,0 relu pool"},
      {"residual_add", "n=32 35x35x64 + 35x35x64"},
      {"mined_triplet", "semi_hard squared n=128 d=128 most 7 groups of 8"},
      {"mined_triplet", "batch_hard squared n=128 d=128 most 1 groups of 8"}};
  std::vector<OpCase> cases = profile_cases();
  for (OpCase& c : all_cases(Depth::full)) {
    const auto wanted = [&](const auto& more) { return c.op == more.first && c.shape == more.second; };
    if (std::any_of(std::begin(kMore), std::end(kMore), wanted)) cases.push_back(std::move(c));
  }
  return cases;
}

}  // namespace gemel::reference
