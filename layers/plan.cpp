// SPDX-License-Identifier: MIT
//
// Plan: which memory each step of a network's passes reads and writes.
//
// Planning has two halves. First every tensor gets a buffer, a number that several tensors may share where their
// lifetimes allow it, and every buffer grows to the largest of them. Then all buffers become pieces of one allocation.
#include <algorithm>
#include <span>

#include "layers/conv_block.h"
#include "layers/network.h"
#include "layers/residual.h"

namespace gemel {

class Plan::BufferSizes {
 public:
  BufferId add(std::size_t bytes) {
    sizes_.push_back(bytes);
    return static_cast<BufferId>(sizes_.size()) - 1;
  }
  // Makes `id` hold `bytes` at least; kNone becomes a new buffer. No bytes, no buffer.
  void need(BufferId& id, std::size_t bytes) {
    if (bytes == 0) return;
    if (id == kNone) id = add(0);
    std::size_t& size = sizes_[static_cast<std::size_t>(id)];
    size = std::max(size, bytes);
  }
  const std::vector<std::size_t>& sizes() const { return sizes_; }

 private:
  std::vector<std::size_t> sizes_;
};

// Buffers for tensors of short life: each takes the first one that is free.
class Plan::Turns {
 public:
  explicit Turns(BufferSizes& sizes) : sizes_(sizes) {}

  // A buffer that is neither held nor `in_use`.
  BufferId take(std::size_t bytes, BufferId in_use) {
    auto free = std::find_if(turns_.begin(), turns_.end(), [&](BufferId id) { return id != in_use && !held(id); });
    if (free == turns_.end()) free = turns_.insert(free, sizes_.add(0));
    sizes_.need(*free, bytes);
    return *free;
  }

  // Nobody may write over a buffer that is held; nested blocks may hold the same one.
  void hold(BufferId id) { held_.push_back(id); }
  void release(BufferId id) { held_.erase(std::find(held_.begin(), held_.end(), id)); }
  bool held(BufferId id) const { return std::find(held_.begin(), held_.end(), id) != held_.end(); }

 private:
  BufferSizes& sizes_;
  std::vector<BufferId> turns_, held_;
};

Plan::Plan(const Network& network, Device& device, int n, Mode mode, std::uint64_t seed)
    : network_(network), device_(device), n_(n), mode_(mode), seed_(seed) {
  if (n < 1) throw Error(concat("Plan: the batch must have at least 1 row, not ", n));
  plan_steps();
  BufferSizes sizes;
  assign_outputs(sizes);
  assign_saved(sizes);
  assign_packed(sizes);
  if (training()) assign_gradients(sizes);
  assign_scratch(sizes);
  for (const std::size_t bytes : sizes.sizes()) buffers_.push_back(arena_.plan(bytes));
  arena_.allocate(device_);
}

// One step a layer, or a block of layers that the device computes in one pass; nothing else knows.
void Plan::plan_steps() {
  const std::size_t row_bytes = static_cast<std::size_t>(n_) * sizeof(float);
  const std::span layers(network_.layers());
  std::vector<int> open;  // steps of Residuals without an end yet
  const auto frozen = static_cast<std::size_t>(network_.frozen_layers());
  for (std::size_t i = 0; i < layers.size();) {
    const bool trains = training() && i >= frozen;
    const auto ahead = i < frozen ? layers.subspan(i, frozen - i) : layers.subspan(i);  // a block is on one side
    const std::size_t in_block = device_.fuse ? ConvBlockLayer::length(ahead, trains) : 0;
    const Layer* layer = layers[i].get();
    if (in_block > 0) {
      layer = blocks_.emplace_back(std::make_unique<ConvBlockLayer>(layers.subspan(i, in_block))).get();
    }
    const std::size_t end = i + std::max<std::size_t>(in_block, 1);
    steps_.push_back({.layer = layer,
                      .x_bytes = network_.shapes()[i].count() * row_bytes,
                      .y_bytes = network_.shapes()[end].count() * row_bytes,
                      .training = trains});
    if (const auto* start = dynamic_cast<const Residual*>(layer)) {
      steps_.back().skip_bytes = start->skip_shape().count() * row_bytes;
      open.push_back(static_cast<int>(steps_.size()) - 1);
    } else if (nesting(*layer) < 0) {
      steps_.back().opener = open.back();
      steps_.back().skip_bytes = steps_[static_cast<std::size_t>(open.back())].skip_bytes;
      open.pop_back();
    }
    i = end;
  }
}

void Plan::assign_outputs(BufferSizes& sizes) {
  Turns turns(sizes);  // trained steps: for skips alone
  input_ = sizes.add(steps_.front().x_bytes);
  turns.hold(input_);  // it is the caller's
  BufferId previous = input_;
  bool read_by_backward = false;  // `previous`, as the output that its own step asks for
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    Step& step = steps_[i];
    step.x = previous;
    if (i > 0 && step.training && !steps_[i - 1].training) turns.hold(step.x);  // backward reads it
    if (const auto* start = dynamic_cast<const Residual*>(step.layer)) {
      step.skip = start->pools() ? turns.take(step.skip_bytes, step.x) : step.x;
      turns.hold(step.skip);
    }
    const bool identity = step.layer->forward_is_identity(step.training);
    if (identity || (step.layer->in_place(step.training) && !read_by_backward && !turns.held(step.x))) {
      step.y = step.x;
    } else {
      step.y = step.training ? sizes.add(step.y_bytes) : turns.take(step.y_bytes, step.x);
    }
    if (step.opener >= 0) {
      step.skip = steps_[static_cast<std::size_t>(step.opener)].skip;
      turns.release(step.skip);
    }
    if (!identity) read_by_backward = step.training && step.layer->backward_needs_output();
    previous = step.y;
  }
  output_ = previous;
}

void Plan::assign_saved(BufferSizes& sizes) {
  BufferId shared = kNone;  // inference: forward may write it, nobody reads it again
  for (Step& step : steps_) {
    const std::size_t bytes = step.layer->saved_bytes(plan_context(step, n_));
    if (bytes == 0) continue;
    if (step.training) {
      step.saved = sizes.add(bytes);
    } else {
      sizes.need(shared, bytes);
      step.saved = shared;
    }
  }
}

void Plan::assign_packed(BufferSizes& sizes) {
  for (Step& step : steps_) {
    if (!step.training) sizes.need(step.packed, step.layer->packed_bytes(plan_context(step, n_)));
  }
}

// For every number of rows that a pass may have: a kernel that splits its work by the batch size may need more memory
// for fewer rows.
void Plan::assign_scratch(BufferSizes& sizes) {
  for (const Step& step : steps_) {
    for (int rows = 1; rows <= n_; ++rows) {
      sizes.need(scratch_, step.layer->scratch_bytes(plan_context(step, rows)));
    }
  }
}

void Plan::assign_gradients(BufferSizes& sizes) {
  Turns turns(sizes);
  output_gradient_ = sizes.add(steps_.back().y_bytes);
  turns.hold(output_gradient_);  // it is the caller's
  BufferId next = output_gradient_;
  for (std::size_t i = steps_.size(); i-- > 0 && steps_[i].training;) {
    Step& step = steps_[i];
    step.dy = next;
    if (step.opener >= 0) {
      // A skip as large as the sum has its gradient, to the last number.
      const bool whole = step.skip_bytes == step.y_bytes;
      step.dskip = whole ? step.dy : turns.take(step.skip_bytes, step.dy);
      turns.hold(step.dskip);
      steps_[static_cast<std::size_t>(step.opener)].dskip = step.dskip;
    }
    if (i == 0) {
      if (mode_ == Mode::training_with_input_gradient) step.dx = input_gradient_ = sizes.add(step.x_bytes);
    } else if (!steps_[i - 1].training) {
      // nobody asks for dx
    } else if (step.layer->backward_is_identity() || (step.layer->in_place(true) && !turns.held(step.dy))) {
      step.dx = step.dy;
    } else {
      step.dx = turns.take(step.x_bytes, step.dy);
    }
    if (nesting(*step.layer) > 0) turns.release(step.dskip);
    next = step.dx;
  }
}

void* Plan::data(BufferId id) const {
  return id == kNone ? nullptr : arena_.data(buffers_[static_cast<std::size_t>(id)]);
}

Queue Plan::queue(const Stream& stream) const {
  const std::size_t bytes = scratch_ == kNone ? 0 : buffers_[static_cast<std::size_t>(scratch_)].bytes;
  return device_.queue(stream, {.data = data(scratch_), .bytes = bytes});
}

LayerContext Plan::layer_context(const Stream& stream, bool training, const StepState* step) const {
  return {.kernels = device_.kernels(),
          .queue = queue(stream),
          .parameters = network_.parameters(),
          .training = training,
          .seed = seed_,
          .step = step};
}

void Plan::check_rows(int rows) const {
  if (rows < 0 || rows > n_) throw Error(concat("Plan: ", rows, " rows, planned for 0 to ", n_));
  const Parameters& parameters = network_.parameters();
  if (!parameters.entries().empty() && parameters.values() == nullptr) {
    throw Error("Plan: the network's parameters are not allocated; call parameters().allocate() first");
  }
}

void Plan::pack(const Stream& stream) const {
  const Parameters& parameters = network_.parameters();
  const std::uint64_t version = training() ? parameters.frozen_version() : parameters.version();
  if (packed_version_ == version) return;
  for (const Step& s : steps_) {
    if (s.packed != kNone) s.layer->pack(layer_context(stream, false, nullptr), data(s.packed));
  }
  packed_version_ = version;
}

void Plan::forward(Stream& stream, int rows, const StepState* step) const {
  check_rows(rows);
  pack(stream);
  for (const Step& s : steps_) {
    s.layer->forward(layer_context(stream, s.training, step), {.n = rows,
                                                               .packed = data(s.packed),
                                                               .x = f32(s.x),
                                                               .y = f32(s.y),
                                                               .saved = data(s.saved),
                                                               .skip = f32(s.skip)});
  }
}

void Plan::backward(Stream& stream, int rows, const StepState* step) const {
  check_rows(rows);
  if (!training()) throw Error("Plan: backward needs a plan for training, this one is for inference");
  for (std::size_t i = steps_.size(); i-- > 0 && steps_[i].training;) {
    const Step& s = steps_[i];
    // Tensors that a layer does not ask for may have been written over: it gets none.
    s.layer->backward(layer_context(stream, true, step), {.n = rows,
                                                          .x = s.layer->backward_needs_input() ? f32(s.x) : nullptr,
                                                          .y = s.layer->backward_needs_output() ? f32(s.y) : nullptr,
                                                          .dy = f32(s.dy),
                                                          .dx = f32(s.dx),
                                                          .saved = data(s.saved),
                                                          .dskip = f32(s.dskip)});
  }
}

}  // namespace gemel
