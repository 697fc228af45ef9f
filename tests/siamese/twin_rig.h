// SPDX-License-Identifier: MIT
//
// A tiny network on a device, with the passes of a training step in the test's hands.
#pragma once

#include <memory>
#include <string>
#include <utility>
#include <vector>

#include "layers/network.h"
#include "siamese/loss.h"
#include "tests/siamese/support.h"

namespace gemel {

// Smooth everywhere, so that numerical differences work; small, so that the executor is quick.
inline const char* const kSmoothNetwork = "input 5x5x1\nconv 3 3x3\nsigmoid\nlinear 4\n";

struct TwinRig {
  // With what `loss` declares for so many classes, if there is one.
  TwinRig(const std::string& device_name, const std::string& network_text, const EmbeddingLoss* loss = nullptr,
          int classes = 0)
      : device(open_device(device_name)), stream(device->make_stream()), network(Network::parse(network_text, "test")) {
    if (loss != nullptr) loss->declare(network.parameters(), network.embedding_size(), classes);
    network.parameters().allocate(*device, stream, 17);
  }

  std::vector<float> values() { return download(*device, stream, network.parameters().values(), count()); }
  std::vector<float> gradients() { return download(*device, stream, network.parameters().gradients(), count()); }
  void set_values(const std::vector<float>& values) {
    device->upload(stream, network.parameters().writable_values(), values.data(), values.size() * sizeof(float));
  }
  void zero_gradients() { device->fill_zero(stream, network.parameters().gradients(), count() * sizeof(float)); }
  void upload(float* to, const std::vector<float>& from) {
    device->upload(stream, to, from.data(), from.size() * sizeof(float));
  }
  std::size_t count() const { return network.parameters().count(); }

  std::unique_ptr<Device> device;
  Stream stream;
  Network network;
};

inline std::vector<float> normal_floats(std::size_t count, std::uint64_t seed) {
  Random random(seed);
  std::vector<float> values(count);
  for (float& x : values) x = random.normal();
  return values;
}

// A loss on a network, over rows with labels: forward, loss and backward as the trainer runs them. alike 0: as many rows
// as there are may be of one label.
class LossRig : public TwinRig {
 public:
  LossRig(const std::string& device_name, const std::string& network_text, const LossOptions& options,
          std::vector<std::int32_t> labels, int alike = 0)
      : TwinRig(device_name, network_text, make_loss(options).get(), classes_of(labels)),
        loss_(make_loss(options)),
        plan_(network, *device, static_cast<int>(labels.size()), Plan::Mode::training) {
    loss_->plan(device->kernels(), arena_, network.parameters(),
                {.rows = plan_.rows(),
                 .d = network.embedding_size(),
                 .classes = classes_of(labels),
                 .alike = alike > 0 ? alike : plan_.rows()});
    state_ = arena_.plan(sizeof(StepState));
    labels_ = arena_.plan(labels.size() * sizeof(std::int32_t));
    arena_.allocate(*device);
    set_labels(labels);
  }

  void set_labels(const std::vector<std::int32_t>& labels) {
    device->upload(stream, arena_.data(labels_), labels.data(), labels_.bytes);
  }
  void set_images(const std::vector<float>& images) { upload(plan_.input(), images); }

  // {loss, active share}
  std::pair<float, float> forward() {
    plan_.forward(stream, plan_.rows());
    return run_loss();
  }
  std::pair<float, float> run_loss() {
    zero_gradients();  // as the optimizer leaves them
    device->fill_zero(stream, state(), sizeof(StepState));
    loss_->run(device->kernels(), plan_.queue(stream), arena_, plan_.output(),
               static_cast<const std::int32_t*>(arena_.data(labels_)), state(), plan_.output_gradient());
    StepState read{};
    device->download(stream, &read, state(), sizeof(read));
    EXPECT_EQ(read.steps, 1);
    return {read.loss_sum, read.active_sum};
  }
  // Of the parameters, after forward().
  std::vector<float> backward() {
    plan_.backward(stream, plan_.rows());
    return gradients();
  }
  Plan& plan() { return plan_; }

 private:
  static int classes_of(const std::vector<std::int32_t>& labels) {
    return 1 + *std::max_element(labels.begin(), labels.end());
  }
  StepState* state() const { return static_cast<StepState*>(arena_.data(state_)); }
  std::unique_ptr<EmbeddingLoss> loss_;
  Plan plan_;
  Arena arena_;
  Arena::Piece state_, labels_;
};

}  // namespace gemel
