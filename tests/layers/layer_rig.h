// SPDX-License-Identifier: MIT
//
// What the layer tests share: a device with a stream, host copies of device memory, a layer that runs by itself on
// memory that nothing else uses, and numerical gradients.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <limits>
#include <memory>
#include <string>
#include <vector>

#include "engine/random.h"
#include "layers/network.h"
#include "layers/residual.h"
#include "tests/engine/devices.h"

namespace gemel {

constexpr float kNan = std::numeric_limits<float>::quiet_NaN();

using Floats = std::vector<float>;

inline Floats random_floats(std::size_t count, std::uint64_t seed, float deviation = 1) {
  Random random(seed);
  Floats values(count);
  for (float& value : values) value = deviation * random.normal();
  return values;
}

// Numbers of which no two, and none and 0, are closer than `gap`: every kink of a maximum or a ReLU is half a gap away.
inline Floats separated_floats(std::size_t count, std::uint64_t seed, float gap) {
  Random random(seed);
  Floats values(count);
  for (std::size_t i = 0; i < count; ++i) {
    values[i] = gap * (static_cast<float>(i / 2) + 1) * (i % 2 == 0 ? 1.0f : -1.0f);
  }
  for (std::size_t i = count; i > 1; --i) std::swap(values[i - 1], values[random.below(static_cast<int>(i))]);
  return values;
}

inline double dot(const Floats& a, const Floats& b) {
  double sum = 0;
  for (std::size_t i = 0; i < a.size(); ++i) sum += double{a[i]} * b[i];
  return sum;
}

// Equal as bits, so that NaN equals itself and -0 is not 0.
inline bool same_bits(const Floats& a, const Floats& b) {
  return a.size() == b.size() && (a.empty() || std::memcmp(a.data(), b.data(), a.size() * sizeof(float)) == 0);
}

// A device, its stream, and copies.
struct Rig {
  explicit Rig(const std::string& name) : device(open_device(name)), stream(device->make_stream()) {}

  void upload(float* to, const Floats& from) { device->upload(stream, to, from.data(), from.size() * sizeof(float)); }
  Floats download(const float* from, std::size_t count) { return gemel::download(*device, stream, from, count); }
  Floats gradients(const Parameters& parameters, ParamId id) {
    return download(parameters.gradient(id), parameters.entries()[static_cast<std::size_t>(id)].shape.count());
  }
  void zero_gradients(const Parameters& parameters) {
    device->fill_zero(stream, parameters.gradients(), parameters.count() * sizeof(float));
  }
  // New memory full of NaN.
  Buffer nan_buffer(std::size_t bytes) {
    Buffer buffer(*device, (bytes + 3) / 4 * 4);
    if (bytes > 0) upload(buffer.f32(), Floats((bytes + 3) / 4, kNan));
    return buffer;
  }

  std::unique_ptr<Device> device;
  Stream stream;
};

// One built layer and memory of its own for each of its tensors.
class LayerRun {
 public:
  LayerRun(Rig& rig, const Layer& layer, const Parameters& parameters, const Shape& input, const Shape& output, int n,
           bool training = true)
      : rig_(rig), layer_(layer), parameters_(parameters), n_(n), training_(training) {
    x_count_ = input.count() * static_cast<std::size_t>(n);
    y_count_ = output.count() * static_cast<std::size_t>(n);
    const PlanContext plan{rig.device->kernels(), n, training};
    x_ = rig.nan_buffer(x_count_ * sizeof(float));
    dx_ = rig.nan_buffer(x_count_ * sizeof(float));
    y_ = rig.nan_buffer(y_count_ * sizeof(float));
    dy_ = rig.nan_buffer(y_count_ * sizeof(float));
    saved_ = rig.nan_buffer(layer.saved_bytes(plan));
    scratch_ = rig.nan_buffer(layer.scratch_bytes(plan));
    const auto* end = dynamic_cast<const ResidualEnd*>(&layer);
    if (const auto* start = end != nullptr ? &end->start() : dynamic_cast<const Residual*>(&layer)) {
      skip_count_ = start->skip_shape().count() * static_cast<std::size_t>(n);
      skip_ = rig.nan_buffer(skip_count_ * sizeof(float));
      dskip_ = rig.nan_buffer(skip_count_ * sizeof(float));
    }
  }

  // What the two ends of a residual block hand each other.
  Floats skip() { return rig_.download(skip_.f32(), skip_count_); }
  Floats dskip() { return rig_.download(dskip_.f32(), skip_count_); }
  void set_skip(const Floats& values) { rig_.upload(skip_.f32(), values); }
  void set_dskip(const Floats& values) { rig_.upload(dskip_.f32(), values); }

  Floats forward(const Floats& x) {
    rig_.upload(x_.f32(), x);
    layer_.forward(context(), {.n = n_, .x = x_.f32(), .y = y_.f32(), .saved = saved_.data(), .skip = skip_.f32()});
    return rig_.download(y_.f32(), y_count_);
  }
  Floats backward(const Floats& dy) {
    rig_.upload(dy_.f32(), dy);
    layer_.backward(context(), {.n = n_,
                                .x = layer_.backward_needs_input() ? x_.f32() : nullptr,
                                .y = layer_.backward_needs_output() ? y_.f32() : nullptr,
                                .dy = dy_.f32(),
                                .dx = dx_.f32(),
                                .saved = saved_.data(),
                                .dskip = dskip_.f32()});
    return rig_.download(dx_.f32(), x_count_);
  }
  // As the first layer of a network runs: the input's gradient is not wanted.
  void backward_without_dx(const Floats& dy) {
    rig_.upload(dy_.f32(), dy);
    layer_.backward(context(), {.n = n_,
                                .x = layer_.backward_needs_input() ? x_.f32() : nullptr,
                                .y = layer_.backward_needs_output() ? y_.f32() : nullptr,
                                .dy = dy_.f32(),
                                .dx = nullptr,
                                .saved = saved_.data()});
  }

 private:
  LayerContext context() const {
    return {.kernels = rig_.device->kernels(),
            .queue = rig_.device->queue(rig_.stream, {.data = scratch_.data(), .bytes = scratch_.bytes()}),
            .parameters = parameters_,
            .training = training_,
            .seed = 0,
            .step = nullptr};
  }

  Rig& rig_;
  const Layer& layer_;
  const Parameters& parameters_;
  int n_;
  bool training_;
  std::size_t x_count_, y_count_, skip_count_ = 0;
  Buffer x_, y_, dy_, dx_, saved_, scratch_, skip_, dskip_;
};

// (f(v + step e_i) - f(v - step e_i)) / (2 step), the step as floats hold it.
inline double central_difference(Floats values, std::size_t i, float step,
                                 const std::function<double(const Floats&)>& objective) {
  const float middle = values[i], high = middle + step, low = middle - step;
  values[i] = high;
  const double above = objective(values);
  values[i] = low;
  const double below = objective(values);
  return (above - below) / (double{high} - double{low});
}

inline double largest(const Floats& values) {
  double most = 0;
  for (float value : values) most = std::max(most, std::abs(double{value}));
  return most;
}

}  // namespace gemel
