// SPDX-License-Identifier: MIT
//
// A network is a value: an input shape and a sequence of layers, from a short text or from code, with its parameters.
//
//   # lenet: the siamese net of Caffe's examples
//   input 28x28x1
//   conv 20 5x5 init xavier   # K N|RxS [stride N|NxN] [pad N|NxN|same] and, as linear, how it starts
//   maxpool 2                 # N|RxS [stride N|NxN] [pad N|NxN] [ceil]; the stride is the window unless given
//   conv 50 5x5 init xavier
//   maxpool 2
//   linear 500 init xavier    # N [init he|xavier|glorot|normal STD] [bias VALUE|normal MEAN STD] [nobias]; takes an
//                             # image as one row of features
//   relu
//   linear 128 init xavier
//
// The other layers: local (as conv, with filters of each place's own), avgpool (as maxpool, and count_pad), globalavgpool,
// prelu, sigmoid, batchnorm, affine, dropout RATE, flatten, l2normalize; `residual [avgpool 2]`, layers, `end`: a block whose input is added to its output. Parameters are
// named after the keyword and the layer's number among its kind: conv1.weight, conv1.bias, conv2.weight, ...
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "layers/layer.h"

namespace gemel {

class Network {
 public:
  // Builds the layers in order, from code. Throws ShapeError where one cannot take its input (H,W,C); a ResidualEnd must
  // belong to the innermost Residual without one. The output may be one row of numbers or, of a network that is
  // convolutional throughout, an image.
  static Network make(const Shape& input, std::vector<std::unique_ptr<Layer>> layers);
  // `name` stands in error messages: "NAME:3: unknown layer 'covn'; known: conv, ...". Throws InputError (text) or
  // ShapeError (the same place, a layer that cannot take its input).
  static Network parse(std::string_view text, const std::string& name);
  // A preset, or a path to a network file.
  static Network load(const std::string& preset_or_file);
  static std::vector<std::string> presets();
  static std::string preset_list();  // "lenet, small, ...", for messages
  static std::string preset_text(const std::string& preset);

  // The same layers for another input size (H,W,C), e.g. the data set's; embedding size 0 keeps the last linear layer's
  // width. Throws ShapeError when the layers cannot take it.
  static Network for_input(const std::string& preset_or_file, const Shape& input, int embedding = 0);
  // From a text, in place of the input size that it names.
  static Network parse_for_input(std::string_view text, const std::string& name, const Shape& input, int embedding = 0);

  // Before the parameters are allocated: the first `layers` of the layers that have parameters, as table() numbers them,
  // keep these while training, and run as after training (a batch normalisation by its averages); -n: all but the last
  // n. Throws InputError where there are no such layers, where none would be left, and inside a residual block.
  void freeze(int layers);
  int frozen_layers() const { return frozen_layers_; }  // of layers()

  const Shape& input() const { return input_; }    // (H,W,C)
  const Shape& output() const { return output_; }  // (D), or (P,Q,K)
  // D. Throws ShapeError where the output is an image.
  int embedding_size() const;
  std::string text() const;  // parses back to an equal network
  const std::vector<std::unique_ptr<Layer>>& layers() const { return layers_; }
  const std::vector<Shape>& shapes() const { return shapes_; }  // [i]: input of layer i; last: output
  Parameters& parameters() { return parameters_; }
  const Parameters& parameters() const { return parameters_; }
  double flops() const;  // of one row's convolutions and linear layers, forward
  std::string table()
      const;  // a line a layer: number among those with parameters, description, output shape, parameters, MFLOP; for `gemel info`

 private:
  // `places`: for messages, where each layer was written; may be empty.
  Network(const Shape& input, std::vector<std::unique_ptr<Layer>> layers, const std::vector<std::string>& places);

  Shape input_, output_;
  std::string last_place_;  // where the last layer was written
  std::vector<std::unique_ptr<Layer>> layers_;
  std::vector<Shape> shapes_;
  std::vector<std::size_t> layer_parameters_;  // trainable numbers of each layer
  std::vector<std::size_t> entries_before_;    // parameters declared before each layer
  int frozen_layers_ = 0;
  Parameters parameters_;
};

// A network's memory for batches of up to `n` rows, planned as one allocation, and the order of its passes.
//
// Where the device fuses (Device::fuse), a convolution with the ReLU and the 2x2 max-pool after it is one step: what lies
// between them is never stored. In inference an affine or batch normalisation behind the convolution is part of it too.
//
// Training keeps each layer's output for backward, except where the next layer may write over it (ReLU over a
// convolution's output); gradients take turns in two buffers. Inference takes turns in two buffers for the outputs. A
// residual block holds one more in either, until its other end. A network's frozen layers are in either what they are in
// inference, and backward ends above them.
// Inference keeps the parameters in the form that the device's kernels work on (packed), and makes it anew in the first
// forward pass after the parameters were written. One scratch buffer serves all. `output_gradient()` and `input()` are never written by the plan.
//
// A plan borrows the network and the device: both must stay where they are and outlive it. Moving a Network (into a
// container, out of a function) while a plan refers to it leaves the plan with a dangling reference; keep the network
// in its last place before planning.
class Plan {
 public:
  enum class Mode {
    inference,
    training,
    training_with_input_gradient  // dL/d input as well, for gradient checks
  };
  // `seed`: of the random numbers of layers that draw some while training. Throws Error for n < 1, DeviceError when
  // memory is short.
  Plan(const Network& network, Device& device, int n, Mode mode, std::uint64_t seed = 0);

  int rows() const { return n_; }
  std::size_t steps() const { return steps_.size(); }               // layers and blocks of layers
  float* input() const { return f32(input_); }                      // (n, H,W,C): the caller fills it
  float* output() const { return f32(output_); }                    // (n, output shape)
  float* output_gradient() const { return f32(output_gradient_); }  // (n, output shape): training; the caller fills it
  std::size_t bytes() const { return arena_.bytes(); }

  // Rows [0, rows) of the input -> output. rows <= n, else Error; Error too if the parameters are not allocated.
  void forward(Stream& stream, int rows, const StepState* step = nullptr) const;
  // From output_gradient(); accumulates parameter gradients. `rows` and `step` as in the forward it belongs to. Throws
  // Error in a plan for inference.
  void backward(Stream& stream, int rows, const StepState* step = nullptr) const;
  float* input_gradient() const { return f32(input_gradient_); }  // (n, H,W,C), after backward; null without that mode
  Queue queue(const Stream& stream) const;                        // with the plan's scratch, for losses on its output

 private:
  using BufferId = int;  // index into buffers_
  static constexpr BufferId kNone = -1;

  // One call of forward and one of backward. Which layers make a step, and as which Layer, is plan_steps' business.
  struct Step {
    const Layer* layer;
    std::size_t x_bytes, y_bytes;  // of n rows
    bool training;                 // backward reaches it
    int opener = -1;               // of a ResidualEnd: the step of its Residual
    std::size_t skip_bytes = 0;    // of both
    BufferId x = kNone, y = kNone, saved = kNone, packed = kNone, dy = kNone, dx = kNone, skip = kNone, dskip = kNone;
  };
  class BufferSizes;
  class Turns;

  bool training() const { return mode_ != Mode::inference; }
  void plan_steps();
  void assign_outputs(BufferSizes& sizes);
  void assign_saved(BufferSizes& sizes);
  void assign_packed(BufferSizes& sizes);
  void assign_scratch(BufferSizes& sizes);
  void assign_gradients(BufferSizes& sizes);
  PlanContext plan_context(const Step& step, int n) const { return {device_.kernels(), n, step.training}; }
  LayerContext layer_context(const Stream& stream, bool training, const StepState* step) const;
  void check_rows(int rows) const;
  void pack(const Stream& stream) const;
  void* data(BufferId id) const;
  float* f32(BufferId id) const { return static_cast<float*>(data(id)); }

  const Network& network_;
  Device& device_;
  int n_;
  Mode mode_;
  std::uint64_t seed_;
  Arena arena_;
  std::vector<std::unique_ptr<Layer>> blocks_;  // layers that steps_ refers to and the network has not
  std::vector<Step> steps_;
  mutable std::uint64_t packed_version_ = 0;  // of the parameters that were packed; 0: none. Training: of frozen ones
  std::vector<Arena::Piece> buffers_;
  BufferId input_ = kNone, output_ = kNone, output_gradient_ = kNone, input_gradient_ = kNone, scratch_ = kNone;
};

}  // namespace gemel
