// SPDX-License-Identifier: MIT
//
// Faces in photographs: the canvas, the rule of overlap, and detectors whose answers are known: one of four weights that
// finds bright squares on black, and the published one, with dlib's boxes and scores.
#include "siamese/faces/detector.h"

#include <algorithm>
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "siamese/faces/dlib_models.h"
#include "tests/engine/devices.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

std::string text(const Box& b) { return concat(b.left, " ", b.top, " ", b.right, " ", b.bottom); }

// Sizes as dlib's program prints them for the three photographs of the reference: 8 pixels a place, 29 for the first.
TEST(PyramidTest, CanvasIsDlibs) {
  const auto places = [](int height, int width) {
    const Canvas canvas = lay_out(pyramid_levels(height, width));
    return concat((canvas.height - 29) / 8 + 1, "x", (canvas.width - 29) / 8 + 1);
  };
  EXPECT_EQ(places(1137, 910), "514x113");
  EXPECT_EQ(places(1200, 626), "543x78");
  EXPECT_EQ(places(2204, 970), "993x121");
}

TEST(PyramidTest, LevelsLieBesideEachOther) {
  for (const auto& [height, width] :
       {std::pair(1137, 910), {97, 1300}, {1300, 97}, {31, 33}, {7, 7}, {1, 1}, {1, 900}}) {
    const Canvas canvas = lay_out(pyramid_levels(height, width));
    ASSERT_FALSE(canvas.levels.empty());
    EXPECT_EQ(canvas.levels[0].height, height);
    EXPECT_EQ(canvas.levels[0].width, width);
    for (std::size_t i = 0; i < canvas.levels.size(); ++i) {
      const PyramidLevel& a = canvas.levels[i];
      EXPECT_EQ(a.reductions, static_cast<int>(i));
      EXPECT_GE(std::min(a.top, a.left), 11);
      EXPECT_LE(a.top + a.height + 11, canvas.height);
      EXPECT_LE(a.left + a.width + 11, canvas.width);
      for (std::size_t j = 0; j < i; ++j) {
        const PyramidLevel& b = canvas.levels[j];
        EXPECT_TRUE(a.left >= b.left + b.width || b.left >= a.left + a.width || a.top >= b.top + b.height ||
                    b.top >= a.top + a.height)
            << height << "x" << width << ": " << i << " and " << j;
      }
    }
  }
  EXPECT_TRUE(lay_out(pyramid_levels(0, 5)).levels.empty());
}

TEST(PyramidTest, WayBack) {
  const PyramidLevel level{.height = 10, .width = 10, .top = 100, .left = 20, .reductions = 2};
  const Point p = to_picture(level, {30, 100});
  EXPECT_DOUBLE_EQ(p.x, (10 * 1.2 + 0.3) * 1.2 + 0.3);
  EXPECT_DOUBLE_EQ(p.y, 0.3 * 1.2 + 0.3);
  const Canvas canvas{.height = 200, .width = 60, .levels = {{50, 40, 10, 10, 0}, {10, 10, 100, 20, 2}}};
  EXPECT_EQ(canvas.level_at({10, 59}).reductions, 0);
  EXPECT_EQ(canvas.level_at({10, 79}).reductions, 0);  // 20 from the first, 21 from the second, 10 aside
  EXPECT_EQ(canvas.level_at({20, 81}).reductions, 2);
  EXPECT_EQ(canvas.level_at({25, 300}).reductions, 2);
}

TEST(WithoutOverlapsTest, ByHand) {
  const Box ten{0, 0, 9, 9};
  const auto kept = [&](const Box& other, double iou, double covered) {
    return without_overlaps({{other, 0.5}, {ten, 0.7}}, iou, covered).size();
  };
  // Half over the other: 50 pixels in common, 150 about both.
  EXPECT_EQ(kept({5, 0, 14, 9}, 0.33, 1), 1u);
  EXPECT_EQ(kept({5, 0, 14, 9}, 0.34, 1), 2u);
  EXPECT_EQ(kept({5, 0, 14, 9}, 0.34, 0.49), 1u);
  EXPECT_EQ(kept({5, 0, 14, 9}, 0.34, 0.5), 2u);
  // By a corner: 25 in common, 225 about both, though the two cover 175 alone.
  EXPECT_EQ(kept({5, 5, 14, 14}, 0.12, 1), 2u);
  EXPECT_EQ(kept({5, 5, 14, 14}, 0.11, 1), 1u);
  EXPECT_EQ(kept({10, 0, 19, 9}, 0, 0), 2u);    // edge to edge
  EXPECT_EQ(kept({9, 0, 18, 9}, 0, 1), 1u);     // one column
  EXPECT_EQ(kept({2, 2, 4, 4}, 0.5, 0.9), 1u);  // inside
}

// The middle one of a chain goes; what it alone would have taken away stays.
TEST(WithoutOverlapsTest, BestFirst) {
  const std::vector<Detection> kept =
      without_overlaps({{{12, 0, 21, 9}, 1}, {{0, 0, 9, 9}, 3}, {{6, 0, 15, 9}, 2}, {{0, 50, 9, 59}, 3}}, 0.1, 1);
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(text(kept[0].box), "0 0 9 9");
  EXPECT_EQ(text(kept[1].box), "0 50 9 59");
  EXPECT_EQ(text(kept[2].box), "12 0 21 9");
  EXPECT_TRUE(without_overlaps({}, 0.5, 0.5).empty());
}

// Cells of 4x4 pixels; a window is 3x3 of them, its score their mean less twice the mean of the 16 around and `least`.
// On a bright square of 12 pixels on black, cells on cells: 1 - least.
DetectorModel square_finder(int channels, float least) {
  DetectorModel model;
  model.network = concat("input 64x64x", channels, "\nconv 1 4x4 stride 4 nobias\nrelu\nconv 1 5x5 pad same\n");
  model.parameters["conv1.weight"] = {{1, 4, 4, channels}, std::vector<float>(16u * channels, 1.0f / 16 / channels)};
  std::vector<float> window(25, -2.0f / 16);
  for (int i = 1; i < 4; ++i) std::fill_n(window.begin() + 5 * i + 1, 3, 1.0f / 9);
  model.parameters["conv2.weight"] = {{1, 5, 5, 1}, window};
  model.parameters["conv2.bias"] = {{1}, {-least}};
  model.mean.assign(static_cast<std::size_t>(channels), 0);
  model.deviation.assign(static_cast<std::size_t>(channels), 1);
  model.window_width = model.window_height = 12;
  model.iou = 0.2;
  model.covered = 1;
  return model;
}

Image black(int height, int width, int channels) {
  return {height, width, channels, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * width * channels)};
}

void paint(Image& image, int top, int left, int size) {
  for (int i = std::max(top, 0); i < std::min(top + size, image.height); ++i) {
    for (int j = std::max(left, 0); j < std::min(left + size, image.width); ++j) {
      std::fill_n(image.pixels.begin() + (std::ptrdiff_t{i} * image.width + j) * image.channels, image.channels, 255);
    }
  }
}

class FaceDetectorTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Devices, FaceDetectorTest, testing::ValuesIn(test_devices()), device_test_name);

// The canvas has 11 pixels around the picture: cells begin at pixel 1 of it.
TEST_P(FaceDetectorTest, FindsSquaresWhereTheyAre) {
  FaceDetector detector(square_finder(1, 0.8f), *device_);
  Image image = black(75, 90, 1);
  paint(image, 13, 21, 12);
  paint(image, 49, 65, 12);
  const std::vector<Detection> found = detector.detect(image, 12);
  ASSERT_EQ(found.size(), 2u);
  EXPECT_EQ(text(found[0].box), "21 13 32 24");
  EXPECT_EQ(text(found[1].box), "65 49 76 60");
  for (const Detection& d : found) EXPECT_NEAR(d.score, 0.2, 1e-5);
  EXPECT_TRUE(detector.detect(black(75, 90, 1), 12).empty());
}

TEST_P(FaceDetectorTest, FindsSquaresOfManySizes) {
  FaceDetector detector(square_finder(3, 0.4f), *device_);
  Image image = black(260, 310, 3);
  const std::vector<std::array<int, 3>> squares = {{30, 40, 12}, {30, 120, 25}, {120, 60, 52}, {110, 200, 75}};
  for (const auto& [top, left, size] : squares) paint(image, top, left, size);
  const std::vector<Detection> found = detector.detect(image, 12);
  EXPECT_EQ(found.size(), squares.size());
  for (const auto& [top, left, size] : squares) {
    const double near = 0.25 * size;
    EXPECT_EQ(std::count_if(found.begin(), found.end(),
                            [&, top = top, left = left, size = size](const Detection& d) {
                              return std::abs(d.box.left - left) <= near && std::abs(d.box.top - top) <= near &&
                                     std::abs(d.box.right - (left + size - 1)) <= near &&
                                     std::abs(d.box.bottom - (top + size - 1)) <= near;
                            }),
              1)
        << top << "," << left << " " << size;
  }
  // Smaller ones are not looked for.
  EXPECT_EQ(detector.detect(image, 24).size(), 3u);
  EXPECT_EQ(detector.detect(image, 60).size(), 2u);
  EXPECT_TRUE(detector.detect(image, 400).empty());
}

TEST_P(FaceDetectorTest, EnlargesForSmallOnes) {
  FaceDetector detector(square_finder(1, 0.4f), *device_);
  Image image = black(50, 60, 1);
  paint(image, 20, 30, 6);
  EXPECT_TRUE(detector.detect(image, 12).empty());
  const std::vector<Detection> found = detector.detect(image, 6);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(found[0].box.left, 30, 1);
  EXPECT_NEAR(found[0].box.top, 20, 1);
  EXPECT_NEAR(found[0].box.right, 35, 1);
  EXPECT_NEAR(found[0].box.bottom, 25, 1);
}

TEST_P(FaceDetectorTest, AFaceMayReachBeyondThePicture) {
  FaceDetector detector(square_finder(1, 0.4f), *device_);
  Image image = black(40, 50, 1);
  paint(image, 13, -3, 12);
  const std::vector<Detection> found = detector.detect(image, 12);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(text(found[0].box), "-3 13 8 24");
  EXPECT_NEAR(found[0].score, 0.75 - 0.4, 1e-5);
}

TEST_P(FaceDetectorTest, SmallPicturesAndOtherChannels) {
  FaceDetector grey(square_finder(1, 0.8f), *device_), rgb(square_finder(3, 0.8f), *device_);
  for (const auto& [height, width] : {std::pair(1, 1), {1, 300}, {300, 1}, {7, 5}, {11, 40}}) {
    EXPECT_TRUE(grey.detect(black(height, width, 1), 12).empty());
    EXPECT_TRUE(rgb.detect(black(height, width, 1), 80).empty());
    EXPECT_TRUE(grey.detect(black(height, width, 1), 3).empty());
  }
  EXPECT_TRUE(grey.detect(Image{}, 12).empty());
  for (const int channels : {1, 3}) {
    Image image = black(40, 50, channels);
    paint(image, 13, 21, 12);
    for (FaceDetector* detector : {&grey, &rgb}) {
      const std::vector<Detection> found = detector->detect(image, 12);
      ASSERT_EQ(found.size(), 1u);
      EXPECT_EQ(text(found[0].box), "21 13 32 24");
      EXPECT_NEAR(found[0].score, 0.2, 1e-5);
    }
  }
}

// Noise under random weights: nothing is suppressed, so every window counts.
TEST_P(FaceDetectorTest, TilesAreAsTheWhole) {
  DetectorModel model;
  model.network =
      "input 99x99x3\nconv 5 5x5 stride 2\naffine\nrelu\nconv 6 3x3 stride 2\nrelu\nconv 7 5x5 pad same\nrelu\n"
      "conv 1 9x9 pad same\n";
  Random random(5);
  const Network network = Network::parse(model.network, "test");
  for (const Parameters::Entry& entry : network.parameters().entries()) {
    TensorFile::Tensor& tensor = model.parameters[entry.name];
    for (int i = 0; i < entry.shape.rank(); ++i) tensor.shape.push_back(entry.shape[i]);
    for (std::size_t i = 0; i < entry.shape.count(); ++i) tensor.values.push_back(random.uniform(-0.2f, 0.2f));
  }
  model.parameters["conv4.bias"].values = {3};
  model.mean = {0.4f, 0.5f, 0.6f};
  model.deviation = {1, 0.5f, 0.25f};
  model.window_width = 31;
  model.window_height = 33;
  model.iou = model.covered = 1;
  Image image = black(157, 131, 3);
  for (std::uint8_t& pixel : image.pixels) pixel = static_cast<std::uint8_t>(random.uniform(0, 256));

  FaceDetector whole(model, *device_);
  const std::vector<Detection> want = whole.detect(image, 31);
  ASSERT_GT(want.size(), 100u);
  for (const std::size_t pixels : {40000u, 15000u, 1u}) {  // in strips, in both directions, as small as can be
    FaceDetector tiled(model, *device_, pixels);
    const std::vector<Detection> found = tiled.detect(image, 31);
    ASSERT_EQ(found.size(), want.size()) << pixels;
    for (std::size_t i = 0; i < want.size(); ++i) {
      ASSERT_EQ(text(found[i].box), text(want[i].box)) << pixels;
      ASSERT_EQ(found[i].score, want[i].score) << pixels;
    }
  }
}

TEST_P(FaceDetectorTest, Refusals) {
  const auto refuse = [&](const std::string& network, const std::string& part) {
    DetectorModel model = square_finder(1, 0.8f);
    model.network = network;
    expect_input_error([&] { FaceDetector(model, *device_); }, {"face detector", part});
  };
  refuse("input 64x64x1\nconv 1 4x4 stride 4 pad 1", "neither without padding");
  refuse("input 64x64x1\nconv 1 5x5 pad same\nconv 1 3x3", "neither without padding");
  refuse("input 64x64x1\nconv 1 5x3", "neither without padding");
  refuse("input 64x64x1\nconv 2 5x5", "60x60x2, must be one score a place");
  refuse("input 64x64x1\nconv 1 5x5\nmaxpool 2", "MaxPool2d(2x2, stride 2) has no place");
  refuse("input 64x64x3\nconv 1 5x5", "takes 3 channels");
  refuse("input 64x64x1\nconv 1 5x5\nflatten", "Flatten has no place");
  FaceDetector detector(square_finder(1, 0.8f), *device_);
  expect_input_error([&] { detector.detect(black(9, 9, 1), 0); }, {"at least 1 pixel, not 0"});
  expect_input_error([&] { detector.detect(black(2000, 3000, 1), 2); },
                     {"faces of 2 pixels", "3000x2000", "32 megapixels", "faces of 7 pixels are possible"});
}

// dlib's boxes and scores (tests of the published models skip without GEMEL_FACES and GEMEL_DATA).
TEST(PublishedDetectorTest, FindsWhatDlibFinds) {
  const char *models = std::getenv("GEMEL_FACES"), *data = std::getenv("GEMEL_DATA");
  if (models == nullptr || data == nullptr || !fs::exists(fs::path(data) / "photos" / "reference.json")) {
    GTEST_SKIP() << "GEMEL_FACES names no folder with dlib's models, or GEMEL_DATA none with photos/reference.json";
  }
  const fs::path photos = fs::path(data) / "photos";
  DlibArchive file = DlibArchive::open(fs::path(models) / "mmod_human_face_detector.dat");
  const auto device = open_device("cpu");
  FaceDetector detector(read_dlib_detector(file), *device);
  std::ifstream reference(photos / "reference.json");
  const nlohmann::json expected = nlohmann::json::parse(reference);
  ASSERT_EQ(expected["photos"].size(), 3u);
  for (const auto& photo : expected["photos"]) {
    const auto name = photo["file"].get<std::string>();
    const std::vector<Detection> found = detector.detect(read_image(photos / name, 3));
    ASSERT_EQ(found.size(), photo["faces"].size()) << name;
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto box = photo["faces"][i]["box"].get<std::vector<double>>();
      EXPECT_NEAR(found[i].box.left, box[0], 2) << name;
      EXPECT_NEAR(found[i].box.top, box[1], 2) << name;
      EXPECT_NEAR(found[i].box.right, box[2], 2) << name;
      EXPECT_NEAR(found[i].box.bottom, box[3], 2) << name;
      EXPECT_NEAR(found[i].score, photo["faces"][i]["score"].get<double>(), 0.01) << name;
    }
  }
}

}  // namespace
}  // namespace gemel
