// SPDX-License-Identifier: MIT
//
// Progress of training on stderr: one line rewritten in place on a terminal, plain lines elsewhere; a warning when the
// embeddings collapse. And Ctrl-C.
#pragma once

#include <chrono>

#include "siamese/trainer.h"

namespace gemel::cli {

class Progress {
 public:
  explicit Progress(int steps);
  ~Progress();
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void show(const TrainReport& report);
  void finish();  // leaves the last line standing

 private:
  void warn(const TrainReport& report);

  bool terminal_;
  int collapsed_reports_ = 0;  // in a row
  bool warned_ = false;
  std::chrono::steady_clock::time_point start_ = std::chrono::steady_clock::now();
  bool open_line_ = false;
  int next_line_ = 0;  // plain lines: the step that the next one waits for
  int line_every_;
};

// While it lives, the first Ctrl-C (SIGINT) or SIGTERM only sets a flag, so that training can stop and save; the second
// ends the program.
class StopSignal {
 public:
  StopSignal();
  ~StopSignal();
  StopSignal(const StopSignal&) = delete;
  StopSignal& operator=(const StopSignal&) = delete;
  static bool raised();
};

}  // namespace gemel::cli
