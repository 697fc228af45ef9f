// SPDX-License-Identifier: MIT
//
// Progress of training on stderr, and Ctrl-C.
#include "tools/gemel/progress.h"

#include <algorithm>
#include <csignal>
#include <iostream>
#include <string>

#include "tools/gemel/command.h"
#include "tools/gemel/summary.h"

namespace gemel::cli {
namespace {

constexpr int kPlainLines = 10;
constexpr int kBarWidth = 24;
constexpr int kCollapsedReports = 2;

volatile std::sig_atomic_t stop_requested = 0;

extern "C" void request_stop(int signal) {
  stop_requested = 1;
  std::signal(signal, SIG_DFL);  // the second one ends the program
}

std::string duration(double seconds) {
  int whole = static_cast<int>(seconds + 0.5);
  if (whole < 60) return concat(whole, " s");
  return concat(whole / 60, " min ", whole % 60, " s");
}

std::string figures(const TrainReport& report) {
  const EmbeddingHealth& health = report.health;
  std::string text = concat("step ", report.step, "/", report.steps, "  loss ", fixed(report.mean_loss, 5), "  active ",
                            fixed(100 * report.active, 1), " %  same ", fixed(health.mean_same, 3), "  different ",
                            fixed(health.mean_different, 3), "  spread ", fixed(health.spread, 3), "  rank ",
                            fixed(health.effective_rank, 1), "  ",
                            thousands(static_cast<long long>(report.images_per_second)), " images/s");
  if (report.validation) text += concat("  validation AUC ", fixed(*report.validation, 4));
  return text;
}

}  // namespace

Progress::Progress(int steps) : terminal_(terminal_on_stderr()), line_every_(std::max(1, steps / kPlainLines)) {}

Progress::~Progress() { finish(); }

void Progress::show(const TrainReport& report) {
  warn(report);
  if (!terminal_) {
    if (report.step < next_line_ && report.step < report.steps && !report.validation) return;
    next_line_ = report.step + line_every_;
    std::cerr << figures(report) << std::endl;
    return;
  }
  double share = report.steps > 0 ? static_cast<double>(report.step) / report.steps : 1;
  int filled = static_cast<int>(share * kBarWidth);
  std::string bar = std::string(static_cast<std::size_t>(filled), '#') +
                    std::string(static_cast<std::size_t>(kBarWidth - filled), '.');
  std::cerr << "\r\033[K[" << bar << "] " << fixed(100 * share, 0) << " %  " << figures(report);
  if (share > 0 && share < 1) {
    std::chrono::duration<double> passed = std::chrono::steady_clock::now() - start_;
    std::cerr << "  " << duration(passed.count() * (1 - share) / share) << " left";
  }
  std::cerr << std::flush;
  open_line_ = true;
}

// Aloud and once: after a tenth of the steps, two reports in a row.
void Progress::warn(const TrainReport& report) {
  collapsed_reports_ = report.health.collapsed && 10 * report.step >= report.steps ? collapsed_reports_ + 1 : 0;
  if (collapsed_reports_ != kCollapsedReports || warned_) return;
  finish();
  std::cerr << "gemel: WARNING: step " << report.step << ": " << collapse_warning(report.health) << std::endl;
  warned_ = true;
}

void Progress::finish() {
  if (open_line_) std::cerr << std::endl;
  open_line_ = false;
}

StopSignal::StopSignal() {
  stop_requested = 0;
  std::signal(SIGINT, request_stop);
  std::signal(SIGTERM, request_stop);
}

StopSignal::~StopSignal() {
  std::signal(SIGINT, SIG_DFL);
  std::signal(SIGTERM, SIG_DFL);
}

bool StopSignal::raised() { return stop_requested != 0; }

}  // namespace gemel::cli
