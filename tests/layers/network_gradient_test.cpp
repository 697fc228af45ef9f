// SPDX-License-Identifier: MIT
//
// A whole small network through Plan: gradients of the input and of every parameter against central differences.
#include "tests/layers/layer_rig.h"

namespace gemel {
namespace {

constexpr const char* kPlain = R"(
input 9x7x2
conv 3 3x3 pad same
relu
maxpool 2 ceil
conv 4 2x3 nobias
sigmoid
avgpool 2 stride 1
flatten
linear 6
relu
linear 4
l2normalize
)";

// Blocks inside each other; a skip that is averaged, and is the larger in one direction and the smaller in another; a
// block that starts with what would like to write over its input; one over features.
constexpr const char* kBlocks = R"(
input 7x6x2
conv 3 3x3 pad same nobias
batchnorm
sigmoid
residual
  relu
  conv 3 3x3 pad same nobias
  affine
  residual
    prelu
    conv 5 1x1
  end
  dropout 0.2
end
residual avgpool 2
  conv 4 3x3 stride 2
  affine
  prelu
  residual
    conv 4 3x3 pad same
    sigmoid
  end
end
globalavgpool
residual
  linear 5
  sigmoid
end
linear 4
)";

class NetworkGradientTest : public testing::TestWithParam<std::string> {};

struct Checked {
  int compared = 0, skipped = 0;
};

// Differences of two steps, extrapolated to step 0 (Richardson). Where a ReLU or a maximum has its kink between the
// points there is nothing to compare, and the element is counted as skipped: a smooth function's central differences
// agree and its second differences halve with the step. Neither test finds every kink alone: one right at the value
// spoils both central differences alike, one at a third of the larger step passes the second.
void check(const std::string& what, const Floats& at, const Floats& gradient,
           const std::function<double(const Floats&)>& objective, Checked& checked) {
  constexpr float kStep = 0.02f;
  constexpr double kTolerance = 5e-3, kSmooth = 1e-3;  // of the tensor's largest gradient
  const double scale = largest(gradient), middle = objective(at);
  for (std::size_t i = 0; i < at.size(); ++i) {
    double first[2], second[2];
    for (const int halved : {0, 1}) {
      const float step = halved == 1 ? kStep / 2 : kStep;
      Floats moved = at;
      moved[i] = at[i] + step;
      const double above = objective(moved), up = double{moved[i]} - at[i];
      moved[i] = at[i] - step;
      const double below = objective(moved), down = double{at[i]} - moved[i];
      first[halved] = (above - below) / (up + down);
      second[halved] = (above - middle) / up - (middle - below) / down;
    }
    const bool smooth =
        std::abs(first[0] - first[1]) <= kSmooth * scale && std::abs(second[0] - 2 * second[1]) <= 4 * kSmooth * scale;
    if (!smooth) {
      ++checked.skipped;
      continue;
    }
    ++checked.compared;
    const double want = (4 * first[1] - first[0]) / 3;
    EXPECT_TRUE(std::abs(gradient[i] - want) <= kTolerance * scale)
        << what << "[" << i << "] " << gradient[i] << ", numerically " << want;
  }
}

// Compares every gradient of the network, fused or not, and returns how many there are.
int compare_all(const std::string& device, const std::string& text, bool fuse) {
  constexpr int kRows = 2;
  Rig rig(device);
  rig.device->fuse = fuse;
  Network network = Network::parse(text, "test");
  Parameters& parameters = network.parameters();
  parameters.allocate(*rig.device, rig.stream, 11);
  Plan plan(network, *rig.device, kRows, Plan::Mode::training_with_input_gradient);

  const std::size_t outputs = static_cast<std::size_t>(kRows * network.embedding_size());
  const Floats x = random_floats(kRows * network.input().count(), 21), dy = random_floats(outputs, 22);
  const auto objective = [&] {
    plan.forward(rig.stream, kRows);
    return dot(rig.download(plan.output(), outputs), dy);
  };
  const auto of_input = [&](const Floats& values) {
    rig.upload(plan.input(), values);
    return objective();
  };
  of_input(x);
  rig.upload(plan.output_gradient(), dy);
  plan.backward(rig.stream, kRows);
  const Floats dx = rig.download(plan.input_gradient(), x.size());
  std::vector<Floats> gradients;
  for (std::size_t id = 0; id < parameters.entries().size(); ++id) {
    gradients.push_back(rig.gradients(parameters, static_cast<ParamId>(id)));
    if (!parameters.entries()[id].trainable) continue;
    EXPECT_GT(largest(gradients.back()), 1e-3) << parameters.entries()[id].name;
  }

  Checked checked;
  check("input", x, dx, of_input, checked);
  of_input(x);
  for (std::size_t id = 0; id < gradients.size(); ++id) {
    if (!parameters.entries()[id].trainable) continue;
    float* memory = parameters.writable(static_cast<ParamId>(id));
    const Floats value = rig.download(memory, gradients[id].size());
    const auto of_parameter = [&](const Floats& values) {
      rig.upload(memory, values);
      return objective();
    };
    check(parameters.entries()[id].name, value, gradients[id], of_parameter, checked);
    rig.upload(memory, value);
  }
  EXPECT_LT(checked.skipped, checked.compared / 4);
  return checked.compared + checked.skipped;
}

TEST_P(NetworkGradientTest, WholeNetwork) {
  EXPECT_EQ(compare_all(GetParam(), kPlain, true), 2 * 9 * 7 * 2 + (54 + 3) + 72 + (6 * 12 + 6) + (4 * 6 + 4));
}

TEST_P(NetworkGradientTest, ResidualBlocks) {
  constexpr int kInput = 2 * 7 * 6 * 2, kConv1 = 54 + 3 + 3, kBlock1 = 81 + 6 + 3 + 20, kDown = 4 * 45 + 4 + 8 + 4,
                kInner = 4 * 36 + 4, kFeatures = 5 * 5 + 5 + 4 * 5 + 4;
  for (const bool fuse : {true, false}) {
    EXPECT_EQ(compare_all(GetParam(), kBlocks, fuse), kInput + kConv1 + kBlock1 + kDown + kInner + kFeatures);
  }
}

INSTANTIATE_TEST_SUITE_P(Devices, NetworkGradientTest, testing::ValuesIn(test_devices()), device_test_name);

}  // namespace
}  // namespace gemel
