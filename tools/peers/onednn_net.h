// SPDX-License-Identifier: MIT
//
// A network of oneDNN primitives for a fixed batch, built layer by layer. Every primitive picks its own layouts;
// weights stay in them, activations are reordered only where two primitives disagree; ReLU is fused into the
// convolution or product before it. In the API of oneDNN 2.
#pragma once

#include <dnnl.hpp>
#include <functional>
#include <numeric>
#include <unordered_map>

#include "peer.h"

static_assert(DNNL_VERSION_MAJOR == 2, "this program is written for the API of oneDNN 2");

namespace peer {

using dnnl::memory, dnnl::algorithm, dnnl::prop_kind;
using Dims = memory::dims;

inline memory::desc any_layout(const Dims& dims) { return {dims, memory::data_type::f32, memory::format_tag::any}; }

inline float* data(const memory& m) { return static_cast<float*>(m.get_data_handle()); }
inline std::size_t floats(const memory& m) { return m.get_desc().get_size() / sizeof(float); }

// A network built layer by layer for a fixed batch, as two lists of primitives with their arguments.
class Net {
 public:
  // Input (n,c,h,w), plain layout: what a caller has.
  Net(Dims input, bool training) : training_(training), n_(input[0]) {
    input_ = memory({input, memory::data_type::f32, memory::format_tag::nchw}, engine_);
    x_ = input_;
    dims_ = std::move(input);
    const std::vector<float> values = peer::normal(floats(input_), 1);
    std::copy(values.begin(), values.end(), data(input_));
  }

  void conv(int k, int r, int pad, bool relu);
  void max_pool();  // 2x2, stride 2
  void linear(int out, bool relu);
  void finish();  // after the last layer: the output in plain layout, and the list of the backward pass

  void forward() { run(forward_); }
  void backward() { run(backward_); }
  void adam(float rate);
  float* input() { return data(input_); }
  float* output() { return data(output_); }
  float* output_gradient() { return data(output_gradient_); }
  std::size_t output_size() const { return floats(output_); }

 private:
  using Arguments = std::unordered_map<int, memory>;
  struct Call {
    dnnl::primitive primitive;
    Arguments arguments;
  };
  struct Parameter {
    memory value, gradient;
    std::vector<float> m, v;
  };

  void run(const std::vector<Call>& calls) {
    for (const Call& call : calls) call.primitive.execute(stream_, call.arguments);
    stream_.wait();
  }
  memory reordered(memory from, const memory::desc& to, std::vector<Call>& calls) {
    if (from.get_desc() == to) return from;
    memory result(to, engine_);
    calls.push_back({dnnl::reorder(from, result), {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, result}}});
    return result;
  }
  std::size_t parameter(const memory::desc& layout, float deviation) {
    Parameter p{memory(layout, engine_), memory(layout, engine_), {}, {}};
    p.m.resize(floats(p.value));
    p.v.resize(floats(p.value));
    // Normal numbers mean the same in any layout, but padding must stay 0: filled through a plain copy.
    const Dims dims = layout.dims();
    const auto plain = dims.size() == 4   ? memory::format_tag::oihw
                       : dims.size() == 2 ? memory::format_tag::oi
                                          : memory::format_tag::x;
    memory values({dims, memory::data_type::f32, plain}, engine_);
    const std::vector<float> normal = peer::normal(floats(values), static_cast<unsigned>(parameters_.size()) + 7);
    for (std::size_t i = 0; i < normal.size(); ++i) data(values)[i] = deviation * normal[i];
    dnnl::reorder(values, p.value).execute(stream_, values, p.value);
    stream_.wait();
    parameters_.push_back(std::move(p));
    return parameters_.size() - 1;
  }
  // dL/dy of a ReLU fused into the layer before -> dL/d(before ReLU).
  memory relu_gradient(const memory& y, const memory& dy);
  // Runs a gradient of weights into `p`, through a reorder where the primitive prefers another layout.
  template <class Primitive>
  void weight_gradient(const typename Primitive::primitive_desc& description, const memory& x, const memory& dy,
                       const Parameter& weight, const Parameter& bias);
  template <class Primitive>
  memory input_gradient(const typename Primitive::primitive_desc& description, const memory& dy,
                        const Parameter& weight);
  dnnl::primitive_attr fused(bool relu) const {
    dnnl::primitive_attr attributes;
    dnnl::post_ops operations;
    if (relu) operations.append_eltwise(1, algorithm::eltwise_relu, 0, 0);
    attributes.set_post_ops(operations);
    return attributes;
  }

  dnnl::engine engine_{dnnl::engine::kind::cpu, 0};
  dnnl::stream stream_{engine_};
  bool training_;
  memory::dim n_;
  Dims dims_;  // of x_, the current output
  memory input_, x_, output_, output_gradient_;
  std::vector<Call> forward_, backward_;
  std::vector<std::function<memory(memory dy)>> gradients_;  // one a layer; in reverse they build backward_
  std::vector<Parameter> parameters_;
  int steps_ = 0;
};

inline memory Net::relu_gradient(const memory& y, const memory& dy) {
  const memory::desc layout = y.get_desc();
  const auto kind = algorithm::eltwise_relu_use_dst_for_bwd;
  const dnnl::eltwise_forward::primitive_desc hint({prop_kind::forward_training, kind, layout, 0, 0}, engine_);
  const dnnl::eltwise_backward::primitive_desc description({kind, layout, layout, 0, 0}, engine_, hint);
  const memory dy_here = reordered(dy, layout, backward_);
  memory dx(description.diff_src_desc(), engine_);
  backward_.push_back({dnnl::eltwise_backward(description),
                       {{DNNL_ARG_DST, y}, {DNNL_ARG_DIFF_DST, dy_here}, {DNNL_ARG_DIFF_SRC, dx}}});
  return dx;
}

template <class Primitive>
inline void Net::weight_gradient(const typename Primitive::primitive_desc& description, const memory& x,
                                 const memory& dy, const Parameter& weight, const Parameter& bias) {
  const memory x_here = reordered(x, description.src_desc(), backward_);
  const memory dy_here = reordered(dy, description.diff_dst_desc(), backward_);
  const bool same = description.diff_weights_desc() == weight.gradient.get_desc();
  memory gradient = same ? weight.gradient : memory(description.diff_weights_desc(), engine_);
  backward_.push_back({Primitive(description),
                       {{DNNL_ARG_SRC, x_here},
                        {DNNL_ARG_DIFF_DST, dy_here},
                        {DNNL_ARG_DIFF_WEIGHTS, gradient},
                        {DNNL_ARG_DIFF_BIAS, bias.gradient}}});
  if (same) return;
  backward_.push_back(
      {dnnl::reorder(gradient, weight.gradient), {{DNNL_ARG_FROM, gradient}, {DNNL_ARG_TO, weight.gradient}}});
}

template <class Primitive>
inline memory Net::input_gradient(const typename Primitive::primitive_desc& description, const memory& dy,
                                  const Parameter& weight) {
  const memory weights = reordered(weight.value, description.weights_desc(), backward_);
  const memory dy_here = reordered(dy, description.diff_dst_desc(), backward_);
  memory dx(description.diff_src_desc(), engine_);
  backward_.push_back(
      {Primitive(description), {{DNNL_ARG_DIFF_DST, dy_here}, {DNNL_ARG_WEIGHTS, weights}, {DNNL_ARG_DIFF_SRC, dx}}});
  return dx;
}

inline void Net::conv(int k, int r, int pad, bool relu) {
  const bool first = forward_.empty();
  const memory::dim c = dims_[1], p = dims_[2] + 2 * pad - r + 1, q = dims_[3] + 2 * pad - r + 1;
  const memory::desc x_any = any_layout(dims_), w_any = any_layout({k, c, r, r}), b_any = any_layout({k});
  const memory::desc y_any = any_layout({n_, k, p, q});
  const Dims stride{1, 1}, padding{pad, pad};
  const auto kind = training_ ? prop_kind::forward_training : prop_kind::forward_inference;
  const auto automatic = algorithm::convolution_auto;
  // The first layer reads the caller's layout as it is; oneDNN has convolutions for that.
  const memory::desc x_wanted = first ? x_.get_desc() : x_any;
  const dnnl::convolution_forward::primitive_desc description(
      {kind, automatic, x_wanted, w_any, b_any, y_any, stride, padding, padding}, fused(relu), engine_);
  const memory x = reordered(x_, description.src_desc(), forward_);
  const std::size_t w = parameter(description.weights_desc(), std::sqrt(2.0f / static_cast<float>(c * r * r)));
  const std::size_t b = parameter(description.bias_desc(), 0);
  const memory y(description.dst_desc(), engine_);
  forward_.push_back({dnnl::convolution_forward(description),
                      {{DNNL_ARG_SRC, x},
                       {DNNL_ARG_WEIGHTS, parameters_[w].value},
                       {DNNL_ARG_BIAS, parameters_[b].value},
                       {DNNL_ARG_DST, y}}});
  x_ = y;
  dims_ = {n_, k, p, q};
  gradients_.push_back([=, this](memory dy) {
    if (relu) dy = relu_gradient(y, dy);
    const dnnl::convolution_forward::primitive_desc hint(
        {prop_kind::forward_training, automatic, x_any, w_any, b_any, y_any, stride, padding, padding}, engine_);
    weight_gradient<dnnl::convolution_backward_weights>(
        {{automatic, x_any, w_any, b_any, y_any, stride, padding, padding}, engine_, hint}, x, dy, parameters_[w],
        parameters_[b]);
    if (first) return memory();
    const dnnl::convolution_backward_data::primitive_desc back(
        {automatic, x_any, w_any, y_any, stride, padding, padding}, engine_, hint);
    return input_gradient<dnnl::convolution_backward_data>(back, dy, parameters_[w]);
  });
}

inline void Net::max_pool() {
  const Dims window{2, 2}, no_padding{0, 0};
  const memory x = x_;
  dims_ = {n_, dims_[1], dims_[2] / 2, dims_[3] / 2};
  const auto kind = training_ ? prop_kind::forward_training : prop_kind::forward_inference;
  const dnnl::pooling_forward::primitive_desc description(
      {kind, algorithm::pooling_max, x.get_desc(), any_layout(dims_), window, window, no_padding, no_padding}, engine_);
  const memory y(description.dst_desc(), engine_);
  Arguments arguments{{DNNL_ARG_SRC, x}, {DNNL_ARG_DST, y}};
  memory workspace;  // where the maxima were
  if (training_) arguments[DNNL_ARG_WORKSPACE] = workspace = memory(description.workspace_desc(), engine_);
  forward_.push_back({dnnl::pooling_forward(description), arguments});
  x_ = y;
  gradients_.push_back([=, this](memory dy) {
    const dnnl::pooling_backward::primitive_desc back(
        {algorithm::pooling_max, x.get_desc(), y.get_desc(), window, window, no_padding, no_padding}, engine_,
        description);
    const memory dy_here = reordered(dy, back.diff_dst_desc(), backward_);
    memory dx(back.diff_src_desc(), engine_);
    backward_.push_back({dnnl::pooling_backward(back),
                         {{DNNL_ARG_DIFF_DST, dy_here}, {DNNL_ARG_WORKSPACE, workspace}, {DNNL_ARG_DIFF_SRC, dx}}});
    return dx;
  });
}

inline void Net::linear(int out, bool relu) {
  Dims w_dims = dims_;
  w_dims[0] = out;
  const auto fan_in =
      static_cast<float>(std::accumulate(dims_.begin() + 1, dims_.end(), memory::dim{1}, std::multiplies<>()));
  const memory::desc x_any = any_layout(dims_), w_any = any_layout(w_dims), b_any = any_layout({out});
  const memory::desc y_any = any_layout({n_, out});
  const auto kind = training_ ? prop_kind::forward_training : prop_kind::forward_inference;
  const dnnl::inner_product_forward::primitive_desc description({kind, x_any, w_any, b_any, y_any}, fused(relu),
                                                                engine_);
  const memory x = reordered(x_, description.src_desc(), forward_);
  const std::size_t w = parameter(description.weights_desc(), std::sqrt(1 / fan_in));
  const std::size_t b = parameter(description.bias_desc(), 0);
  const memory y(description.dst_desc(), engine_);
  forward_.push_back({dnnl::inner_product_forward(description),
                      {{DNNL_ARG_SRC, x},
                       {DNNL_ARG_WEIGHTS, parameters_[w].value},
                       {DNNL_ARG_BIAS, parameters_[b].value},
                       {DNNL_ARG_DST, y}}});
  x_ = y;
  dims_ = {n_, out};
  gradients_.push_back([=, this](memory dy) {
    if (relu) dy = relu_gradient(y, dy);
    const dnnl::inner_product_forward::primitive_desc hint({prop_kind::forward_training, x_any, w_any, b_any, y_any},
                                                           engine_);
    weight_gradient<dnnl::inner_product_backward_weights>({{x_any, w_any, b_any, y_any}, engine_, hint}, x, dy,
                                                          parameters_[w], parameters_[b]);
    const dnnl::inner_product_backward_data::primitive_desc back({x_any, w_any, y_any}, engine_, hint);
    return input_gradient<dnnl::inner_product_backward_data>(back, dy, parameters_[w]);
  });
}

inline void Net::finish() {
  const auto plain = dims_.size() == 2 ? memory::format_tag::nc : memory::format_tag::nchw;
  const memory::desc layout(dims_, memory::data_type::f32, plain);
  output_ = reordered(x_, layout, forward_);
  if (!training_) return;
  output_gradient_ = memory(layout, engine_);
  const std::vector<float> values = peer::normal(floats(output_gradient_), 3);
  std::copy(values.begin(), values.end(), output_gradient());
  memory dy = output_gradient_;
  for (std::size_t i = gradients_.size(); i-- > 0;) dy = gradients_[i](dy);
}

inline void Net::adam(float rate) {
  ++steps_;
  const float m_scale = 1 / (1 - std::pow(0.9f, static_cast<float>(steps_)));
  const float v_scale = 1 / (1 - std::pow(0.999f, static_cast<float>(steps_)));
  for (Parameter& p : parameters_) {
    float *value = data(p.value), *m = p.m.data(), *v = p.v.data();
    const float* g = data(p.gradient);
    const auto count = static_cast<long>(p.m.size());
#pragma omp parallel for simd if (count > 65536)
    for (long i = 0; i < count; ++i) {
      m[i] = 0.9f * m[i] + 0.1f * g[i];
      v[i] = 0.999f * v[i] + 0.001f * g[i] * g[i];
      value[i] -= rate * m[i] * m_scale / (std::sqrt(v[i] * v_scale) + 1e-8f);
    }
  }
}

}  // namespace peer
