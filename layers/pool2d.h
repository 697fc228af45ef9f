// SPDX-License-Identifier: MIT
//
// MaxPool2d and AvgPool2d: the maximum or mean of windows of an image. GlobalAvgPool2d: the mean of all of it.
#pragma once

#include "layers/layer.h"
#include "layers/text_line.h"

namespace gemel {

struct Pool2dOptions {
  Size2 window;
  Size2 stride{0, 0};  // 0: the window
  Size2 pad{0, 0};
  bool ceil = false;  // a last, partly covered window counts
};

// What both kinds share: y(N,P,Q,C) from windows of x(N,H,W,C). P and Q as Pool2dShape says.
class Pool2d : public Layer {
 public:
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool backward_needs_input() const override { return false; }
  Pool2dShape shape_of(int n) const;

 protected:
  explicit Pool2d(const Pool2dOptions& options);
  static Pool2dOptions parse_window(TextLine& line);
  static void parse_option(TextLine& line, std::string_view option, Pool2dOptions& options);
  std::string options_text() const;      // " 3 stride 2 ceil"
  std::string options_describe() const;  // "3x3, stride 2, ceil"

 private:
  Pool2dOptions options_;
  Pool2dShape shape_{};  // n = 0
};

// The gradient goes to the first maximum of a window. Padding never wins. Windows have at most 256 taps. NaN counts as
// a maximum, so that it is seen. Saved: the tap of each maximum, one byte.
class MaxPool2d : public Pool2d {
 public:
  static constexpr std::string_view kUsage = "maxpool N|RxS [stride N|NxN] [pad N|NxN] [ceil]";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit MaxPool2d(const Pool2dOptions& options) : Pool2d(options) {}

  std::string describe() const override { return "MaxPool2d(" + options_describe() + ")"; }
  std::string text() const override { return "maxpool" + options_text(); }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  std::size_t saved_bytes(const PlanContext& context) const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;
};

// The mean over all pixels: (H,W,C) -> (C), whatever H and W (Lin, Chen, Yan 2014, section 3.2).
class GlobalAvgPool2d : public Layer {
 public:
  static constexpr std::string_view kUsage = "globalavgpool";
  static std::unique_ptr<Layer> parse(TextLine&) { return std::make_unique<GlobalAvgPool2d>(); }

  std::string describe() const override { return "GlobalAvgPool2d"; }
  std::string text() const override { return "globalavgpool"; }
  Shape build(const Shape& input, const std::string& prefix, Parameters& parameters) override;
  bool backward_needs_input() const override { return false; }
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  Pool2dShape shape_of(int n) const;  // one window as large as the image

  int h_ = 0, w_ = 0, c_ = 0;
};

// The mean over the taps inside the image; with `count_pad` over all R*S taps, padding counting as zeros.
class AvgPool2d : public Pool2d {
 public:
  static constexpr std::string_view kUsage = "avgpool N|RxS [stride N|NxN] [pad N|NxN] [ceil] [count_pad]";
  static std::unique_ptr<Layer> parse(TextLine& line);

  explicit AvgPool2d(const Pool2dOptions& options, PadCount count = PadCount::exclude)
      : Pool2d(options), count_(count) {}

  std::string describe() const override;
  std::string text() const override;
  void forward(const LayerContext& context, const ForwardIo& io) const override;
  void backward(const LayerContext& context, const BackwardIo& io) const override;

 private:
  PadCount count_;
};

}  // namespace gemel
