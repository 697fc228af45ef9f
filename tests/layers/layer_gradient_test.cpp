// SPDX-License-Identifier: MIT
//
// Every kind of layer by itself: output shape, forward on numbers that can be checked by hand, and backward against
// central differences of its own forward pass, at awkward shapes.
#include "layers/affine.h"
#include "layers/batch_norm.h"
#include "layers/conv2d.h"
#include "layers/dropout.h"
#include "layers/elementwise.h"
#include "layers/linear.h"
#include "layers/locally_connected2d.h"
#include "layers/pool2d.h"
#include "layers/prelu.h"
#include "tests/layers/layer_rig.h"

namespace gemel {
namespace {

struct LayerCase {
  std::string name;
  std::function<std::unique_ptr<Layer>()> make;
  Shape input, output;
  int n;
  bool kinks;          // the function has kinks: inputs are kept away from them
  float step;          // of the central differences; large where the function is linear
  bool batch = false;  // a row's output depends on the batch around it, or on its place there
};

template <class L, class... Arguments>
std::function<std::unique_ptr<Layer>()> maker(Arguments... arguments) {
  return [=] { return std::make_unique<L>(arguments...); };
}

std::vector<LayerCase> layer_cases() {
  const Conv2dOptions strided{.filters = 5, .window = {3, 2}, .stride = {2, 3}, .pad = {1, 0}};
  const Conv2dOptions same{.filters = 3, .window = {5, 3}, .same = true, .bias = false};
  const Conv2dOptions point{.filters = 1, .window = {1, 1}};
  const Conv2dOptions whole{.filters = 7, .window = {4, 3}};
  const Pool2dOptions pair{.window = {2, 2}}, overlap{.window = {3, 2}, .stride = {1, 2}, .pad = {1, 1}},
      ceil{.window = {3, 3}, .stride = {2, 2}, .ceil = true};
  return {
      {"conv_strided", maker<Conv2d>(strided), {7, 8, 3}, {4, 3, 5}, 2, false, 0.5f},
      {"conv_same_nobias", maker<Conv2d>(same), {5, 6, 2}, {5, 6, 3}, 3, false, 0.5f},
      {"conv_1x1", maker<Conv2d>(point), {1, 1, 1}, {1, 1, 1}, 1, false, 0.5f},
      {"conv_whole_image", maker<Conv2d>(whole), {4, 3, 5}, {1, 1, 7}, 2, false, 0.5f},
      {"local_strided", maker<LocallyConnected2d>(strided), {7, 8, 3}, {4, 3, 5}, 2, false, 0.5f},
      {"local_same_nobias", maker<LocallyConnected2d>(same), {5, 6, 2}, {5, 6, 3}, 3, false, 0.5f},
      {"local_1x1", maker<LocallyConnected2d>(point), {1, 1, 1}, {1, 1, 1}, 1, false, 0.5f},
      {"local_whole_image", maker<LocallyConnected2d>(whole), {4, 3, 5}, {1, 1, 7}, 2, false, 0.5f},
      {"linear", maker<Linear>(13), {31}, {13}, 3, false, 0.5f},
      {"linear_image_nobias", maker<Linear>(1, false), {3, 2, 5}, {1}, 5, false, 0.5f},
      {"maxpool", maker<MaxPool2d>(pair), {5, 4, 3}, {2, 2, 3}, 2, true, 0.1f},
      {"maxpool_overlap_pad", maker<MaxPool2d>(overlap), {5, 5, 2}, {5, 3, 2}, 2, true, 0.1f},
      {"maxpool_ceil", maker<MaxPool2d>(ceil), {6, 8, 1}, {3, 4, 1}, 3, true, 0.1f},
      {"avgpool", maker<AvgPool2d>(pair, PadCount::exclude), {5, 4, 3}, {2, 2, 3}, 2, false, 0.5f},
      {"avgpool_exclude", maker<AvgPool2d>(overlap, PadCount::exclude), {5, 5, 2}, {5, 3, 2}, 2, false, 0.5f},
      {"avgpool_include", maker<AvgPool2d>(overlap, PadCount::include), {5, 5, 2}, {5, 3, 2}, 2, false, 0.5f},
      {"avgpool_ceil", maker<AvgPool2d>(ceil, PadCount::exclude), {6, 8, 1}, {3, 4, 1}, 3, false, 0.5f},
      {"relu", maker<ActivationLayer>(Activation::relu), {3, 3, 5}, {3, 3, 5}, 2, true, 0.1f},
      {"sigmoid", maker<ActivationLayer>(Activation::sigmoid), {31}, {31}, 2, false, 0.03f},
      {"l2normalize", maker<L2Normalize>(), {33}, {33}, 3, false, 0.01f},
      {"l2normalize_plane", maker<L2Normalize>(), {2}, {2}, 1, false, 0.01f},
      {"flatten", maker<Flatten>(), {3, 2, 5}, {30}, 2, false, 0.5f},
      {"globalavgpool", maker<GlobalAvgPool2d>(), {3, 5, 7}, {7}, 2, false, 0.5f},
      {"prelu", maker<PRelu>(), {3, 3, 5}, {3, 3, 5}, 2, true, 0.1f},
      {"prelu_features", maker<PRelu>(), {31}, {31}, 3, true, 0.1f},
      {"affine", maker<Affine>(), {3, 2, 33}, {3, 2, 33}, 2, false, 0.5f},
      {"affine_features", maker<Affine>(), {7}, {7}, 3, false, 0.5f},
      {"batchnorm", maker<BatchNorm>(), {3, 3, 5}, {3, 3, 5}, 2, false, 0.03f, true},
      {"batchnorm_features", maker<BatchNorm>(), {7}, {7}, 5, false, 0.03f, true},
      {"dropout", maker<Dropout>(0.5f), {3, 2, 5}, {3, 2, 5}, 3, false, 0.5f, true},
  };
}

class LayerGradientTest : public testing::TestWithParam<std::string> {};

// A layer of a case, built, with its parameters on a device.
struct Built {
  Built(Rig& rig, const LayerCase& c) : layer(c.make()), output(layer->build(c.input, "layer1", parameters)) {
    parameters.allocate(*rig.device, rig.stream, 7);
    // Biases start at 0: let them be something.
    for (std::size_t id = 0; id < parameters.entries().size(); ++id) {
      rig.upload(parameters.writable(static_cast<ParamId>(id)),
                 random_floats(parameters.entries()[id].shape.count(), id + 5));
    }
  }
  std::unique_ptr<Layer> layer;
  Parameters parameters;
  Shape output;
};

TEST_P(LayerGradientTest, BackwardIsTheDerivativeOfForward) {
  constexpr double kTolerance = 1e-3;  // of the largest gradient
  for (const LayerCase& c : layer_cases()) {
    SCOPED_TRACE(c.name);
    Rig rig(GetParam());
    Built built(rig, c);
    Parameters& parameters = built.parameters;
    ASSERT_EQ(built.output, c.output);
    LayerRun run(rig, *built.layer, parameters, c.input, c.output, c.n);

    const std::size_t x_count = c.input.count() * static_cast<std::size_t>(c.n);
    const Floats x = c.kinks ? separated_floats(x_count, 3, 3 * c.step) : random_floats(x_count, 3);
    const Floats dy = random_floats(c.output.count() * static_cast<std::size_t>(c.n), 4);
    run.forward(x);
    const Floats dx = run.backward(dy);
    const auto of_input = [&](const Floats& values) { return dot(run.forward(values), dy); };
    for (std::size_t i = 0; i < x.size(); ++i) {
      const double want = central_difference(x, i, c.step, of_input);
      EXPECT_TRUE(std::abs(dx[i] - want) <= kTolerance * largest(dx) + 1e-5)
          << "dx[" << i << "] " << dx[i] << ", numerically " << want;
    }
    for (ParamId id = 0; id < static_cast<ParamId>(parameters.entries().size()); ++id) {
      const Floats gradient = rig.gradients(parameters, id),
                   value = rig.download(parameters.value(id), gradient.size());
      const auto of_parameter = [&](const Floats& values) {
        rig.upload(parameters.writable(id), values);
        return dot(run.forward(x), dy);
      };
      for (std::size_t i = 0; i < value.size(); ++i) {
        const double want = central_difference(value, i, c.step, of_parameter);
        EXPECT_TRUE(std::abs(gradient[i] - want) <= kTolerance * largest(gradient) + 1e-5)
            << parameters.entries()[static_cast<std::size_t>(id)].name << "[" << i << "] " << gradient[i]
            << ", numerically " << want;
      }
      rig.upload(parameters.writable(id), value);
    }
  }
}

TEST_P(LayerGradientTest, ParameterGradientsAccumulateAndInputGradientsOverwrite) {
  for (const LayerCase& c : layer_cases()) {
    SCOPED_TRACE(c.name);
    Rig rig(GetParam());
    Built built(rig, c);
    const Parameters& parameters = built.parameters;
    LayerRun run(rig, *built.layer, parameters, c.input, c.output, c.n);
    run.forward(separated_floats(c.input.count() * static_cast<std::size_t>(c.n), 3, 0.3f));
    const Floats dy = random_floats(c.output.count() * static_cast<std::size_t>(c.n), 4);

    const Floats dx = run.backward(dy);
    std::vector<Floats> once;
    for (ParamId id = 0; id < static_cast<ParamId>(parameters.entries().size()); ++id) {
      once.push_back(rig.gradients(parameters, id));
    }
    EXPECT_TRUE(same_bits(run.backward(dy), dx));
    run.backward_without_dx(dy);
    for (ParamId id = 0; id < static_cast<ParamId>(parameters.entries().size()); ++id) {
      const Floats thrice = rig.gradients(parameters, id), &first = once[static_cast<std::size_t>(id)];
      for (std::size_t i = 0; i < thrice.size(); ++i) {
        EXPECT_NEAR(thrice[i], 3 * first[i], 1e-4 * largest(first)) << "parameter " << id << " [" << i << "]";
      }
    }
  }
}

TEST_P(LayerGradientTest, RowsDoNotDependOnTheBatch) {
  for (const LayerCase& c : layer_cases()) {
    if (c.batch) continue;
    SCOPED_TRACE(c.name);
    Rig rig(GetParam());
    Built built(rig, c);
    LayerRun batch(rig, *built.layer, built.parameters, c.input, c.output, c.n);
    LayerRun single(rig, *built.layer, built.parameters, c.input, c.output, 1);
    const auto row = [](const Floats& values, int i, std::size_t size) {
      const auto begin = values.begin() + static_cast<std::ptrdiff_t>(size) * i;
      return Floats(begin, begin + static_cast<std::ptrdiff_t>(size));
    };
    const std::size_t x_row = c.input.count(), y_row = c.output.count();
    const Floats x = random_floats(x_row * static_cast<std::size_t>(c.n), 3);
    const Floats dy = random_floats(y_row * static_cast<std::size_t>(c.n), 4);
    const Floats y = batch.forward(x), dx = batch.backward(dy);
    for (int i = 0; i < c.n; ++i) {
      EXPECT_TRUE(same_bits(single.forward(row(x, i, x_row)), row(y, i, y_row))) << "y of row " << i;
      EXPECT_TRUE(same_bits(single.backward(row(dy, i, y_row)), row(dx, i, x_row))) << "dx of row " << i;
    }
  }
}

// The gradient checks compare a layer with itself; these numbers come from the definitions.
TEST_P(LayerGradientTest, KnownOutputs) {
  Rig rig(GetParam());
  const auto forward = [&](const LayerCase& c, const Floats& x, const std::vector<Floats>& parameter_values = {}) {
    Built built(rig, c);
    for (std::size_t id = 0; id < parameter_values.size(); ++id) {
      rig.upload(built.parameters.writable(static_cast<ParamId>(id)), parameter_values[id]);
    }
    EXPECT_EQ(built.output, c.output);
    return LayerRun(rig, *built.layer, built.parameters, c.input, c.output, c.n).forward(x);
  };
  const Floats image{1, 2, 3, 4, 5, 6, 7, 8, 9};  // 3x3x1
  EXPECT_EQ(
      forward({"", maker<Conv2d>(Conv2dOptions{.filters = 1, .window = {2, 2}}), {3, 3, 1}, {2, 2, 1}, 1, false, 0},
              image, {{1, 0, 0, 10}, {0.5f}}),
      (Floats{51.5f, 62.5f, 84.5f, 95.5f}));
  // The same filter at each place is a convolution; another one at the last is not.
  const LayerCase local{
      "", maker<LocallyConnected2d>(Conv2dOptions{.filters = 1, .window = {2, 2}}), {3, 3, 1}, {2, 2, 1}, 1, false, 0};
  EXPECT_EQ(forward(local, image, {{1, 0, 0, 10, 1, 0, 0, 10, 1, 0, 0, 10, 0, 1, 1, 0}, {0.5f, 0.5f, 0.5f, -1}}),
            (Floats{51.5f, 62.5f, 84.5f, 13}));
  EXPECT_EQ(forward({"", maker<Linear>(2), {3}, {2}, 1, false, 0}, {1, 2, 3}, {{1, 0, 0, 0, 1, 10}, {0.5f, -1}}),
            (Floats{1.5f, 31}));
  EXPECT_EQ(
      forward({"", maker<MaxPool2d>(Pool2dOptions{.window = {2, 2}, .ceil = true}), {3, 3, 1}, {2, 2, 1}, 1, false, 0},
              image),
      (Floats{5, 6, 8, 9}));
  EXPECT_EQ(
      forward({"", maker<AvgPool2d>(Pool2dOptions{.window = {2, 2}, .ceil = true}), {3, 3, 1}, {2, 2, 1}, 1, false, 0},
              image),
      (Floats{3, 4.5f, 7.5f, 9}));
  const Pool2dOptions padded{.window = {2, 2}, .pad = {1, 1}};
  EXPECT_EQ(forward({"", maker<AvgPool2d>(padded, PadCount::include), {3, 3, 1}, {2, 2, 1}, 1, false, 0}, image),
            (Floats{0.25f, 1.25f, 2.75f, 7}));
  EXPECT_EQ(forward({"", maker<ActivationLayer>(Activation::relu), {3}, {3}, 1, false, 0}, {-1, 0, 2}),
            (Floats{0, 0, 2}));
  EXPECT_EQ(forward({"", maker<ActivationLayer>(Activation::sigmoid), {1}, {1}, 1, false, 0}, {0}), (Floats{0.5f}));
  EXPECT_EQ(forward({"", maker<Flatten>(), {1, 3, 1}, {3}, 1, false, 0}, {1, 2, 3}), (Floats{1, 2, 3}));
  const Floats unit = forward({"", maker<L2Normalize>(), {2}, {2}, 2, false, 0}, {3, 4, 0, 0});
  EXPECT_NEAR(unit[0], 0.6f, 1e-6f);
  EXPECT_NEAR(unit[1], 0.8f, 1e-6f);
  EXPECT_EQ(unit[2], 0.0f);
  EXPECT_EQ(unit[3], 0.0f);
}

TEST_P(LayerGradientTest, BatchNormKeepsRunningAverages) {
  Rig rig(GetParam());
  BatchNorm layer;
  Parameters parameters;
  const Shape shape = layer.build({1, 2, 2}, "norm", parameters);
  EXPECT_EQ(parameters.parameter_count(), 4u);  // gamma and beta
  parameters.allocate(*rig.device, rig.stream, 1);
  const auto values = [&](const char* name) {
    return rig.download(parameters.values() + parameters.find(name)->offset, 2);
  };
  EXPECT_EQ(values("norm.running_mean"), (Floats{0, 0}));
  EXPECT_EQ(values("norm.running_variance"), (Floats{1, 1}));

  // Channel 0: 1, 2, 3, 6, mean 3, variance 14/4, unbiased 14/3. Channel 1: always 5.
  const std::uint64_t version = parameters.version();
  LayerRun training(rig, layer, parameters, shape, shape, 2);
  const Floats y = training.forward({1, 5, 2, 5, 3, 5, 6, 5});
  const double deviation = std::sqrt(3.5 + 1e-5);
  const Floats want{static_cast<float>(-2 / deviation), 0, static_cast<float>(-1 / deviation), 0, 0, 0,
                    static_cast<float>(3 / deviation),  0};
  for (std::size_t i = 0; i < y.size(); ++i) EXPECT_NEAR(y[i], want[i], 1e-6) << i;
  EXPECT_NEAR(values("norm.running_mean")[0], 0.3, 1e-6);
  EXPECT_NEAR(values("norm.running_mean")[1], 0.5, 1e-6);
  EXPECT_NEAR(values("norm.running_variance")[0], 0.9 + 0.1 * 14 / 3, 1e-6);
  EXPECT_NEAR(values("norm.running_variance")[1], 0.9, 1e-6);
  EXPECT_GT(parameters.version(), version);  // who packed parameters must do so again

  // Afterwards it is an affine of them, and rows do not depend on each other.
  LayerRun inference(rig, layer, parameters, shape, shape, 1, false);
  const Floats trained = inference.forward({1, 5, 2, 5});
  EXPECT_NEAR(trained[0], 0.7 / std::sqrt(0.9 + 0.1 * 14 / 3 + 1e-5), 1e-6);
  EXPECT_NEAR(trained[3], 4.5 / std::sqrt(0.9 + 1e-5), 1e-5);
}

TEST_P(LayerGradientTest, DropoutScalesWhatItKeeps) {
  Rig rig(GetParam());
  Dropout layer(0.25f);
  Parameters parameters;
  const Shape shape = layer.build({1001}, "dropout1", parameters);
  const Floats ones(3003, 1), y = LayerRun(rig, layer, parameters, shape, shape, 3).forward(ones);
  int dropped = 0;
  for (const float value : y) {
    EXPECT_TRUE(value == 0 || value == 1 / 0.75f) << value;
    dropped += value == 0 ? 1 : 0;
  }
  EXPECT_NEAR(dropped, 0.25 * 3003, 5 * std::sqrt(3003 * 0.25 * 0.75));
  EXPECT_EQ(LayerRun(rig, layer, parameters, shape, shape, 3, false).forward(ones), ones);
  // Another layer drops others.
  Dropout other(0.25f);
  other.build({1001}, "dropout2", parameters);
  EXPECT_FALSE(same_bits(LayerRun(rig, other, parameters, shape, shape, 3).forward(ones), y));
}

INSTANTIATE_TEST_SUITE_P(Devices, LayerGradientTest, testing::ValuesIn(test_devices()), device_test_name);

}  // namespace
}  // namespace gemel
