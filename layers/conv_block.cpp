// SPDX-License-Identifier: MIT
//
// ConvBlockLayer: which layers merge; the arithmetic is the device's.
#include "layers/conv_block.h"

#include <stdexcept>

#include "layers/elementwise.h"
#include "layers/pool2d.h"

namespace gemel {
namespace {

bool is_relu(const Layer& layer) {
  const auto* activation = dynamic_cast<const ActivationLayer*>(&layer);
  return activation != nullptr && activation->kind() == Activation::relu;
}

// A 2x2 max-pool of stride 2 whose windows all lie inside the image.
bool is_pool(const Layer& layer) {
  const auto* pool = dynamic_cast<const MaxPool2d*>(&layer);
  if (pool == nullptr) return false;
  const Pool2dShape s = pool->shape_of(1);
  return s.r == 2 && s.s == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 && s.pad_w == 0 &&
         2 * s.p() <= s.h && 2 * s.q() <= s.w;
}

}  // namespace

std::size_t ConvBlockLayer::length(std::span<const std::unique_ptr<Layer>> layers) {
  if (layers.empty() || dynamic_cast<const Conv2d*>(layers[0].get()) == nullptr) return 0;
  bool relu = false, pool = false;
  std::size_t count = 1;
  for (; count < layers.size(); ++count) {
    const Layer& layer = *layers[count];
    if (!relu && is_relu(layer)) {
      relu = true;
    } else if (!pool && is_pool(layer)) {
      pool = true;
    } else {
      break;
    }
  }
  return count;
}

ConvBlockLayer::ConvBlockLayer(std::span<const std::unique_ptr<Layer>> layers)
    : conv_(dynamic_cast<const Conv2d&>(*layers[0])), text_(conv_.text()) {
  for (const std::unique_ptr<Layer>& layer : layers.subspan(1)) {
    (is_relu(*layer) ? relu_ : pool_) = true;
    text_ += "\n" + layer->text();
  }
}

std::string ConvBlockLayer::describe() const {
  return conv_.describe() + (relu_ ? " + ReLU" : "") + (pool_ ? " + MaxPool2d(2x2)" : "");
}

Shape ConvBlockLayer::build(const Shape&, const std::string&, Parameters&) {
  throw std::logic_error(describe() + ": a block's layers are built before it");
}

std::size_t ConvBlockLayer::saved_bytes(const PlanContext& context) const {
  if (!pool_) return 0;
  const ConvBlock b = block(context.n);
  return static_cast<std::size_t>(b.conv.n) * b.out_h() * b.out_w() * b.conv.k;  // the argmax
}

std::size_t ConvBlockLayer::scratch_bytes(const PlanContext& context) const {
  return context.kernels.conv_block_scratch(block(context.n));
}

std::size_t ConvBlockLayer::packed_bytes(const PlanContext& context) const {
  return context.kernels.conv_block_packed_bytes(block(context.n));
}

void ConvBlockLayer::pack(const LayerContext& context, void* packed) const {
  context.kernels.conv_block_pack(context.queue, block(1), conv_.weight(context.parameters), packed);
}

void ConvBlockLayer::forward(const LayerContext& context, const ForwardIo& io) const {
  context.kernels.conv_block_forward(context.queue, block(io.n), io.x, conv_.weight(context.parameters), io.packed,
                                     conv_.bias(context.parameters), io.y, static_cast<std::uint8_t*>(io.saved));
}

void ConvBlockLayer::backward(const LayerContext& context, const BackwardIo& io) const {
  context.kernels.conv_block_backward(context.queue, block(io.n), io.x, conv_.weight(context.parameters), io.y,
                                      static_cast<const std::uint8_t*>(io.saved), io.dy, io.dx,
                                      conv_.weight_gradient(context.parameters),
                                      conv_.bias_gradient(context.parameters));
}

}  // namespace gemel
