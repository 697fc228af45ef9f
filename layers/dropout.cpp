// SPDX-License-Identifier: MIT
//
// Dropout: its stream of random numbers; the drawing is the device's.
#include "layers/dropout.h"

#include "engine/random.h"
#include "layers/elementwise.h"

namespace gemel {

std::unique_ptr<Layer> Dropout::parse(TextLine& line) {
  return std::make_unique<Dropout>(line.real("rate", 0, kMostRate));
}

Shape Dropout::build(const Shape& input, const std::string& prefix, Parameters&) {
  if (!(rate_ >= 0 && rate_ <= kMostRate)) {
    throw ShapeError(concat(describe(), ": the rate must be from 0 to ", kMostRate));
  }
  row_ = input.count();
  stream_ = static_cast<std::uint32_t>(stream_of(prefix));
  return input;
}

void Dropout::drop(const LayerContext& context, int n, const float* from, float* to) const {
  const std::size_t count = row_ * static_cast<std::size_t>(n);
  context.kernels.dropout(context.queue, count, rate_, context.seed, stream_, context.step, from, to);
}

void Dropout::forward(const LayerContext& context, const ForwardIo& io) const {
  if (context.training) return drop(context, io.n, io.x, io.y);
  pass_on(context, row_ * static_cast<std::size_t>(io.n), io.x, io.y);
}

void Dropout::backward(const LayerContext& context, const BackwardIo& io) const {
  if (io.dx != nullptr) drop(context, io.n, io.dy, io.dx);
}

}  // namespace gemel
