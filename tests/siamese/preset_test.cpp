// SPDX-License-Identifier: MIT
//
// The large networks that come by name: a few steps of training each, on `cpu`, with a batch as small as it gets.
#include <cmath>

#include "siamese/model.h"
#include "siamese/trainer.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

TEST(PresetTest, LargeNetworksTrain) {
  const std::unique_ptr<Device> device = open_device("cpu");
  for (const char* name : {"koch", "facenet-small", "resnet-face"}) {
    SCOPED_TRACE(name);
    Network network = Network::load(name);
    const int h = network.input()[0], w = network.input()[1], c = network.input()[2];
    Dataset data = patterns(2, 2, h, w * c, 3);
    data.width = w;
    data.channels = c;
    Model model(std::move(network), data.statistics(), *device, 1);
    const std::vector<float> before = model.encoder().embed(data);

    TrainOptions options;
    options.rule = SgdParams{};
    options.steps = 2;
    options.pairs = 2;
    Trainer trainer(model.encoder(), data, options);
    trainer.run({});
    EXPECT_TRUE(std::isfinite(trainer.history().back().mean_loss));
    EXPECT_GT(trainer.history().back().mean_loss, 0);

    const std::vector<float> after = model.encoder().embed(data);
    EXPECT_NE(after, before);
    for (const float value : after) ASSERT_TRUE(std::isfinite(value));
  }
}

}  // namespace
}  // namespace gemel
