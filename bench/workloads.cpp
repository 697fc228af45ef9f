// SPDX-License-Identifier: MIT
//
// The workloads that are compared with other libraries, each with a check of its result.
#include "bench/workloads.h"

#include <algorithm>
#include <cmath>
#include <memory>

#include "bench/measure.h"
#include "bench/spot_check.h"
#include "engine/random.h"
#include "layers/network.h"

namespace gemel::bench {
namespace {

std::vector<float> normal(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& value : values) value = random.normal();
  return values;
}

// ---- training steps. The images are random: the loss falls towards that of embeddings that say nothing.
PreparedWorkload prepare_training(Device& device, const StepCase& c) {
  auto step = std::make_shared<TrainingStep>(device, c);
  auto mean_loss = [&step](int steps) {
    for (int i = 0; i < steps; ++i) step->call();
    return step->mean_loss();
  };
  const float first = mean_loss(10);
  mean_loss(20);
  const float last = mean_loss(10);
  PreparedWorkload ready{.problem = {}, .call = [step] { step->call(); }, .stream = &step->stream()};
  if (!(last < first)) ready.problem = concat("the loss does not fall: ", first, ", then ", last);
  return ready;
}

// ---- passes of a network
class Pass {
 public:
  Pass(Device& device, Network network, int n, Plan::Mode mode)
      : device_(device),
        stream_(device.make_stream()),
        network_(std::move(network)),
        n_(n),
        plan_(allocated(), device, n, mode) {
    fill(plan_.input(), network_.input().count(), 2);
    if (mode != Plan::Mode::inference) fill(plan_.output_gradient(), network_.output().count(), 3);
  }
  void forward() { plan_.forward(stream_, n_); }
  void backward() { plan_.backward(stream_, n_); }
  Stream& stream() { return stream_; }
  // Empty, or what is wrong with the values of one forward pass. That they are the right ones is what the tests show.
  std::string problem() {
    forward();
    bool any = false;
    for (const float value : download(device_, stream_, plan_.output(), n_ * network_.output().count())) {
      if (!std::isfinite(value)) return "the output is not finite";
      any = any || value != 0;
    }
    return any ? "" : "the output is 0 everywhere";
  }

 private:
  Network& allocated() {
    network_.parameters().allocate(device_, stream_, 1);
    return network_;
  }
  void fill(float* to, std::size_t numbers_a_row, std::uint64_t seed) {
    const std::vector<float> values = normal(n_ * numbers_a_row, seed);
    device_.upload(stream_, to, values.data(), values.size() * sizeof(float));
  }
  Device& device_;
  Stream stream_;
  Network network_;  // the plan borrows it
  int n_;
  Plan plan_;
};

PreparedWorkload prepare_embedding(Device& device, const std::string& net, int n) {
  auto pass = std::make_shared<Pass>(device, Network::load(net), n, Plan::Mode::inference);
  return {.problem = pass->problem(), .call = [pass] { pass->forward(); }, .stream = &pass->stream()};
}

// Nothing here can be fused but the ReLU.
PreparedWorkload prepare_stack(Device& device) {
  std::string text = "input 14x14x64\n";
  for (int i = 0; i < 8; ++i) text += "conv 64 3x3 pad same\nrelu\n";
  text += "flatten\n";
  auto pass = std::make_shared<Pass>(device, Network::parse(text, "stack3x3"), 64, Plan::Mode::training);
  return {.problem = pass->problem(),
          .call =
              [pass] {
                pass->forward();
                pass->backward();
              },
          .stream = &pass->stream()};
}

// ---- products of two matrices, each one call of the kernel table
struct Product {
  Product(Device& d, std::size_t a_count, std::size_t b_count, std::size_t y_count, std::size_t scratch_bytes)
      : device(d),
        stream(d.make_stream()),
        host_a(normal(a_count, 1)),
        host_b(normal(b_count, 2)),
        a(d, a_count * sizeof(float)),
        b(d, b_count * sizeof(float)),
        y(d, y_count * sizeof(float)),
        scratch(d, scratch_bytes) {
    d.upload(stream, a.data(), host_a.data(), a.bytes());
    d.upload(stream, b.data(), host_b.data(), b.bytes());
  }
  Queue queue() { return device.queue(stream, {scratch.data(), scratch.bytes()}); }

  Device& device;
  Stream stream;
  std::vector<float> host_a, host_b;
  Buffer a, b, y, scratch;
};

std::string check(Product& product, int n, int m, int d, double (*entry)(const float*, const float*, int)) {
  const std::vector<float> y = download(product.device, product.stream, product.y.f32(), std::size_t(n) * m);
  return spot_check(y.data(), product.host_a.data(), product.host_b.data(), n, m, d, entry);
}

PreparedWorkload prepare_pairwise(Device& device) {
  constexpr int kRows = 4096, kDim = 128;
  auto p = std::make_shared<Product>(device, kRows * kDim, kRows * kDim, kRows * kRows, 0);
  auto call = [p] {
    p->device.kernels().pairwise_distance(p->queue(), kRows, kRows, kDim, p->a.f32(), p->b.f32(), false, p->y.f32());
  };
  call();
  return {.problem = check(*p, kRows, kRows, kDim, distance), .call = call, .stream = &p->stream};
}

PreparedWorkload prepare_gemm(Device& device) {
  constexpr int kSize = 2048;
  static constexpr LinearShape kShape{.n = kSize, .in = kSize, .out = kSize};
  const std::size_t scratch = device.kernels().linear_scratch(kShape);
  auto p = std::make_shared<Product>(device, kSize * kSize, kSize * kSize, kSize * kSize, scratch);
  auto call = [p] {
    p->device.kernels().linear_fprop(p->queue(), kShape, p->a.f32(), p->b.f32(), nullptr, nullptr, p->y.f32());
  };
  call();
  return {.problem = check(*p, kSize, kSize, kSize, dot), .call = call, .stream = &p->stream};
}

// The loss of all pairs and its gradient, in one call. Checked: row 0's loss.
PreparedWorkload prepare_contrastive_all(Device& device) {
  constexpr int kRows = 4096, kDim = 128, kGroup = 8;
  struct Call {
    explicit Call(Device& d)
        : device(d),
          stream(d.make_stream()),
          e(d, kRows * kDim * sizeof(float)),
          labels(d, kRows * sizeof(std::int32_t)),
          loss(d, kRows * sizeof(float)),
          active(d, kRows * sizeof(float)),
          de(d, kRows * kDim * sizeof(float)),
          scratch(d, d.kernels().contrastive_all_scratch(kRows, kDim)) {}
    void operator()() {
      device.kernels().contrastive_all(device.queue(stream, {scratch.data(), scratch.bytes()}), kRows, kDim,
                                       Contrastive::hadsell, 1, e.f32(), static_cast<std::int32_t*>(labels.data()),
                                       loss.f32(), active.f32(), de.f32());
    }
    Device& device;
    Stream stream;
    Buffer e, labels, loss, active, de, scratch;
  };
  auto call = std::make_shared<Call>(device);
  // Distances around the margin: half of the pairs of different identities have a loss.
  std::vector<float> e = normal(kRows * kDim, 1);
  for (float& value : e) value /= 16;
  std::vector<std::int32_t> labels(kRows);
  for (int i = 0; i < kRows; ++i) labels[i] = i / kGroup;
  device.upload(call->stream, call->e.data(), e.data(), call->e.bytes());
  device.upload(call->stream, call->labels.data(), labels.data(), call->labels.bytes());
  (*call)();
  double want = 0;
  for (int j = 1; j < kRows; ++j) {
    const double d = distance(e.data(), e.data() + std::size_t(j) * kDim, kDim);
    want += (j < kGroup ? d * d : std::pow(std::max(0.0, 1 - d), 2)) / 2 / (kRows - 1);
  }
  const double got = download(device, call->stream, call->loss.f32(), 1)[0];
  const bool close = std::abs(got - want) <= 1e-4 * want;
  return {.problem = close ? "" : concat("row 0's loss is ", got, " instead of ", want),
          .call = [call] { (*call)(); },
          .stream = &call->stream};
}

}  // namespace

std::vector<Workload> workloads() {
  const StepCase lenet{.net = "lenet", .loss = {.name = "contrastive"}, .rows = 128};
  const StepCase small{.net = "small", .loss = {.name = "batch-hard"}, .rows = 128, .k = 16};
  std::vector<Workload> all;
  for (const StepCase& c : {lenet, small}) {
    all.push_back({concat("train/", c.net, "/", c.rows), c.rows, [c](Device& d) { return prepare_training(d, c); }});
  }
  for (const char* net : {"lenet", "small"}) {
    for (const int n : {64, 1}) {
      all.push_back({concat("embed/", net, "/", n), n, [=](Device& d) { return prepare_embedding(d, net, n); }});
    }
  }
  all.push_back({"stack3x3/64", 64, prepare_stack});
  all.push_back({"pairwise/4096x4096x128", 0, prepare_pairwise});
  all.push_back({"contrastive_all/4096x128", 0, prepare_contrastive_all});
  all.push_back({"sgemm/2048", 0, prepare_gemm});
  return all;
}

}  // namespace gemel::bench
