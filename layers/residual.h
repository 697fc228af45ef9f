// SPDX-License-Identifier: MIT
//
// Residual and ResidualEnd: the two ends of a residual block (He, Zhang, Ren, Sun 2016). A network stays a flat list of
// layers, so that plans merge layers inside blocks as elsewhere:
//
//   residual            # or `residual avgpool 2`
//     conv 64 3x3 pad same
//     relu
//     conv 64 3x3 pad same
//   end                 # y = what the block computed + its input
//
// Blocks may nest. Between both ends the block's input, or its average pool, is held by whoever runs the layers: it is
// the `skip` of ForwardIo, and its gradient the `dskip` of BackwardIo.
#pragma once

#include "layers/layer.h"
#include "layers/text_line.h"

namespace gemel {

// Where a block starts. y = x; skip = x, or with `pool` the average of its 2x2 windows of stride 2 (a last odd row or
// column is dropped). Backward: dx = dy + the gradient of skip.
class Residual : public Layer {
 public:
  static constexpr std::string_view kUsage = "residual [avgpool 2] ... end";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit Residual(bool pool = false) : pool_(pool) {}

  bool pools() const { return pool_; }               // skip has memory of its own
  const Shape& skip_shape() const { return skip_; }  // of a row
  std::string describe() const override { return pool_ ? "Residual(avgpool 2)" : "Residual"; }
  std::string text() const override { return pool_ ? "residual avgpool 2" : "residual"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool in_place(bool) const override { return !pool_; }
  bool forward_is_identity(bool) const override { return true; }
  bool backward_needs_input() const override { return false; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  Pool2dShape pool_of(int n) const;

  bool pool_;
  Shape input_, skip_;
};

// Where it ends. y = x + skip; the smaller of the two counts as 0 where it has no row, column or channel (dlib's
// add_prev, ResidualShape). Rows of features are images of one pixel.
class ResidualEnd : public Layer {
 public:
  static constexpr std::string_view kUsage = "end";

  // Refers to `start`, which must stay where it is.
  explicit ResidualEnd(const Residual& start) : start_(start) {}

  const Residual& start() const { return start_; }
  std::string describe() const override;
  std::string text() const override { return "end"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  // Where y has the shape of x, it may be written over it, and dx is dy.
  bool in_place(bool) const override { return main_ == sum_; }
  bool backward_is_identity() const override { return main_ == sum_; }
  bool backward_needs_input() const override { return false; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  // Parts of dy whose memory dx or dskip is already are left as they are.
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  ResidualShape shape_of(int n) const;

  const Residual& start_;
  Shape main_, sum_;
};

// How many blocks deeper the layers after this one lie: 1 behind a Residual, -1 behind its end, else 0.
int nesting(const Layer& layer);

}  // namespace gemel
