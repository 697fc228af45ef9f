// SPDX-License-Identifier: MIT
//
// The ladders' rungs as cases of a benchmark: each beside the others on the same shapes, in its own arithmetic.
#include <span>

#include "bench/measure.h"
#include "kernels/conv2d/rungs.h"
#include "kernels/distance/rungs.h"
#include "kernels/linear/rungs.h"
#include "kernels/local2d/rungs.h"
#include "tests/reference/rung_error.h"

namespace gemel::bench {
namespace {

// `c` computed by `table` whatever table it is run on.
reference::OpCase on_table(reference::OpCase c, const Kernels& table) {
  if (c.scratch) c.scratch = [scratch = c.scratch, table](const Kernels&) { return scratch(table); };
  c.run = [run = c.run, table](const Kernels&, Queue queue, reference::DeviceTensors& tensors) {
    run(table, queue, tensors);
  };
  return c;
}

template <class Rung>
bool computes(const Rung&, const std::string& op, const reference::OpCase& c) {
  return c.op.rfind(op, 0) == 0;
}
bool computes(const Conv2dRung& rung, const std::string& op, const reference::OpCase& c) {
  const bool its_own = c.op.rfind(op, 0) == 0 || (c.op == "conv_block_forward" && rung.block_forward != nullptr);
  return its_own && rung.serves(c.channels);
}

// Ladders without an arithmetic to choose keep f32's accuracy.
template <class Rung>
Math math_of(const Rung& rung) {
  if constexpr (requires { rung.math; }) return rung.math;
  return Math::fp32;
}

template <class Rung>
void add(std::vector<RungCase>& cases, std::span<const Rung> rungs, const Kernels& table, const std::string& op) {
  for (const reference::OpCase& c : bench_cases()) {
    for (const Rung& rung : rungs) {
      if (!computes(rung, op, c)) continue;
      cases.push_back({rung.name, on_table(reference::in_math(c, math_of(rung)), rung.in(table))});
    }
  }
}

}  // namespace

std::vector<RungCase> rung_cases(const Device& device) {
  std::vector<RungCase> cases;
  const Kernels& table = device.kernels();
  const std::string name = table.name;
  if (name == "simt") {
    add(cases, simt::linear_rungs(), table, "linear");
    add(cases, simt::conv2d_rungs(), table, "conv2d");
    add(cases, simt::local2d_rungs(), table, "local2d");
    add(cases, simt::pairwise_distance_rungs(), table, "pairwise_distance");
  }
#if defined(GEMEL_CUDA_RUNGS)
  if (name == "cuda") {
    add(cases, cuda::linear_rungs(), table, "linear");
    add(cases, cuda::conv2d_rungs(), table, "conv2d");
    add(cases, cuda::local2d_rungs(), table, "local2d");
    add(cases, cuda::pairwise_distance_rungs(), table, "pairwise_distance");
  }
#endif
  return cases;
}

}  // namespace gemel::bench
