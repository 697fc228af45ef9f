// SPDX-License-Identifier: MIT
//
// Counters: the lanes' accesses put together as the requests that a GPU's warp would make of them. Private to the instrument.
//
// The n-th execution of an access by one lane and the n-th by another of its warp, since the warp last met as a whole, are
// one request.
#pragma once

#include <array>
#include <cstdint>
#include <memory>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "kernels/simt/check/device_memory.h"
#include "kernels/simt/check/instrument.h"

namespace gemel::instrument {

// What 32 lanes of a warp ask for in one instruction; `mask`: of the lanes that do.
struct Request {
  std::uint32_t mask = 0;
  std::array<std::uint64_t, 32> address{};
};

// What the memory system makes of a request of `bytes` (1 to 16) a lane.
struct GlobalCost {
  unsigned sectors;  // of 32 bytes, each counted once
  unsigned used;     // distinct bytes asked for
};
GlobalCost global_cost(const Request& request, unsigned bytes);

struct SharedCost {
  unsigned wavefronts;  // passes through the 32 banks of 4 bytes
  unsigned ideal;       // those of the same lanes without a conflict
};
SharedCost shared_cost(const Request& request, unsigned bytes);

class CounterBooks {
 public:
  void begin_launch(std::string_view kernel);
  // By lane `thread` & 31 of the running block; `buffer`: of a global access.
  void access(Space space, Act act, int thread, std::uint32_t pc, const char* address, unsigned bytes,
              DeviceBuffer* buffer);
  void meet(int warp) { flush(warp); }  // the warp has met as a whole
  void barrier();                       // all warps have, or the block has ended

  std::vector<KernelCounters> take();

 private:
  struct Site {
    std::uint32_t pc;
    AccessCounters counters;
  };
  struct Kernel {
    std::string_view name;
    std::uint64_t launches = 0;
    Traffic loads, stores;
    std::vector<Site> sites;
    std::unordered_map<std::uint64_t, int> index;  // of sites, by address, kind and size
  };
  struct Open {  // a site's requests of one warp, not yet whole
    std::array<std::uint32_t, 32> count{};
    std::vector<Request> requests;
  };
  struct Warp {
    std::vector<Open> sites;
    std::vector<int> touched;
  };
  void flush(int warp);
  void count(Site& site, const Request& request);
  void touch(Act act, DeviceBuffer& buffer, const char* address, unsigned bytes);

  struct Recent {  // spares most accesses the look-up in `index`
    std::uint64_t key = 0;
    const Kernel* kernel = nullptr;
    std::size_t site = 0;
  };
  std::array<Recent, 4096> recent_{};
  std::vector<std::unique_ptr<Kernel>> kernels_;
  Kernel* kernel_ = nullptr;
  std::array<Warp, 32> warps_;
  std::uint32_t launch_ = 0;  // counted through all
};

}  // namespace gemel::instrument
