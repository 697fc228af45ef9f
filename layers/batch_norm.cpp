// SPDX-License-Identifier: MIT
//
// BatchNorm: parameters, and which of its two lives it leads; the arithmetic is the device's.
#include "layers/batch_norm.h"

namespace gemel {

Shape BatchNorm::build(const Shape& input, const std::string& prefix, Parameters& parameters) {
  const Shape output = build_channels(input);
  const Initializer one{.kind = Initializer::Kind::constant, .value = 1};
  gamma_ = parameters.declare(prefix + ".gamma", {channels()}, one);
  beta_ = parameters.declare(prefix + ".beta", {channels()}, {});
  running_mean_ = parameters.declare(prefix + ".running_mean", {channels()}, {}, false);
  running_variance_ = parameters.declare(prefix + ".running_variance", {channels()}, one, false);
  return output;
}

std::size_t BatchNorm::saved_bytes(const PlanContext& context) const { return context.training ? pair_bytes() : 0; }

std::size_t BatchNorm::scratch_bytes(const PlanContext& context) const {
  return context.training ? ChannelAffine::scratch_bytes(context) : pair_bytes();
}

std::size_t BatchNorm::packed_bytes(const PlanContext& context) const { return context.training ? 0 : pair_bytes(); }

void BatchNorm::pack(const LayerContext& context, void* packed) const {
  scale_shift(context, static_cast<float*>(packed));
}

ScaleShift BatchNorm::scale_shift(const LayerContext& context, float* memory) const {
  const Parameters& p = context.parameters;
  context.kernels.batch_norm_fold(context.queue, channels(), params_.epsilon, p.value(gamma_), p.value(beta_),
                                  p.value(running_mean_), p.value(running_variance_), memory, memory + channels());
  return {memory, memory + channels()};
}

void BatchNorm::forward(const LayerContext& context, const ForwardIo& io) const {
  const std::size_t m = channel_rows(io.n);
  if (!context.training) {
    const auto* packed = static_cast<const float*>(io.packed);
    const ScaleShift affine = packed != nullptr ? ScaleShift{packed, packed + channels()}
                                                : scale_shift(context, static_cast<float*>(context.queue.scratch.data));
    return context.kernels.affine_forward(context.queue, m, channels(), io.x, affine.scale, affine.shift, io.y);
  }
  const Parameters& p = context.parameters;
  auto* mean = static_cast<float*>(io.saved);
  context.kernels.batch_norm_forward(context.queue, m, channels(), params_, io.x, p.value(gamma_), p.value(beta_), io.y,
                                     mean, mean + channels(), p.writable_buffer(running_mean_),
                                     p.writable_buffer(running_variance_));
}

void BatchNorm::backward(const LayerContext& context, const BackwardIo& io) const {
  const Parameters& p = context.parameters;
  const auto* mean = static_cast<const float*>(io.saved);
  context.kernels.batch_norm_backward(context.queue, channel_rows(io.n), channels(), io.x, p.value(gamma_), mean,
                                      mean + channels(), io.dy, io.dx, p.gradient(gamma_), p.gradient(beta_));
}

}  // namespace gemel
