// SPDX-License-Identifier: MIT
//
// Internal: what devices need to record work and to replay it by calling it.
#pragma once

#include <functional>
#include <utility>

#include "engine/device.h"

namespace gemel {

// While it lives, a device is recording. Launches that happen meanwhile are a graph's, so their count is taken back.
class RecordingScope {
 public:
  RecordingScope(bool& recording, Counters& counters)
      : recording_(recording), counters_(counters), launches_(counters.launches) {
    recording_ = true;
  }
  ~RecordingScope() {
    recording_ = false;
    counters_.launches = launches_;
  }
  RecordingScope(const RecordingScope&) = delete;
  RecordingScope& operator=(const RecordingScope&) = delete;

 private:
  bool& recording_;
  Counters& counters_;
  std::uint64_t launches_;
};

// A graph that is the recorded function itself.
class KeptGraph final : public Graph::Impl {
 public:
  KeptGraph(bool& recording, Counters& counters, std::function<void()> work)
      : recording_(recording), counters_(counters), work_(std::move(work)) {}
  void replay(Stream&) override {
    ++counters_.graph_launches;
    const RecordingScope scope(recording_, counters_);
    work_();
  }

 private:
  bool& recording_;
  Counters& counters_;
  std::function<void()> work_;
};

}  // namespace gemel
