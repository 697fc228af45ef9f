// SPDX-License-Identifier: MIT
//
// One pass over 2N rows is two towers; embeddings do not depend on the batch they were computed in.
#include "siamese/twin_encoder.h"

#include <algorithm>
#include <cmath>

#include "tests/engine/devices.h"
#include "tests/siamese/twin_rig.h"

namespace gemel {
namespace {

class TwinEncoderTest : public testing::TestWithParam<std::string> {};
INSTANTIATE_TEST_SUITE_P(Devices, TwinEncoderTest, testing::ValuesIn(test_devices()), device_test_name);

constexpr const char* kNetwork = "input 9x8x1\nconv 5 3x3\nrelu\nmaxpool 2\nlinear 7\nl2normalize\n";

// The same rows as two batches of n, gradients accumulated, as if the tower stood there twice with shared weights.
TEST_P(TwinEncoderTest, OnePassEqualsTwoTowers) {
  for (const int n : {1, 3, 16}) {
    SCOPED_TRACE(n);
    TwinRig rig(GetParam(), kNetwork);
    const std::size_t pixels = 9 * 8, d = 7;
    const auto rows = static_cast<std::size_t>(n);
    const std::vector<float> images = normal_floats(2 * rows * pixels, 1), dy = normal_floats(2 * rows * d, 2);

    Plan both(rig.network, *rig.device, 2 * n, Plan::Mode::training);
    rig.upload(both.input(), images);
    both.forward(rig.stream, 2 * n);
    rig.upload(both.output_gradient(), dy);
    both.backward(rig.stream, 2 * n);
    const std::vector<float> twin_output = download(*rig.device, rig.stream, both.output(), 2 * rows * d);
    const std::vector<float> twin_gradient = rig.gradients();

    rig.zero_gradients();
    Plan tower(rig.network, *rig.device, n, Plan::Mode::training);
    std::vector<float> tower_output;
    for (std::size_t twin = 0; twin < 2; ++twin) {
      auto half = [&](const std::vector<float>& all) {
        const auto size = static_cast<std::ptrdiff_t>(all.size() / 2);
        const auto begin = all.begin() + static_cast<std::ptrdiff_t>(twin) * size;
        return std::vector<float>(begin, begin + size);
      };
      rig.upload(tower.input(), half(images));
      tower.forward(rig.stream, n);
      const std::vector<float> output = download(*rig.device, rig.stream, tower.output(), rows * d);
      tower_output.insert(tower_output.end(), output.begin(), output.end());
      rig.upload(tower.output_gradient(), half(dy));
      tower.backward(rig.stream, n);
    }
    EXPECT_EQ(twin_output, tower_output);  // to the bit
    const std::vector<float> tower_gradient = rig.gradients();
    float scale = 0;
    for (const float x : tower_gradient) scale = std::max(scale, std::abs(x));
    ASSERT_GT(scale, 0);
    for (std::size_t i = 0; i < tower_gradient.size(); ++i) {
      ASSERT_TRUE(std::abs(twin_gradient[i] - tower_gradient[i]) <= 1e-6F * scale) << i;  // sums in another order
    }
  }
}

TEST_P(TwinEncoderTest, EmbeddingsDoNotDependOnTheBatch) {
  TwinRig rig(GetParam(), kNetwork);
  const Dataset data = patterns(3, 11, 9, 8, 4);
  std::vector<float> want;
  {
    TwinEncoder encoder(rig.network, *rig.device, data.statistics());
    want = encoder.embed(data);
  }
  ASSERT_EQ(want.size(), 33u * 7);
  EXPECT_TRUE(std::any_of(want.begin(), want.end(), [&](float x) { return x != want[0]; }));
  for (const int batch : {1, 2, 32, 33, 1000}) {
    TwinEncoder encoder(rig.network, *rig.device, data.statistics());
    EXPECT_EQ(encoder.embed(data, batch), want) << batch;
    EXPECT_EQ(encoder.embed(data, 7), want) << "7 after " << batch;
  }
  TwinEncoder encoder(rig.network, *rig.device, data.statistics());
  for (int i = 0; i < data.size(); ++i) {
    const std::vector<float> one = encoder.embed(data.image(i), 1);
    EXPECT_TRUE(std::equal(one.begin(), one.end(), want.begin() + 7 * i)) << i;
  }
  EXPECT_TRUE(encoder.embed(std::span<const std::uint8_t>(), 0).empty());
}

TEST_P(TwinEncoderTest, SizesMustFit) {
  TwinRig rig(GetParam(), kNetwork);
  const Dataset data = patterns(2, 2, 9, 8, 4), other = patterns(2, 2, 8, 9, 4);
  EXPECT_THROW(TwinEncoder(rig.network, *rig.device, other.statistics()), ShapeError);
  TwinEncoder encoder(rig.network, *rig.device, data.statistics());
  EXPECT_THROW(encoder.embed(other), ShapeError);
  EXPECT_THROW(encoder.embed(data.pixels, 3), ShapeError);
  EXPECT_THROW(encoder.embed(data.pixels, -1), ShapeError);
  EXPECT_THROW(encoder.embed(data, 0), Error);
}

}  // namespace
}  // namespace gemel
