// SPDX-License-Identifier: MIT
//
// Dropout: random zeros while training.
#pragma once

#include "layers/layer.h"
#include "layers/text_line.h"

namespace gemel {

// While training each number is 0 with probability `rate`, else divided by 1 - rate; afterwards nothing happens, at no
// cost (Srivastava et al. 2014, in the form that scales while training). Which numbers are 0 is a function of the
// training run's seed, the step, the layer's name and the number's place: backward draws again what forward drew, and
// the two twins of a pair, being different rows, lose different numbers.
class Dropout : public Layer {
 public:
  static constexpr float kMostRate = 0.999f;
  static constexpr std::string_view kUsage = "dropout RATE";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit Dropout(float rate) : rate_(rate) {}

  std::string describe() const override { return "Dropout(" + real_text(rate_) + ")"; }
  std::string text() const override { return "dropout " + real_text(rate_); }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool in_place(bool) const override { return true; }
  bool forward_is_identity(bool training) const override { return !training; }
  bool backward_needs_input() const override { return false; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  void drop(const LayerContext& context, int n, const float* from, float* to) const;

  float rate_;
  std::size_t row_ = 0;  // values of one row
  std::uint32_t stream_ = 0;
};

}  // namespace gemel
