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

Plan::Plan(const Network& network, Device& device, int n, Mode mode)
    : network_(network), device_(device), n_(n), mode_(mode) {
  if (n < 1) throw Error(concat("Plan: the batch must have at least 1 row, not ", n));
  plan_steps();
  BufferSizes sizes;
  assign_outputs(sizes);
  assign_saved(sizes);
  training() ? assign_gradients(sizes) : assign_packed(sizes);
  assign_scratch(sizes);
  for (const std::size_t bytes : sizes.sizes()) buffers_.push_back(arena_.plan(bytes));
  arena_.allocate(device_);
}

// One step a layer, or a block of layers that the device computes in one pass; nothing else knows.
void Plan::plan_steps() {
  const std::size_t row_bytes = static_cast<std::size_t>(n_) * sizeof(float);
  const std::span layers(network_.layers());
  for (std::size_t i = 0; i < layers.size();) {
    const std::size_t in_block = device_.fuse ? ConvBlockLayer::length(layers.subspan(i)) : 0;
    const Layer* layer = layers[i].get();
    if (in_block > 0) {
      layer = blocks_.emplace_back(std::make_unique<ConvBlockLayer>(layers.subspan(i, in_block))).get();
    }
    const std::size_t end = i + std::max<std::size_t>(in_block, 1);
    steps_.push_back({.layer = layer,
                      .x_bytes = network_.shapes()[i].count() * row_bytes,
                      .y_bytes = network_.shapes()[end].count() * row_bytes});
    i = end;
  }
}

void Plan::assign_outputs(BufferSizes& sizes) {
  input_ = sizes.add(steps_.front().x_bytes);
  BufferId turns[2] = {kNone, kNone};  // inference
  BufferId previous = input_;
  // May the next step write over `previous`? Not over the input, which is the caller's; nor, in training, over an
  // output that its own step's backward reads.
  bool overwritable = false;
  for (Step& step : steps_) {
    step.x = previous;
    if (step.layer->in_place() && overwritable) {
      step.y = step.x;
    } else if (training()) {
      step.y = sizes.add(step.y_bytes);
    } else {
      BufferId& turn = turns[0] != kNone && step.x == turns[0] ? turns[1] : turns[0];
      sizes.need(turn, step.y_bytes);
      step.y = turn;
    }
    overwritable = !(training() && step.layer->backward_needs_output());
    previous = step.y;
  }
  output_ = previous;
}

void Plan::assign_saved(BufferSizes& sizes) {
  BufferId shared = kNone;  // inference: forward may write it, nobody reads it again
  for (Step& step : steps_) {
    const std::size_t bytes = step.layer->saved_bytes({device_.kernels(), n_, training()});
    if (bytes == 0) continue;
    if (training()) {
      step.saved = sizes.add(bytes);
    } else {
      sizes.need(shared, bytes);
      step.saved = shared;
    }
  }
}

void Plan::assign_packed(BufferSizes& sizes) {
  for (Step& step : steps_) sizes.need(step.packed, step.layer->packed_bytes({device_.kernels(), n_, training()}));
}

// For every number of rows that a pass may have: a kernel that splits its work by the batch size may need more memory
// for fewer rows.
void Plan::assign_scratch(BufferSizes& sizes) {
  for (const Step& step : steps_) {
    for (int rows = 1; rows <= n_; ++rows) {
      sizes.need(scratch_, step.layer->scratch_bytes({device_.kernels(), rows, training()}));
    }
  }
}

void Plan::assign_gradients(BufferSizes& sizes) {
  output_gradient_ = sizes.add(steps_.back().y_bytes);
  BufferId turns[2] = {kNone, kNone};
  BufferId next = output_gradient_;
  for (std::size_t i = steps_.size(); i-- > 0;) {
    Step& step = steps_[i];
    step.dy = next;
    if (i == 0) {
      if (mode_ == Mode::training_with_input_gradient) step.dx = input_gradient_ = sizes.add(step.x_bytes);
    } else if (step.layer->in_place() && step.dy != output_gradient_) {
      step.dx = step.dy;
    } else {
      BufferId& turn = turns[0] != kNone && step.dy == turns[0] ? turns[1] : turns[0];
      sizes.need(turn, step.x_bytes);
      step.dx = turn;
    }
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

LayerContext Plan::layer_context(const Stream& stream, std::size_t step_index, const StepState* step) const {
  return {.kernels = device_.kernels(),
          .queue = queue(stream),
          .parameters = network_.parameters(),
          .training = training(),
          .seed = step_index,
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
  const std::uint64_t version = network_.parameters().version();
  if (packed_version_ == version) return;
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    if (s.packed != kNone) s.layer->pack(layer_context(stream, i, nullptr), data(s.packed));
  }
  packed_version_ = version;
}

void Plan::forward(Stream& stream, int rows, const StepState* step) const {
  check_rows(rows);
  if (!training()) pack(stream);
  for (std::size_t i = 0; i < steps_.size(); ++i) {
    const Step& s = steps_[i];
    s.layer->forward(layer_context(stream, i, step),
                     {.n = rows, .packed = data(s.packed), .x = f32(s.x), .y = f32(s.y), .saved = data(s.saved)});
  }
}

void Plan::backward(Stream& stream, int rows, const StepState* step) const {
  check_rows(rows);
  if (!training()) throw Error("Plan: backward needs a plan for training, this one is for inference");
  for (std::size_t i = steps_.size(); i-- > 0;) {
    const Step& s = steps_[i];
    // Tensors that a layer does not ask for may have been written over: it gets none.
    s.layer->backward(layer_context(stream, i, step), {.n = rows,
                                                       .x = s.layer->backward_needs_input() ? f32(s.x) : nullptr,
                                                       .y = s.layer->backward_needs_output() ? f32(s.y) : nullptr,
                                                       .dy = f32(s.dy),
                                                       .dx = f32(s.dx),
                                                       .saved = data(s.saved)});
  }
}

}  // namespace gemel
