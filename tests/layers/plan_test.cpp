// SPDX-License-Identifier: MIT
//
// Plan shares memory between tensors. Its results must be, bit for bit, those of the same layers run on memory that
// shares nothing. Over 400 lines: sharing, blocks, folding and freezing are one question, asked with the same tools.
#include "layers/conv_block.h"
#include "tests/layers/layer_rig.h"

namespace gemel {
namespace {

// Each puts a different question to the sharing of memory.
const std::vector<std::string> kNetworks = {
    // ReLU over a convolution, a maximum, a linear layer; two gradient buffers of growing size
    "input 9x7x2\nconv 3 3x3 pad same\nrelu\nmaxpool 2 ceil\nrelu\nconv 4 2x3\nsigmoid\nlinear 5\nrelu\nlinear 3",
    // the first layer may not write over the input
    "input 3x5x2\nrelu\nconv 3 2x2\nlinear 4",
    "input 3x5x2\nsigmoid\nflatten\nrelu",
    // flatten first, then something that would write over the input through it
    "input 3x5x2\nflatten\nrelu\nlinear 4",
    // backward of the layer before reads the output that would be written over
    "input 2x3x4\nconv 4 2x2\nsigmoid\nrelu\nsigmoid\nsigmoid\nlinear 3",
    "input 2x3x4\nlinear 7\nl2normalize\nsigmoid\nlinear 3\nl2normalize\nflatten\nrelu",
    "input 2x3x4\nlinear 7\nsigmoid\nflatten\nrelu\nlinear 3",
    // the last layer may not write its gradient over the caller's
    "input 1x1x5\nlinear 3\nrelu",
    "input 1x1x5\nlinear 3\nflatten",
    // one layer
    "input 1x1x5\nlinear 3",
    "input 2x2x2\nflatten",
    // blocks: what would write over the block's input; identities at its start; a block alone
    "input 5x4x3\nconv 3 3x3 pad same\nresidual\nrelu\nconv 3 3x3 pad same\nend\nrelu\nlinear 3",
    "input 5x4x3\nresidual\nrelu\nend\nflatten",
    "input 5x4x3\nflatten\nresidual\ndropout 0.5\nrelu\nend\nrelu",
    "input 2x3x4\nlinear 7\nresidual\nflatten\nsigmoid\nend\nsigmoid",
    // blocks in blocks, holding the same tensor, and ending together; the last layer's gradient is the caller's
    "input 5x4x3\nresidual\nresidual\nconv 3 3x3 pad same\nrelu\nend\nconv 5 1x1\nend\nresidual\nprelu\nconv 2 2x2\n"
    "relu\nend\nflatten\nresidual\nlinear 9\nrelu\nend",
    "input 5x4x3\nlinear 6\nresidual\nresidual\nresidual\nrelu\nlinear 6\nend\nend\nsigmoid\nend",
    // skips that are averaged, larger or smaller than the sum
    "input 9x8x3\nconv 4 3x3 pad same\nrelu\nresidual avgpool 2\nrelu\nconv 6 3x3 stride 2\naffine\nrelu\nconv 6 3x3 "
    "pad "
    "same\nend\nrelu\nresidual avgpool 2\nconv 3 3x3 pad same\nend\nrelu\nglobalavgpool\nlinear 5",
    "input 5x4x3\nresidual avgpool 2\nrelu\nresidual avgpool 2\nsigmoid\nconv 3 2x2\nend\nrelu\nend\nlinear 2",
};

struct Results {
  Floats output, input_gradient, parameter_gradients;
};

bool same_results(const Results& a, const Results& b) {
  return same_bits(a.output, b.output) && same_bits(a.input_gradient, b.input_gradient) &&
         same_bits(a.parameter_gradients, b.parameter_gradients);
}

Floats input_of(const Network& network, int rows) {
  return random_floats(network.input().count() * static_cast<std::size_t>(rows), 31);
}

Floats output_gradient_of(const Network& network, int rows) {
  return random_floats(network.output().count() * static_cast<std::size_t>(rows), 32);
}

Results run_plan(Rig& rig, const Network& network, const Plan& plan, const Floats& x, const Floats& dy, int rows) {
  rig.zero_gradients(network.parameters());
  rig.upload(plan.input(), x);
  rig.upload(plan.output_gradient(), dy);
  plan.forward(rig.stream, rows);
  plan.backward(rig.stream, rows);
  const float* dx = plan.input_gradient();  // null if the plan has none
  return {rig.download(plan.output(), dy.size()), dx == nullptr ? Floats() : rig.download(dx, x.size()),
          rig.download(network.parameters().gradients(), network.parameters().count())};
}

// Layer by layer, on host copies between buffers that belong to one tensor each.
Results run_layers(Rig& rig, const Network& network, const Floats& x, const Floats& dy, int rows,
                   bool training = true) {
  rig.zero_gradients(network.parameters());
  std::vector<std::unique_ptr<LayerRun>> runs;
  std::vector<std::size_t> open;  // Residuals without an end yet, or backwards the other way round
  Floats tensor = x;
  for (std::size_t i = 0; i < network.layers().size(); ++i) {
    const Layer& layer = *network.layers()[i];
    runs.push_back(std::make_unique<LayerRun>(rig, layer, network.parameters(), network.shapes()[i],
                                              network.shapes()[i + 1], rows, training));
    if (nesting(layer) < 0) {
      runs.back()->set_skip(runs[open.back()]->skip());
      open.pop_back();
    }
    tensor = runs.back()->forward(tensor);
    if (nesting(layer) > 0) open.push_back(i);
  }
  Results results;
  results.output = tensor;
  tensor = dy;
  if (!training) return results;
  for (std::size_t i = runs.size(); i-- > 0;) {
    const int change = nesting(*network.layers()[i]);
    if (change > 0) {
      runs[i]->set_dskip(runs[open.back()]->dskip());
      open.pop_back();
    }
    tensor = runs[i]->backward(tensor);
    if (change < 0) open.push_back(i);
  }
  results.input_gradient = tensor;
  results.parameter_gradients = rig.download(network.parameters().gradients(), network.parameters().count());
  return results;
}

class PlanTest : public testing::TestWithParam<std::string> {};

TEST_P(PlanTest, SharedMemoryChangesNothing) {
  constexpr int kRows = 3;
  for (const std::string& text : kNetworks) {
    SCOPED_TRACE(text);
    Rig rig(GetParam());
    rig.device->fuse = false;  // a block's sums have another order than its layers'
    Network network = Network::parse(text, "test");
    network.parameters().allocate(*rig.device, rig.stream, 5);
    const Floats x = input_of(network, kRows), dy = output_gradient_of(network, kRows);
    const Results want = run_layers(rig, network, x, dy, kRows);
    EXPECT_GT(largest(want.input_gradient), 0);

    const Plan plan(network, *rig.device, kRows, Plan::Mode::training_with_input_gradient);
    // First NaN through everything: whatever a step reads without having written it shows.
    run_plan(rig, network, plan, Floats(x.size(), kNan), Floats(dy.size(), kNan), kRows);
    EXPECT_TRUE(same_results(run_plan(rig, network, plan, x, dy, kRows), want));
    // What the caller filled is still there, so passes can be repeated.
    EXPECT_TRUE(same_bits(rig.download(plan.input(), x.size()), x));
    EXPECT_TRUE(same_bits(rig.download(plan.output_gradient(), dy.size()), dy));

    const Plan without_dx(network, *rig.device, kRows, Plan::Mode::training);
    rig.zero_gradients(network.parameters());
    rig.upload(without_dx.input(), x);
    rig.upload(without_dx.output_gradient(), dy);
    without_dx.forward(rig.stream, kRows);
    without_dx.backward(rig.stream, kRows);
    EXPECT_TRUE(same_bits(rig.download(network.parameters().gradients(), want.parameter_gradients.size()),
                          want.parameter_gradients));
    EXPECT_EQ(without_dx.input_gradient(), nullptr);

    const Plan inference(network, *rig.device, kRows, Plan::Mode::inference);
    for (const float fill : {kNan, 0.0f}) {
      rig.upload(inference.input(), fill == 0 ? x : Floats(x.size(), fill));
      inference.forward(rig.stream, kRows);
    }
    const Results trained = run_layers(rig, network, x, dy, kRows, false);
    EXPECT_TRUE(same_bits(rig.download(inference.output(), want.output.size()), trained.output));
    if (text.find("dropout") == std::string::npos) {
      EXPECT_TRUE(same_bits(trained.output, want.output));
    }
    EXPECT_TRUE(same_bits(rig.download(inference.input(), x.size()), x));
    EXPECT_EQ(inference.output_gradient(), nullptr);
  }
}

// What merges, and what must not: a pool with padding or a window cut off, an activation that is no ReLU, a second pool.
const std::vector<std::string> kBlocks = {
    "input 28x28x1\nconv 20 5x5\nmaxpool 2\nconv 50 5x5\nmaxpool 2\nlinear 9",
    "input 9x7x16\nconv 17 3x3 pad same\nrelu\nmaxpool 2\nconv 16 3x3 pad 1\nrelu\nlinear 5",
    "input 9x8x3\nconv 18 3x3 pad same nobias\nmaxpool 2\nrelu\nconv 5 2x2\nmaxpool 2\nmaxpool 1\nrelu\nrelu\nlinear 4",
    "input 9x7x2\nconv 3 3x3 pad same\nrelu\nmaxpool 2 ceil\nconv 4 3x2\nsigmoid\nmaxpool 2\nlinear 3",
    "input 12x12x2\nconv 3 3x3 stride 2 pad 1\nrelu\nmaxpool 2 pad 1\nconv 20 1x1\nrelu\nmaxpool 3 stride 2\nlinear 2",
    "input 8x8x2\nconv 3 3x3 pad same\nmaxpool 2 ceil\nconv 3 3x3\nmaxpool 2 stride 1\nrelu\nflatten\nrelu",
    "input 9x8x3\nconv 4 3x3 pad same\nrelu\nresidual avgpool 2\nconv 17 3x3 stride 2\nrelu\nresidual\nconv 17 3x3 pad "
    "same\n"
    "relu\nend\nmaxpool 2\nend\nrelu\nlinear 3",
};

// |a - b| <= tolerance * largest |b|
void expect_close(const Floats& a, const Floats& b, double tolerance, const char* what) {
  ASSERT_EQ(a.size(), b.size());
  const double scale = largest(b);
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!(std::abs(double{a[i]} - b[i]) <= tolerance * scale)) {
      ADD_FAILURE() << what << "[" << i << "] is " << a[i] << ", unfused " << b[i] << " (largest " << scale << ")";
      return;
    }
  }
}

TEST_P(PlanTest, BlocksComputeWhatTheirLayersDo) {
  constexpr int kRows = 3;
  for (const std::string& text : kBlocks) {
    SCOPED_TRACE(text);
    Rig rig(GetParam());
    Network network = Network::parse(text, "test");
    network.parameters().allocate(*rig.device, rig.stream, 5);
    const Floats x = input_of(network, kRows), dy = output_gradient_of(network, kRows);

    rig.device->fuse = false;
    const Plan layers(network, *rig.device, kRows, Plan::Mode::training_with_input_gradient);
    const Results want = run_plan(rig, network, layers, x, dy, kRows);
    EXPECT_GT(largest(want.input_gradient), 0);

    rig.device->fuse = true;
    const Plan blocks(network, *rig.device, kRows, Plan::Mode::training_with_input_gradient);
    EXPECT_LT(blocks.steps(), layers.steps());
    run_plan(rig, network, blocks, Floats(x.size(), kNan), Floats(dy.size(), kNan), kRows);
    const Results got = run_plan(rig, network, blocks, x, dy, kRows);
    expect_close(got.output, want.output, 1e-5, "output");
    expect_close(got.input_gradient, want.input_gradient, 1e-5, "input gradient");
    expect_close(got.parameter_gradients, want.parameter_gradients, 1e-5, "parameter gradient");
    EXPECT_TRUE(same_results(run_plan(rig, network, blocks, x, dy, kRows), got));

    const Plan inference(network, *rig.device, kRows, Plan::Mode::inference);
    rig.upload(inference.input(), x);
    inference.forward(rig.stream, kRows);
    EXPECT_TRUE(same_bits(rig.download(inference.output(), got.output.size()), got.output));
  }
}

// Behind a convolution: folded into its filters in inference, a step of its own in training.
TEST_P(PlanTest, FoldsAffinesIntoTheConvolutionBefore) {
  constexpr int kRows = 3;
  Rig rig(GetParam());
  Network network = Network::parse(
      "input 12x11x3\nconv 20 3x3 pad same\nbatchnorm\nrelu\nmaxpool 2\nconv 17 3x3 pad same "
      "nobias\naffine\nrelu\nconv 5 "
      "2x2 stride 2\nbatchnorm\nresidual\nconv 5 3x3 pad same nobias\nbatchnorm\nend\nbatchnorm\nlinear 7\naffine",
      "test");
  Parameters& parameters = network.parameters();
  parameters.allocate(*rig.device, rig.stream, 5);
  // Scales, shifts and running statistics as training leaves them, variances above 0.
  for (std::size_t id = 0; id < parameters.entries().size(); ++id) {
    const Parameters::Entry& entry = parameters.entries()[id];
    Floats values = random_floats(entry.shape.count(), id + 100, 0.3f);
    for (float& value : values) value = entry.name.ends_with("variance") ? 0.5f + value * value : value;
    rig.upload(parameters.writable(static_cast<ParamId>(id)), values);
  }
  const Floats x = input_of(network, kRows);
  const std::size_t outputs = network.output().count() * kRows;
  const Floats want = run_layers(rig, network, x, Floats(outputs), kRows, false).output;
  const auto output_of = [&](const Plan& plan) {
    rig.upload(plan.input(), x);
    plan.forward(rig.stream, kRows);
    return rig.download(plan.output(), outputs);
  };
  const Plan blocks(network, *rig.device, kRows, Plan::Mode::inference);
  EXPECT_EQ(blocks.steps(), 9u);  // 4 convolutions, residual, end, batchnorm, linear, affine
  expect_close(output_of(blocks), want, 1e-5, "folded");
  EXPECT_EQ(Plan(network, *rig.device, kRows, Plan::Mode::training).steps(), network.layers().size());
  rig.device->fuse = false;
  const Plan layers(network, *rig.device, kRows, Plan::Mode::inference);
  EXPECT_TRUE(same_bits(output_of(layers), want));
  // A trained network's rows do not depend on each other, and what was folded is made anew.
  rig.upload(parameters.writable_values() + parameters.find("affine1.scale")->offset, Floats(17, 0));
  const Floats changed = output_of(blocks);
  EXPECT_FALSE(same_bits(changed, want));
  expect_close(changed, output_of(layers), 1e-5, "folded again");
}

// Affines are the same while training and after it: freezing changes neither the output nor what gradients are left.
TEST_P(PlanTest, FrozenLayersKeepTheirGradientsAtZero) {
  constexpr int kRows = 3;
  const char* text =
      "input 12x11x3\nconv 8 3x3 pad same\naffine\nrelu\nmaxpool 2\nresidual avgpool 2\nconv 8 2x2 stride "
      "2\naffine\nend\n"
      "relu\nresidual\nconv 8 3x3 pad same\naffine\nend\nrelu\nresidual avgpool 2\nconv 9 2x2 stride 2\naffine\nend\n"
      "linear 7";
  Rig rig(GetParam());
  for (const bool fuse : {false, true}) {
    rig.device->fuse = fuse;
    Network whole = Network::parse(text, "test");
    whole.parameters().allocate(*rig.device, rig.stream, 5);
    const Floats x = input_of(whole, kRows), dy = output_gradient_of(whole, kRows);
    const Plan whole_plan(whole, *rig.device, kRows, Plan::Mode::training);
    const Floats want = run_plan(rig, whole, whole_plan, x, dy, kRows).output;
    for (const int frozen : {2, 4, 6, 8, -1}) {
      SCOPED_TRACE(testing::Message() << frozen << (fuse ? ", fused" : ""));
      Network network = Network::parse(text, "test");
      network.freeze(frozen);
      network.parameters().allocate(*rig.device, rig.stream, 5);
      const Plan plan(network, *rig.device, kRows, Plan::Mode::training);
      run_plan(rig, network, plan, Floats(x.size(), kNan), Floats(dy.size(), kNan), kRows);
      expect_close(run_plan(rig, network, plan, x, dy, kRows).output, want, fuse ? 1e-5 : 0, "output");
      std::size_t frozen_entries = 0;
      for (const Parameters::Entry& entry : network.parameters().entries()) {
        const Floats got = rig.gradients(network.parameters(), network.parameters().id(entry.name));
        const Floats there = rig.gradients(whole.parameters(), whole.parameters().id(entry.name));
        if (entry.frozen) {
          EXPECT_EQ(got, Floats(got.size(), 0)) << entry.name;
          ++frozen_entries;
        } else {
          expect_close(got, there, fuse ? 1e-4 : 0, entry.name.c_str());
        }
      }
      EXPECT_EQ(frozen_entries, frozen == -1 ? 16u : 2u * static_cast<unsigned>(frozen));
    }
  }
}

// A frozen batch normalisation runs by its averages, and leaves them alone.
TEST_P(PlanTest, FrozenBatchNormStays) {
  constexpr int kRows = 4;
  Rig rig(GetParam());
  Network network = Network::parse("input 4x4x2\nconv 3 3x3\nbatchnorm\nrelu\nconv 3 1x1\nbatchnorm\nlinear 5", "test");
  network.freeze(2);
  Parameters& parameters = network.parameters();
  parameters.allocate(*rig.device, rig.stream, 5);
  const Plan plan(network, *rig.device, kRows, Plan::Mode::training);
  run_plan(rig, network, plan, input_of(network, kRows), output_gradient_of(network, kRows), kRows);
  const auto mean = [&](const char* name) { return rig.download(parameters.value(parameters.id(name)), 3); };
  EXPECT_EQ(mean("batchnorm1.running_mean"), Floats(3, 0));
  EXPECT_NE(mean("batchnorm2.running_mean"), Floats(3, 0));
  // What was packed of frozen layers is made anew when somebody writes them, not when an optimizer writes the others.
  const Floats before = rig.download(plan.output(), kRows * 5);
  rig.upload(parameters.writable(parameters.id("batchnorm1.gamma")), Floats(3, 0));
  EXPECT_FALSE(same_bits(
      run_plan(rig, network, plan, input_of(network, kRows), output_gradient_of(network, kRows), kRows).output,
      before));
  const std::uint64_t version = parameters.frozen_version();
  parameters.writable_trainable();
  EXPECT_EQ(parameters.frozen_version(), version);
}

TEST(Freeze, SaysWhatCannotBe) {
  const auto message = [](const char* text, int layers) {
    try {
      Network::parse(text, "test").freeze(layers);
    } catch (const InputError& error) {
      return std::string(error.what());
    }
    return std::string();
  };
  const char* plain = "input 4x4x2\nconv 3 3x3\nrelu\nlinear 5\nlinear 4\nl2normalize";
  EXPECT_EQ(message(plain, 0), "");
  EXPECT_EQ(message(plain, 2), "");
  EXPECT_EQ(message(plain, -1), "");
  EXPECT_EQ(message(plain, 3), "cannot freeze 3 of a network's 3 layers with parameters");
  EXPECT_EQ(message(plain, -4), "cannot freeze all but 4 of a network's 3 layers with parameters");
  EXPECT_EQ(message("input 4x4x2\nconv 3 1x1\nresidual\nconv 3 1x1\nconv 3 1x1\nend\nlinear 5", 2),
            "cannot freeze 2 layers: that ends inside a residual block, before which are 1");
}

TEST_P(PlanTest, MergesOnlyWhatABlockCanCompute) {
  Rig rig(GetParam());
  const auto steps = [&](const char* text) {
    return Plan(Network::parse(text, "test"), *rig.device, 1, Plan::Mode::inference).steps();
  };
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nrelu\nmaxpool 2\nlinear 2"), 2u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nmaxpool 2\nrelu\nlinear 2"), 2u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nmaxpool 2 ceil\nlinear 2"), 2u);  // nothing is cut off
  EXPECT_EQ(steps("input 7x8x1\nconv 2 3x3 pad same\nmaxpool 2\nlinear 2"), 2u);       // a row is dropped
  EXPECT_EQ(steps("input 7x8x1\nconv 2 3x3 pad same\nmaxpool 2 ceil\nlinear 2"), 3u);  // a row is half a window
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nmaxpool 2 pad 1\nlinear 2"), 3u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nmaxpool 3 stride 2\nlinear 2"), 3u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\navgpool 2\nlinear 2"), 3u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nsigmoid\nmaxpool 2\nlinear 2"), 4u);
  EXPECT_EQ(steps("input 8x8x1\nconv 2 3x3 pad same\nlinear 2\nrelu"), 3u);
  EXPECT_EQ(steps("input 8x8x1\nmaxpool 2\nrelu\nlinear 2"), 3u);
}

TEST_P(PlanTest, FewerRowsThanPlanned) {
  constexpr int kPlanned = 5;
  Rig rig(GetParam());
  rig.device->fuse = false;
  Network network = Network::parse(kNetworks.front(), "test");
  network.parameters().allocate(*rig.device, rig.stream, 5);
  const Plan plan(network, *rig.device, kPlanned, Plan::Mode::training_with_input_gradient);
  const std::size_t outputs = network.output().count(), inputs = network.input().count();
  for (const int rows : {1, 2, kPlanned}) {
    SCOPED_TRACE(rows);
    const Floats x = input_of(network, rows), dy = output_gradient_of(network, rows);
    run_plan(rig, network, plan, Floats(inputs * kPlanned, kNan), Floats(outputs * kPlanned, kNan), kPlanned);
    rig.upload(plan.output(), Floats(outputs * kPlanned, 123));
    rig.upload(plan.input_gradient(), Floats(inputs * kPlanned, 456));
    EXPECT_TRUE(same_results(run_plan(rig, network, plan, x, dy, rows), run_layers(rig, network, x, dy, rows)));
    const std::size_t rest = static_cast<std::size_t>(kPlanned - rows);
    EXPECT_EQ(rig.download(plan.output() + dy.size(), rest * outputs), Floats(rest * outputs, 123));
    EXPECT_EQ(rig.download(plan.input_gradient() + x.size(), rest * inputs), Floats(rest * inputs, 456));
  }

  // No rows: nothing changes.
  rig.zero_gradients(network.parameters());
  const Floats before = rig.download(plan.output(), outputs);
  plan.forward(rig.stream, 0);
  plan.backward(rig.stream, 0);
  EXPECT_TRUE(same_bits(rig.download(plan.output(), outputs), before));
  EXPECT_EQ(largest(rig.download(network.parameters().gradients(), network.parameters().count())), 0);
}

TEST_P(PlanTest, RowsDoNotDependOnTheirNeighbours) {
  constexpr int kRows = 4;
  Rig rig(GetParam());
  Network network = Network::load("lenet");
  network.parameters().allocate(*rig.device, rig.stream, 5);
  const Plan batch(network, *rig.device, kRows, Plan::Mode::inference);
  const Plan single(network, *rig.device, 1, Plan::Mode::inference);
  const std::size_t inputs = network.input().count(), outputs = network.output().count();
  const Floats x = input_of(network, kRows);
  rig.upload(batch.input(), x);
  batch.forward(rig.stream, kRows);
  for (std::size_t row = 0; row < kRows; ++row) {
    rig.upload(single.input(), Floats(x.begin() + static_cast<std::ptrdiff_t>(row * inputs),
                                      x.begin() + static_cast<std::ptrdiff_t>((row + 1) * inputs)));
    single.forward(rig.stream, 1);
    EXPECT_TRUE(
        same_bits(rig.download(single.output(), outputs), rig.download(batch.output() + row * outputs, outputs)))
        << "row " << row;
  }
}

// Dropout draws anew in each step of each run, and again the same for the same.
TEST_P(PlanTest, DropoutFollowsSeedAndStep) {
  Rig rig(GetParam());
  const Network network = Network::parse("input 10x10x4\ndropout 0.5\nflatten\ndropout 0.5", "test");
  const std::size_t count = network.output().count();
  const auto output_of = [&](std::uint64_t seed, std::int32_t at) {
    const Plan plan(network, *rig.device, 1, Plan::Mode::training_with_input_gradient, seed);
    StepState state{};
    state.step = at;
    const Buffer step(*rig.device, sizeof state);
    rig.device->upload(rig.stream, step.data(), &state, sizeof state);
    for (float* ones : {plan.input(), plan.output_gradient()}) rig.upload(ones, Floats(count, 1));
    const auto* now = static_cast<const StepState*>(step.data());
    plan.forward(rig.stream, 1, now);
    plan.backward(rig.stream, 1, now);
    const Floats y = rig.download(plan.output(), count);
    EXPECT_TRUE(same_bits(rig.download(plan.input_gradient(), count), y));  // drops what forward dropped
    return y;
  };
  const Floats first = output_of(1, 0);
  EXPECT_TRUE(same_bits(output_of(1, 0), first));
  EXPECT_FALSE(same_bits(output_of(1, 1), first));
  EXPECT_FALSE(same_bits(output_of(2, 0), first));
  // Two layers drop different numbers: of a quarter both, not half.
  const auto kept = std::count_if(first.begin(), first.end(), [](float y) { return y != 0; });
  EXPECT_NEAR(static_cast<double>(kept), 100, 5 * std::sqrt(400 * 0.25 * 0.75));
}

TEST_P(PlanTest, PacksParametersAgainAfterTheyWereWritten) {
  constexpr int kRows = 3;
  Rig rig(GetParam());
  Network network = Network::parse(kBlocks.front(), "test");
  network.parameters().allocate(*rig.device, rig.stream, 5);
  const Plan plan(network, *rig.device, kRows, Plan::Mode::inference);
  const Floats x = input_of(network, kRows);
  const std::size_t outputs = network.output().count() * kRows;
  const auto output_of = [&](const Plan& p) {
    rig.upload(p.input(), x);
    p.forward(rig.stream, kRows);
    return rig.download(p.output(), outputs);
  };
  const Floats before = output_of(plan);
  EXPECT_TRUE(same_bits(output_of(plan), before));
  for (const auto& entry : network.parameters().entries()) {
    const auto id = static_cast<ParamId>(network.parameters().find(entry.name) - network.parameters().entries().data());
    rig.upload(network.parameters().writable(id), random_floats(entry.shape.count(), 77, 0.1f));
  }
  const Floats after = output_of(plan);
  EXPECT_FALSE(same_bits(after, before));
  EXPECT_TRUE(same_bits(after, output_of(Plan(network, *rig.device, kRows, Plan::Mode::inference))));
}

template <class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  }
  return "no error";
}

TEST_P(PlanTest, Errors) {
  Rig rig(GetParam());
  Network network = Network::parse("input 1x1x5\nlinear 3", "test");
  EXPECT_EQ(message_of([&] { Plan(network, *rig.device, 0, Plan::Mode::training); }),
            "Plan: the batch must have at least 1 row, not 0");
  const Plan plan(network, *rig.device, 2, Plan::Mode::inference);
  EXPECT_EQ(message_of([&] { plan.forward(rig.stream, 1); }),
            "Plan: the network's parameters are not allocated; call parameters().allocate() first");
  network.parameters().allocate(*rig.device, rig.stream, 5);
  EXPECT_EQ(message_of([&] { plan.forward(rig.stream, 3); }), "Plan: 3 rows, planned for 0 to 2");
  EXPECT_EQ(message_of([&] { plan.forward(rig.stream, -1); }), "Plan: -1 rows, planned for 0 to 2");
  EXPECT_EQ(message_of([&] { plan.backward(rig.stream, 2); }),
            "Plan: backward needs a plan for training, this one is for inference");
}

INSTANTIATE_TEST_SUITE_P(Devices, PlanTest, testing::ValuesIn(test_devices()), device_test_name);

}  // namespace
}  // namespace gemel
