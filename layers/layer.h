// SPDX-License-Identifier: MIT
//
// A layer is a description. It owns no memory and has no mode: forward and backward are const, and everything they work
// on is passed in, so one layer may run at any batch size, on any device, in any order.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "engine/buffer.h"
#include "engine/parameters.h"

namespace gemel {

// The batch a plan is made for.
struct PlanContext {
  const Kernels& kernels;
  int n;          // rows
  bool training;  // backward will be called
};

// What a layer's passes work with besides their own tensors.
struct LayerContext {
  const Kernels& kernels;
  Queue queue;  // its scratch holds what scratch_bytes asked for
  const Parameters& parameters;
  bool training;
  std::uint64_t seed;     // of the training run; each layer with random numbers (dropout) has a stream of its own
  const StepState* step;  // null outside training
};

struct ForwardIo {
  int n;                         // rows
  const void* packed = nullptr;  // what pack() wrote for these parameters; null: nothing, work from the parameters
  const float* x;                // (n, input shape)
  float* y;                      // (n, output shape)
  void* saved;                   // saved_bytes(), kept for backward; null when not training and saved_bytes() is 0
  // Residual: where the block's input, or its average pool, goes; ResidualEnd: where it is. (n, skip shape)
  float* skip = nullptr;
};

struct BackwardIo {
  int n;
  const float* x;   // as in forward; null for layers that say !backward_needs_input()
  const float* y;   // as forward left it; null for layers that say !backward_needs_output()
  const float* dy;  // (n, output shape)
  float* dx;        // (n, input shape), overwritten; null: not wanted (first layer)
  void* saved;
  float* dskip = nullptr;  // ResidualEnd: written, Residual: read. (n, skip shape)
};

class Layer {
 public:
  virtual ~Layer() = default;

  virtual std::string describe() const = 0;  // "Conv2d(1 -> 20, 5x5)"
  virtual std::string text() const = 0;      // its line(s) in a network file: "conv 20 5x5"

  // Fixes the input shape (per row, without N), checks it, and declares parameters under `prefix`. Returns the output
  // shape. Throws ShapeError naming the layer. Called once, in network order.
  virtual Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) = 0;

  // True: y may be the same memory as x, and dx as dy (element-wise layers). While training, such a layer's backward
  // needs y at most: it says !backward_needs_input().
  virtual bool in_place(bool /*training*/) const { return false; }
  // True: y is x, or dx is dy, number by number. A plan gives both the same memory, even where that must not be written
  // over; then there is nothing to compute.
  virtual bool forward_is_identity(bool /*training*/) const { return false; }
  virtual bool backward_is_identity() const { return false; }
  virtual bool backward_needs_input() const { return true; }
  virtual bool backward_needs_output() const { return false; }
  // For exactly n rows. Saved bytes must not shrink with more rows; scratch may, and plans ask for each number of rows.
  virtual std::size_t saved_bytes(const PlanContext&) const { return 0; }
  virtual std::size_t scratch_bytes(const PlanContext&) const { return 0; }
  // Parameters in the form that the device's forward pass works on, so that a plan for inference makes it once. 0: there
  // is none. Neither size nor form depends on n.
  virtual std::size_t packed_bytes(const PlanContext&) const { return 0; }
  virtual void pack(const LayerContext&, void*) const {}
  virtual double flops() const { return 0; }  // of one row's forward pass (2 a multiply-add)

  virtual void forward(const LayerContext&, const ForwardIo&) const = 0;
  // dx is overwritten, parameter gradients are accumulated into.
  virtual void backward(const LayerContext&, const BackwardIo&) const = 0;
};

}  // namespace gemel
