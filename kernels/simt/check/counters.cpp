// SPDX-License-Identifier: MIT
#include "kernels/simt/check/counters.h"

#include <algorithm>
#include <bit>
#include <map>
#include <string>
#include <tuple>
#include <utility>

#include "kernels/simt/check/source.h"
#include "kernels/simt/launch_error.h"

namespace gemel::instrument {
namespace {

constexpr unsigned kSector = 32, kBanks = 32, kBankBytes = 4;

template <class Visit>
void for_each_lane(std::uint32_t mask, Visit visit) {
  for (; mask != 0; mask &= mask - 1) visit(std::countr_zero(mask));
}

// As a picture: the request of most lanes, and of those the dearest.
void offer_example(AccessCounters& c, std::uint32_t mask, double cost, const std::array<std::uint64_t, 32>& address) {
  const int lanes = std::popcount(mask), known = std::popcount(c.example_mask);
  if (lanes < known || (lanes == known && cost <= c.example_cost)) return;
  c.example_mask = mask;
  c.example_cost = cost;
  c.example = address;
}

// Another instruction of the same line: an unrolled loop's next turn.
void add(AccessCounters& sum, const AccessCounters& c) {
  sum.requests += c.requests;
  sum.lanes += c.lanes;
  sum.sectors += c.sectors;
  sum.ideal_sectors += c.ideal_sectors;
  sum.bytes_used += c.bytes_used;
  sum.wavefronts += c.wavefronts;
  sum.ideal_wavefronts += c.ideal_wavefronts;
  offer_example(sum, c.example_mask, c.example_cost, c.example);
}

}  // namespace

GlobalCost global_cost(const Request& request, unsigned bytes) {
  // Lanes ask in the order of their addresses mostly; sorted, each sector and each byte is counted as it is first met.
  std::array<std::uint64_t, 32> begins;
  int lanes = 0;
  for_each_lane(request.mask, [&](int lane) { begins[lanes++] = request.address[lane]; });
  std::sort(begins.begin(), begins.begin() + lanes);
  GlobalCost cost{0, 0};
  std::uint64_t next_sector = 0, next_byte = 0;
  for (int i = 0; i < lanes; ++i) {
    const std::uint64_t begin = begins[i], end = begin + bytes;
    const std::uint64_t first = std::max(begin / kSector, next_sector), last = (end - 1) / kSector + 1;
    if (last > first) cost.sectors += static_cast<unsigned>(last - first);
    next_sector = std::max(next_sector, last);
    if (end > next_byte) cost.used += static_cast<unsigned>(end - std::max(begin, next_byte));
    next_byte = std::max(next_byte, end);
  }
  return cost;
}

SharedCost shared_cost(const Request& request, unsigned bytes) {
  // 128 bytes pass at once: the lanes of a warp by halves for 8 bytes each, by quarters for 16.
  const int phases = bytes <= kBankBytes ? 1 : static_cast<int>(bytes / kBankBytes);
  const int lanes = 32 / phases;
  SharedCost cost{0, 0};
  for (int phase = 0; phase < phases; ++phase) {
    const std::uint32_t all = lanes == 32 ? ~0u : (1u << lanes) - 1;
    const std::uint32_t mask = request.mask & (all << (phase * lanes));
    if (mask == 0) continue;
    std::array<std::uint64_t, 32 * 4> words;
    int count = 0;
    for_each_lane(mask, [&](int lane) {
      const std::uint64_t begin = request.address[lane];
      for (std::uint64_t word = begin / kBankBytes; word * kBankBytes < begin + bytes; ++word) words[count++] = word;
    });
    std::sort(words.begin(), words.begin() + count);
    const auto end = std::unique(words.begin(), words.begin() + count);
    std::array<unsigned, kBanks> load{};
    for (auto word = words.begin(); word != end; ++word) ++load[*word % kBanks];
    cost.wavefronts += *std::max_element(load.begin(), load.end());
    ++cost.ideal;
  }
  return cost;
}

void CounterBooks::begin_launch(std::string_view kernel) {
  ++launch_;
  const auto known =
      std::find_if(kernels_.begin(), kernels_.end(), [&](const auto& k) { return k->name.data() == kernel.data(); });
  if (known != kernels_.end()) {
    kernel_ = known->get();
  } else {
    kernels_.push_back(std::make_unique<Kernel>());
    kernel_ = kernels_.back().get();
    kernel_->name = kernel;
  }
  ++kernel_->launches;
  for (Warp& warp : warps_) {
    warp.sites.clear();  // of another kernel, or of a launch that failed
    warp.touched.clear();
  }
}

void CounterBooks::access(Space space, Act act, int thread, std::uint32_t pc, const char* address, unsigned bytes,
                          DeviceBuffer* buffer) {
  if (buffer != nullptr) touch(act, *buffer, address, bytes);
  const std::uint64_t key =
      std::uint64_t{pc} << 16 | bytes << 8 | static_cast<unsigned>(act) << 4 | static_cast<unsigned>(space);
  Recent& recent = recent_[(pc ^ static_cast<unsigned>(act)) % recent_.size()];
  if (recent.key != key || recent.kernel != kernel_) {
    const auto [known, fresh] = kernel_->index.try_emplace(key, static_cast<int>(kernel_->sites.size()));
    if (fresh) {
      AccessCounters counters;
      counters.space = space;
      counters.act = act;
      counters.bytes = bytes;
      kernel_->sites.push_back({pc, counters});
    }
    recent = {key, kernel_, static_cast<std::size_t>(known->second)};
  }
  const std::size_t site = recent.site;
  Warp& warp = warps_[thread >> 5];
  if (warp.sites.size() <= site) warp.sites.resize(site + 1);
  Open& open = warp.sites[site];
  const int lane = thread & 31;
  const std::uint32_t turn = open.count[lane]++;
  if (open.requests.empty()) warp.touched.push_back(static_cast<int>(site));
  if (open.requests.size() <= turn) open.requests.resize(turn + 1);
  open.requests[turn].mask |= 1u << lane;
  open.requests[turn].address[lane] = reinterpret_cast<std::uintptr_t>(address);
}

void CounterBooks::touch(Act act, DeviceBuffer& buffer, const char* address, unsigned bytes) {
  Traffic& traffic = act == Act::read ? kernel_->loads : kernel_->stores;
  auto* seen = reinterpret_cast<std::uint32_t*>((act == Act::read ? buffer.loaded : buffer.stored).data());
  const auto at = static_cast<std::size_t>(address - buffer.begin);
  for (std::size_t sector = at / kSector; sector * kSector < at + bytes; ++sector) {
    if (seen[sector] == launch_) continue;
    seen[sector] = launch_;
    ++traffic.distinct_sectors;
  }
}

void CounterBooks::count(Site& site, const Request& request) {
  AccessCounters& c = site.counters;
  ++c.requests;
  c.lanes += static_cast<unsigned>(std::popcount(request.mask));
  double badness = 0;
  if (c.space == Space::global) {
    const GlobalCost cost = global_cost(request, c.bytes);
    c.sectors += cost.sectors;
    c.ideal_sectors += (cost.used + kSector - 1) / kSector;
    c.bytes_used += cost.used;
    (c.act == Act::read ? kernel_->loads : kernel_->stores).sectors += cost.sectors;
    badness = cost.sectors;
  } else {
    const SharedCost cost = shared_cost(request, c.bytes);
    c.wavefronts += cost.wavefronts;
    c.ideal_wavefronts += cost.ideal;
    badness = cost.wavefronts;
  }
  offer_example(c, request.mask, badness, request.address);
}

void CounterBooks::flush(int number) {
  Warp& warp = warps_[number];
  for (const int site : warp.touched) {
    Open& open = warp.sites[static_cast<std::size_t>(site)];
    for (const Request& request : open.requests) count(kernel_->sites[static_cast<std::size_t>(site)], request);
    open.requests.clear();
    open.count.fill(0);
  }
  warp.touched.clear();
}

void CounterBooks::barrier() {
  for (int warp = 0; warp < 32; ++warp) flush(warp);
}

std::vector<KernelCounters> CounterBooks::take() {
  std::vector<std::uint32_t> addresses;
  for (const auto& kernel : kernels_) {
    for (const Site& site : kernel->sites) addresses.push_back(site.pc);
  }
  look_up(addresses);
  std::vector<KernelCounters> result;
  for (const auto& kernel : kernels_) {
    KernelCounters counters;
    counters.kernel = kernel_name(kernel->name);
    counters.launches = kernel->launches;
    counters.loads = kernel->loads;
    counters.stores = kernel->stores;
    std::map<std::tuple<std::string, int, Space, Act, unsigned>, AccessCounters> lines;
    for (Site& site : kernel->sites) {
      AccessCounters& c = site.counters;
      c.source = source_of(site.pc);
      const auto [known, fresh] = lines.try_emplace({c.source.file, c.source.line, c.space, c.act, c.bytes}, c);
      if (!fresh) add(known->second, c);
    }
    for (auto& [line, sum] : lines) counters.accesses.push_back(std::move(sum));
    result.push_back(std::move(counters));
  }
  kernels_.clear();
  recent_.fill({});
  kernel_ = nullptr;
  return result;
}

}  // namespace gemel::instrument
