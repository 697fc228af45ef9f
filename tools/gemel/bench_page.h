// SPDX-License-Identifier: MIT
//
// What `gemel bench` measured, and the page that shows it.
#pragma once

#include <string>
#include <vector>

#include "bench/measure.h"

namespace gemel::cli {

struct OperationResult {
  bench::Measurement measured;
  std::string rung;  // of a ladder; empty: the kernel in use
  double share = 0;  // of the roofline
  std::string name() const { return measured.op + " " + measured.shape; }
};

struct StepResult {
  std::string name;
  bench::StepMeasurement measured;
  double share = 0;     // of the arithmetic peak
  std::string problem;  // empty: none
};

struct BenchResults {
  std::string device, description;
  bench::Peak peak;
  std::vector<OperationResult> operations;
  std::vector<StepResult> steps;
  int wrong() const;
};

// Three digits that count: CPU and GPU differ a thousandfold.
std::string figure(double value);

// One self-contained page: the roofline with a point for each case, and the operations by kind with bars.
std::string bench_html(const BenchResults& results);

}  // namespace gemel::cli
