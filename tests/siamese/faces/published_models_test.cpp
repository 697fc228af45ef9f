// SPDX-License-Identifier: MIT
//
// The published models themselves, where the environment variable GEMEL_FACES names the folder that has their three files.
#include <cstdlib>
#include <nlohmann/json.hpp>

#include "siamese/faces/dlib_models.h"
#include "tests/engine/devices.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

class PublishedModelsTest : public testing::Test {
 protected:
  void SetUp() override {
    const char* folder = std::getenv("GEMEL_FACES");
    if (folder == nullptr) GTEST_SKIP() << "GEMEL_FACES names no folder with dlib's three models";
    const fs::path path = folder;
    files_ = {.detector = path / "mmod_human_face_detector.dat",
              .landmarks = path / "shape_predictor_5_face_landmarks.dat",
              .embedding = path / "dlib_face_recognition_resnet_model_v1.dat"};
  }
  DlibFiles files_;
};

template <class Tensors>
std::size_t count(const Tensors& tensors, const std::string& without = "?") {
  std::size_t numbers = 0;
  for (const auto& [name, tensor] : tensors) {
    if (!name.starts_with(without)) numbers += tensor.values.size();
  }
  return numbers;
}

TEST_F(PublishedModelsTest, HaveTheirParameters) {
  DlibArchive detector_file = DlibArchive::open(files_.detector), landmarks_file = DlibArchive::open(files_.landmarks),
              embedding_file = DlibArchive::open(files_.embedding);
  const DetectorModel detector = read_dlib_detector(detector_file);
  EXPECT_EQ(count(detector.parameters, "affine"), 180711u);  // as dlib's count_parameters
  EXPECT_EQ(detector.window_width, 80);
  EXPECT_EQ(detector.window_height, 80);
  const LandmarkModel landmarks = read_dlib_landmarks(landmarks_file);
  EXPECT_EQ(landmarks.stages, 15);
  EXPECT_EQ(landmarks.trees, 500);
  EXPECT_EQ(landmarks.depth, 4);
  EXPECT_EQ(landmarks.features, 800);
  const EmbeddingModel embedding = read_dlib_embedding(embedding_file);
  // The preset of the same network, whose convolutions leave the bias to the normalisation that it learns.
  const Network preset = Network::load("resnet-face"), imported = Network::parse(embedding.network, "imported");
  std::size_t biases = 0;
  for (const auto& [name, tensor] : embedding.parameters) biases += name.ends_with(".bias") ? tensor.values.size() : 0;
  EXPECT_EQ(count(embedding.parameters), preset.parameters().parameter_count() + biases);
  const auto layers = [](const Network& network, const char* keyword) {
    std::size_t found = 0;
    for (const auto& layer : network.layers()) found += layer->text().starts_with(keyword) ? 1 : 0;
    return found;
  };
  for (const char* keyword : {"conv", "relu", "maxpool", "residual", "residual avgpool 2", "end", "globalavgpool"}) {
    EXPECT_EQ(layers(imported, keyword), layers(preset, keyword)) << keyword;
  }
  EXPECT_EQ(imported.shapes().size(), preset.shapes().size());
}

TEST_F(PublishedModelsTest, CutAnywhereAreRefused) {
  const auto cut = [](const fs::path& file, std::size_t step, const auto& read) {
    const std::string whole = read_file(file);
    for (std::size_t length = 0; length < whole.size(); length += step) {
      DlibArchive archive(whole.substr(0, length), file.filename().string());
      expect_input_error([&] { read(archive); }, {file.filename().string()});
    }
  };
  constexpr std::size_t kKilobyte = 1024;
  cut(files_.detector, kKilobyte, read_dlib_detector);
  cut(files_.landmarks, 61 * kKilobyte, read_dlib_landmarks);
  cut(files_.embedding, 97 * kKilobyte, read_dlib_embedding);
}

// A chip made by a formula; its descriptor by dlib is checked in, with how it was made.
TEST_F(PublishedModelsTest, DescriptorIsDlibs) {
  std::vector<std::uint8_t> chip;
  for (int y = 0; y < 150; ++y) {
    for (int x = 0; x < 150; ++x) {
      const int distance2 = (x - 75) * (x - 75) + (y - 75) * (y - 75);
      for (int c = 0; c < 3; ++c) {
        const int value = 210 - distance2 / 40 + 15 * c + (7 * x + 11 * y + 3 * x * y) % 29;
        chip.push_back(static_cast<std::uint8_t>(std::clamp(value, 0, 255)));
      }
    }
  }
  const std::vector<float> want = nlohmann::json::parse(read_file(GEMEL_DLIB_DESCRIPTOR)).at("descriptor");
  for (const std::string& name : test_devices()) {
    SCOPED_TRACE(name);
    const std::unique_ptr<Device> device = open_device(name);
    Model model = import_dlib_models(files_, *device);
    const std::vector<float> is = model.encoder().embed(chip, 1);
    ASSERT_EQ(is.size(), want.size());
    float largest = 0;
    for (std::size_t i = 0; i < is.size(); ++i) {
      const float error = std::abs(is[i] - want[i]);
      EXPECT_TRUE(error <= 1e-5F) << i << ": " << is[i] << " instead of " << want[i];
      largest = std::max(largest, error);
    }
    RecordProperty("largest_difference_" + name, concat(largest));
  }
}

}  // namespace
}  // namespace gemel
