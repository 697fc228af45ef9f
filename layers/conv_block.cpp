// SPDX-License-Identifier: MIT
//
// ConvBlockLayer: which layers merge; the arithmetic is the device's.
#include "layers/conv_block.h"

#include <algorithm>
#include <cstddef>
#include <stdexcept>

#include "layers/elementwise.h"
#include "layers/pool2d.h"

namespace gemel {
namespace {

bool is_relu(const Layer& layer) {
  const auto* activation = dynamic_cast<const ActivationLayer*>(&layer);
  return activation != nullptr && activation->kind() == Activation::relu;
}

const ChannelAffine* as_affine(const Layer& layer) { return dynamic_cast<const ChannelAffine*>(&layer); }

constexpr std::size_t aligned(std::size_t bytes) { return (bytes + 255) / 256 * 256; }

// A 2x2 max-pool of stride 2 whose windows all lie inside the image.
bool is_pool(const Layer& layer) {
  const auto* pool = dynamic_cast<const MaxPool2d*>(&layer);
  if (pool == nullptr) return false;
  const Pool2dShape s = pool->shape_of(1);
  return s.r == 2 && s.s == 2 && s.stride_h == 2 && s.stride_w == 2 && s.pad_h == 0 && s.pad_w == 0 &&
         2 * s.p() <= s.h && 2 * s.q() <= s.w;
}

}  // namespace

std::size_t ConvBlockLayer::length(std::span<const std::unique_ptr<Layer>> layers, bool training) {
  if (layers.empty() || dynamic_cast<const Conv2d*>(layers[0].get()) == nullptr) return 0;
  bool relu = false, pool = false;
  std::size_t count = 1;
  if (!training && layers.size() > 1 && as_affine(*layers[1]) != nullptr) ++count;
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
    if (const ChannelAffine* affine = as_affine(*layer)) {
      affine_ = affine;
    } else {
      (is_relu(*layer) ? relu_ : pool_) = true;
    }
    text_ += concat("\n", layer->text());
  }
}

std::string ConvBlockLayer::describe() const {
  return conv_.describe() + (affine_ != nullptr ? " + affine" : "") + (relu_ ? " + ReLU" : "") +
         (pool_ ? " + MaxPool2d(2x2)" : "");
}

Shape ConvBlockLayer::build(const Shape&, const std::string&, Parameters&) {
  throw std::logic_error(describe() + ": a block's layers are built before it");
}

std::size_t ConvBlockLayer::saved_bytes(const PlanContext& context) const {
  if (!pool_) return 0;
  const ConvBlock b = block(context.n);
  return static_cast<std::size_t>(b.conv.n) * b.out_h() * b.out_w() * b.conv.k;  // the argmax
}

std::size_t ConvBlockLayer::filter_bytes() const {
  const Conv2dShape s = conv_.shape_of(1);
  return sizeof(float) * static_cast<std::size_t>(s.k) * s.r * s.s * s.c;
}

std::size_t ConvBlockLayer::bias_bytes() const {
  return affine_ == nullptr ? 0 : aligned(sizeof(float) * static_cast<std::size_t>(conv_.shape_of(1).k));
}

// With an affine, pack() has behind the kernel's own scratch: scale and shift, and the folded filters if they are to be
// packed.
std::size_t ConvBlockLayer::scratch_bytes(const PlanContext& context) const {
  const std::size_t kernel = context.kernels.conv_block_scratch(block(context.n));
  if (affine_ == nullptr) return kernel;
  return std::max(kernel, aligned(context.kernels.conv_block_scratch(block(1))) + 2 * bias_bytes() + filter_bytes());
}

// With an affine: the folded bias, and the folded filters, packed or as they are.
std::size_t ConvBlockLayer::packed_bytes(const PlanContext& context) const {
  const std::size_t packed = context.kernels.conv_block_packed_bytes(block(context.n));
  return affine_ == nullptr ? packed : bias_bytes() + (packed > 0 ? packed : filter_bytes());
}

void ConvBlockLayer::pack(const LayerContext& context, void* packed) const {
  const Kernels& kernels = context.kernels;
  const Conv2dShape s = conv_.shape_of(1);
  const float* weight = conv_.weight(context.parameters);
  if (affine_ == nullptr) return kernels.conv_block_pack(context.queue, block(1), weight, packed);

  const bool packs = kernels.conv_block_packed_bytes(block(1)) > 0;
  const std::size_t kernel_scratch = aligned(kernels.conv_block_scratch(block(1)));
  std::byte* const behind = static_cast<std::byte*>(context.queue.scratch.data) + kernel_scratch;
  std::byte* const filters = static_cast<std::byte*>(packed) + bias_bytes();
  auto* folded = reinterpret_cast<float*>(packs ? behind + 2 * bias_bytes() : filters);
  const auto [scale, shift] = affine_->scale_shift(context, reinterpret_cast<float*>(behind));
  kernels.scale_filters(context.queue, s.k, s.r * s.s * s.c, weight, conv_.bias(context.parameters), scale, shift,
                        folded, static_cast<float*>(packed));
  if (packs) kernels.conv_block_pack(context.queue, block(1), folded, filters);
}

void ConvBlockLayer::forward(const LayerContext& context, const ForwardIo& io) const {
  const ConvBlock b = block(io.n);
  const float *weight = conv_.weight(context.parameters), *bias = conv_.bias(context.parameters);
  const void* packed = io.packed;
  if (affine_ != nullptr) {
    const std::byte* filters = static_cast<const std::byte*>(io.packed) + bias_bytes();
    const bool packs = context.kernels.conv_block_packed_bytes(b) > 0;
    bias = static_cast<const float*>(io.packed);
    weight = packs ? nullptr : reinterpret_cast<const float*>(filters);
    packed = packs ? filters : nullptr;
  }
  context.kernels.conv_block_forward(context.queue, b, io.x, weight, packed, bias, io.y,
                                     static_cast<std::uint8_t*>(io.saved));
}

void ConvBlockLayer::backward(const LayerContext& context, const BackwardIo& io) const {
  context.kernels.conv_block_backward(context.queue, block(io.n), io.x, conv_.weight(context.parameters), io.y,
                                      static_cast<const std::uint8_t*>(io.saved), io.dy, io.dx,
                                      conv_.weight_gradient(context.parameters),
                                      conv_.bias_gradient(context.parameters));
}

}  // namespace gemel
