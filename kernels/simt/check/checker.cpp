// SPDX-License-Identifier: MIT
#include "kernels/simt/check/checker.h"

#include <link.h>

#include <algorithm>
#include <cstring>
#include <string>
#include <vector>

#include "kernels/simt/check/source.h"

namespace gemel::instrument {

[[gnu::tls_model("initial-exec")]] thread_local constinit bool watching = false;
[[gnu::tls_model("initial-exec")]] thread_local constinit int current_thread = 0;

namespace {

struct Range {
  const char* begin = nullptr;
  std::size_t bytes = 0;
  bool holds(const char* address) const {
    return reinterpret_cast<std::uintptr_t>(address) - reinterpret_cast<std::uintptr_t>(begin) < bytes;
  }
};

// Statics of the program and the calling thread's thread_local ones: threadIdx and the like, tables of constants.
struct Statics {
  std::vector<Range> constants, variables;
  Range of_thread;
};

Statics find_statics() {
  Statics statics;
  dl_iterate_phdr(
      [](dl_phdr_info* info, std::size_t, void* out) {
        auto& found = *static_cast<Statics*>(out);
        for (int i = 0; i < info->dlpi_phnum; ++i) {
          const auto& segment = info->dlpi_phdr[i];
          const Range range{reinterpret_cast<const char*>(info->dlpi_addr + segment.p_vaddr), segment.p_memsz};
          if (segment.p_type == PT_LOAD) (segment.p_flags & PF_W ? found.variables : found.constants).push_back(range);
          if (segment.p_type == PT_TLS) found.of_thread = {static_cast<const char*>(info->dlpi_tls_data), range.bytes};
        }
        return 1;
      },
      &statics);
  return statics;
}

struct Checker {
  Options options;
  LaunchFacts launch{};
  Range parameters, stacks, shared;
  std::vector<Range> pieces;  // of shared memory
  Statics statics;
  Extent block_index{};
  std::uint32_t launch_first_block = 1;
  Clocks clocks;
  std::vector<Cell> shared_cells;
  DeviceMemory memory;
  Reports reports;
  CounterBooks counters;
};

// Made at first use and never unmade: device buffers of static duration are released after it would have been.
Checker* made = nullptr;
Checker& checker() {
  if (made == nullptr) [[unlikely]]
    made = new Checker;
  return *made;
}

struct Access {
  const char* address;
  unsigned bytes;
  Act act;
  std::uint32_t pc;
};

const char* verb(Act act) {
  return act == Act::read ? "reads " : act == Act::write ? "writes " : "atomically changes ";
}
std::string amount(unsigned bytes) { return std::to_string(bytes) + (bytes == 1 ? " byte" : " bytes"); }

Spot here(const Checker& c, std::uint32_t pc) { return {pc, nullptr, 0, c.block_index, current_thread}; }

template <class Describe>
void complain(Checker& c, Kind kind, const Access& a, Describe describe) {
  c.reports.add(kind, c.launch.kernel, here(c, a.pc), nullptr, [&] { return verb(a.act) + describe(); });
}

Extent index_of_block(const Checker& c, std::uint32_t block) {
  const std::uint32_t number = block - c.launch_first_block;
  const Extent& grid = c.launch.grid;
  return {number % grid.x, number / grid.x % grid.y, number / grid.x / grid.y};
}

void complain_of_race(Checker& c, const Access& a, const Conflict& conflict, const char* space) {
  const Stamp& earlier = conflict.earlier;
  const Spot against{earlier.pc, nullptr, 0, index_of_block(c, earlier.block), earlier.thread};
  c.reports.add(Kind::race, c.launch.kernel, here(c, a.pc), &against, [&] {
    const char* theirs = earlier.atomic ? "changed atomically" : conflict.with_write ? "wrote" : "read";
    const char* missing = earlier.block != c.clocks.block()            ? "by another block of the same launch"
                          : earlier.thread >> 5 == current_thread >> 5 ? "with no barrier or __syncwarp between"
                                                                       : "with no barrier between";
    return verb(a.act) + std::string(space) + " that another thread " + theirs + ", " + missing;
  });
}

// Calls visit(word, bytes) for each word of 4 bytes that [offset, offset + bytes) touches; bit i of its bytes is byte i.
template <class Visit>
void for_each_word(std::size_t offset, unsigned bytes, Visit visit) {
  const std::size_t end = offset + bytes;
  for (std::size_t word = offset / 4; word * 4 < end; ++word) {
    const std::size_t first = std::max(offset, word * 4) - word * 4, last = std::min(end, word * 4 + 4) - word * 4;
    visit(word, static_cast<std::uint8_t>((1u << last) - (1u << first)));
  }
}

void check_races(Checker& c, const Access& a, Cell* cells, std::size_t offset, bool shared) {
  bool told = false;  // once for an access, however many words
  const Stamp now = c.clocks.now(current_thread, a.pc, 0, a.act == Act::atomic);
  for_each_word(offset, a.bytes, [&](std::size_t word, std::uint8_t bytes) {
    Stamp stamp = now;
    stamp.bytes = bytes;
    if (shared) forget_other_blocks(cells[word], now.block);
    const Conflict conflict = enter(cells[word], stamp, a.act != Act::read, c.clocks);
    if (!conflict.found || told) return;
    told = true;
    complain_of_race(c, a, conflict, shared ? "shared memory" : "device memory");
  });
}

void access_shared(Checker& c, const Access& a) {
  const Range* piece = c.pieces.data();
  const Range* const end = piece + c.pieces.size();
  while (piece != end && !(piece->holds(a.address) && piece->holds(a.address + a.bytes - 1))) ++piece;
  if (piece == end) {
    complain(c, Kind::out_of_bounds, a, [&] {
      std::string text = amount(a.bytes) + " of shared memory outside the block's arrays";
      for (const Range& r : c.pieces) {  // the one it lies behind
        const std::ptrdiff_t at = a.address - r.begin;
        if (at >= 0 && static_cast<std::size_t>(at) < r.bytes + 64) {
          text =
              amount(a.bytes) + " at byte " + std::to_string(at) + " of a shared array of " + std::to_string(r.bytes);
        }
      }
      return text;
    });
    return;
  }
  const auto offset = static_cast<std::size_t>(a.address - c.shared.begin);
  if (a.act != Act::write) {
    bool missing = false;
    for_each_word(offset, a.bytes, [&](std::size_t word, std::uint8_t bytes) {
      const Cell& cell = c.shared_cells[word];
      missing |= cell.write.block != c.clocks.block() || (cell.written & bytes) != bytes;
    });
    if (missing) {
      complain(c, Kind::uninitialised, a, [&] {
        return "shared memory that no thread of the block wrote, byte " + std::to_string(a.address - piece->begin) +
               " of " + std::to_string(piece->bytes);
      });
    }
  }
  check_races(c, a, c.shared_cells.data(), offset, true);
}

void access_global(Checker& c, const Access& a) {
  DeviceBuffer* buffer = c.memory.at(a.address);
  const std::ptrdiff_t at = buffer == nullptr ? 0 : a.address - buffer->begin;
  if (buffer == nullptr || !buffer->live || at < 0 || static_cast<std::size_t>(at) + a.bytes > buffer->bytes) {
    complain(c, Kind::out_of_bounds, a, [&] {
      if (buffer == nullptr) return amount(a.bytes) + " of device memory that belongs to no buffer";
      if (!buffer->live) return amount(a.bytes) + " of a buffer that was freed";
      return amount(a.bytes) + " at byte " + std::to_string(at) + " of a buffer of " + std::to_string(buffer->bytes);
    });
    return;
  }
  const auto offset = static_cast<std::size_t>(at);
  char* written = buffer->written.data() + offset;
  if (a.act == Act::read) {
    if (std::memchr(written, 0, a.bytes) != nullptr) {
      complain(c, Kind::uninitialised, a, [&] {
        return "device memory that neither the host nor a kernel wrote, byte " + std::to_string(at) + " of " +
               std::to_string(buffer->bytes);
      });
    }
  } else {
    std::memset(written, 1, a.bytes);
  }
  check_races(c, a, reinterpret_cast<Cell*>(buffer->cells.data()), offset, false);
}

// What is neither local, nor shared, nor device memory.
void access_else(Checker& c, const Access& a) {
  const auto in = [&](const std::vector<Range>& ranges) {
    return std::any_of(ranges.begin(), ranges.end(), [&](const Range& r) { return r.holds(a.address); });
  };
  if (c.statics.of_thread.holds(a.address)) return;
  if (a.act == Act::read && (c.parameters.holds(a.address) || in(c.statics.constants) || in(c.statics.variables)))
    return;
  complain(c, Kind::host_memory, a, [&] {
    const char* which = c.parameters.holds(a.address)                        ? "the parameters of the launch"
                        : in(c.statics.variables) || in(c.statics.constants) ? "a static variable"
                                                                             : "memory of the host";
    return std::string(which);
  });
}

void count(Checker& c, const Access& a, bool shared) {
  DeviceBuffer* buffer = shared ? nullptr : c.memory.at(a.address);
  const std::ptrdiff_t at = buffer == nullptr ? 0 : a.address - buffer->begin;
  const bool inside = buffer != nullptr && at >= 0 && static_cast<std::size_t>(at) + a.bytes <= buffer->bytes;
  if (!shared && !inside) return;
  c.counters.access(shared ? Space::shared : Space::global, a.act, current_thread, a.pc, a.address, a.bytes, buffer);
}

void check(Checker& c, const Access& a) {
  if (c.stacks.holds(a.address)) return;
  const bool shared = c.shared.holds(a.address);
  if (!shared && !c.memory.holds(a.address)) return c.options.faults ? access_else(c, a) : void();
  if (c.options.counters) count(c, a, shared);
  if (!c.options.faults) return;
  if (reinterpret_cast<std::uintptr_t>(a.address) % a.bytes != 0) {
    complain(c, Kind::misaligned, a, [&] {
      const unsigned off = static_cast<unsigned>(reinterpret_cast<std::uintptr_t>(a.address) % a.bytes);
      return amount(a.bytes) + " at an address that is " + std::to_string(off) + " more than a multiple of " +
             std::to_string(a.bytes);
    });
  }
  shared ? access_shared(c, a) : access_global(c, a);
}

bool watched(const Checker& c) { return c.options.faults || c.options.counters; }

}  // namespace

void access(const void* address, unsigned bytes, Act act, const void* return_address) {
  if (!watching) return;
  Checker& c = checker();
  check(c, {static_cast<const char*>(address), bytes, act, code_address(return_address)});
}

void access_range(const void* address, std::size_t bytes, Act act, const void* return_address) {
  if (!watching) return;
  Checker& c = checker();
  const auto* at = static_cast<const char*>(address);
  const std::uint32_t pc = code_address(return_address);
  while (bytes > 0) {
    unsigned piece = 16;
    while (piece > bytes || reinterpret_cast<std::uintptr_t>(at) % piece != 0) piece /= 2;
    check(c, {at, piece, act, pc});
    at += piece;
    bytes -= piece;
  }
}

// ---- what the executor says

void parameters(const void* address, std::size_t bytes) {
  checker().parameters = {static_cast<const char*>(address), bytes};
}

void begin_launch(const LaunchFacts& launch) {
  Checker& c = checker();
  c.launch = launch;
  if (c.options.counters) c.counters.begin_launch(launch.kernel);
  c.stacks = {launch.stacks_begin, static_cast<std::size_t>(launch.stacks_end - launch.stacks_begin)};
  c.statics = find_statics();
  c.clocks.begin_launch();
  c.launch_first_block = c.clocks.block() + 1;
}

void begin_shared(const void* arena, std::size_t bytes) {
  Checker& c = checker();
  c.shared = {static_cast<const char*>(arena), bytes};
  c.shared_cells.resize(bytes / 4);
  c.pieces.clear();
}

void shared_piece(const void* address, std::size_t bytes) {
  checker().pieces.push_back({static_cast<const char*>(address), bytes});
}

void begin_block(std::uint64_t, Extent index) {
  Checker& c = checker();
  c.block_index = index;
  c.clocks.begin_block();
  watching = watched(c);
}

void end_block() {
  watching = false;
  if (checker().options.counters) checker().counters.barrier();
}

void barrier_released() {
  Checker& c = checker();
  c.clocks.barrier();
  if (c.options.counters) c.counters.barrier();
}

void begin_lanes_meet() { watching = false; }

void lanes_met(int warp, unsigned lanes, bool whole_warp, const char* what) {
  Checker& c = checker();
  watching = watched(c);
  if (whole_warp && c.options.counters) c.counters.meet(warp);
  if (std::strcmp(what, "__syncwarp") == 0) c.clocks.meet(warp, lanes);
}

void stuck(bool in_warp_function, Waiting at, std::optional<Waiting> against, std::string_view why) {
  Checker& c = checker();
  const auto spot = [&](const Waiting& w) { return Spot{0, w.file, w.line, c.block_index, w.thread}; };
  const Spot second = against ? spot(*against) : Spot{};
  c.reports.add(in_warp_function ? Kind::warp_mask : Kind::barrier, c.launch.kernel, spot(at),
                against ? &second : nullptr, [&] { return "finds that the block cannot go on: " + std::string(why); });
}

// ---- the instrument's face

void configure(Options options) { checker().options = options; }
Options options() { return checker().options; }
std::vector<Report> take_reports() { return checker().reports.take(); }
std::vector<KernelCounters> take_counters() { return checker().counters.take(); }

void* allocate(std::size_t bytes) { return checker().memory.allocate(bytes).begin; }
void release(void* buffer) noexcept { checker().memory.release(buffer); }

void written(void* address, std::size_t bytes) {
  DeviceBuffer* buffer = checker().memory.at(static_cast<char*>(address));
  if (buffer == nullptr || !buffer->live) return;
  const auto offset = static_cast<std::size_t>(static_cast<char*>(address) - buffer->begin);
  if (offset < buffer->bytes) std::memset(buffer->written.data() + offset, 1, std::min(bytes, buffer->bytes - offset));
}

}  // namespace gemel::instrument
