// SPDX-License-Identifier: MIT
//
// What is gathered while kernels run, by code address; lines are looked up when reports are taken. Private to the
// instrument.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <tuple>
#include <vector>

#include "kernels/simt/check/instrument.h"

namespace gemel::instrument {

// A thread at a code address, or, where `file` is set, at that line.
struct Spot {
  std::uint32_t pc = 0;
  const char* file = nullptr;
  int line = 0;
  Extent block{};
  int thread = 0;
};

class Reports {
 public:
  // `describe` makes `what`, if these two lines have not been reported for this kind.
  template <class Describe>
  void add(Kind kind, std::string_view kernel, const Spot& at, const Spot* against, Describe describe) {
    const Key key{kind, at.pc, at.line, against == nullptr ? 0 : against->pc, kernel.data()};
    const auto [known, fresh] = index_.try_emplace(key, entries_.size());
    if (!fresh) {
      ++entries_[known->second].times;
      return;
    }
    entries_.push_back({kind, kernel, describe(), at, against == nullptr ? Spot{} : *against, against != nullptr, 1});
  }

  std::size_t size() const { return entries_.size(); }
  std::vector<Report> take();

 private:
  using Key = std::tuple<Kind, std::uint32_t, int, std::uint32_t, const char*>;
  struct Entry {
    Kind kind;
    std::string_view kernel;
    std::string what;
    Spot at, against;
    bool two;
    std::uint64_t times;
  };
  std::map<Key, std::size_t> index_;
  std::vector<Entry> entries_;
};

}  // namespace gemel::instrument
