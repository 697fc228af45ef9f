// SPDX-License-Identifier: MIT
//
// From photographs to chips: geometry by hand, a detector and a cascade whose answers are known, and, where GEMEL_FACES and
// GEMEL_DATA name them, the published models on photographs with dlib's answers.
#include <cmath>
#include <cstdlib>
#include <fstream>
#include <nlohmann/json.hpp>

#include "siamese/faces/annotate.h"
#include "siamese/faces/dlib_models.h"
#include "siamese/faces/face_finder.h"
#include "tests/engine/devices.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

class FacesTest : public testing::TestWithParam<std::string> {
 protected:
  std::unique_ptr<Device> device_ = open_device(GetParam());
};
INSTANTIATE_TEST_SUITE_P(Devices, FacesTest, testing::ValuesIn(test_devices()), device_test_name);

Image blank(int height, int width, std::uint8_t value) {
  return {height, width, 3, std::vector<std::uint8_t>(static_cast<std::size_t>(height) * width * 3, value)};
}

void fill(Image& image, int left, int top, int right, int bottom, std::uint8_t value) {
  for (int y = top; y <= bottom; ++y) {
    for (int x = left; x <= right; ++x) {
      std::fill_n(&image.pixels[(static_cast<std::size_t>(y) * image.width + x) * 3], 3, value);
    }
  }
}

// Answers where every pixel of a 9x9 window, two pixels a place, is bright: the mean of the window less 0.9, times 10.
DetectorModel bright_detector() {
  DetectorModel model;
  model.network = "input 20x20x3\nconv 1 1x1 nobias\nconv 1 9x9 stride 2\n";
  model.parameters["conv1.weight"] = {{1, 1, 1, 3}, {1 / 3.0F, 1 / 3.0F, 1 / 3.0F}};
  model.parameters["conv2.weight"] = {{1, 9, 9, 1}, std::vector<float>(81, 10 / 81.0F)};
  model.parameters["conv2.bias"] = {{1}, {-9}};
  model.mean = {0, 0, 0};
  model.deviation = {1, 1, 1};
  model.window_width = model.window_height = 9;
  model.iou = 0.3;
  model.covered = 0.9;
  return model;
}

double middle(double a, double b) { return (a + b) / 2; }

TEST_P(FacesTest, DetectsWhatIsThere) {
  FaceDetector detector(bright_detector(), *device_);
  Image image = blank(70, 90, 0);
  fill(image, 10, 20, 20, 30, 255);  // 11 x 11
  fill(image, 50, 25, 80, 55, 255);  // 31 x 31
  const std::vector<Detection> found = detector.detect(image, 9);
  // The small one at the first or the second level, the large one at each: whole windows do not overlap it enough.
  ASSERT_GE(found.size(), 2u);
  for (std::size_t i = 1; i < found.size(); ++i) EXPECT_LE(found[i].score, found[i - 1].score);
  for (const auto& [x, y] : {std::pair(15.0, 25.0), std::pair(65.0, 40.0)}) {
    const bool there = std::any_of(found.begin(), found.end(), [&](const Detection& d) {
      return std::abs(middle(d.box.left, d.box.right) - x) <= 12 && std::abs(middle(d.box.top, d.box.bottom) - y) <= 12;
    });
    EXPECT_TRUE(there) << x << "," << y;
  }
  for (const Detection& d : found) {
    EXPECT_GT(middle(d.box.left, d.box.right), 8);
    EXPECT_NEAR(d.score, 1, 0.35);
  }
  EXPECT_TRUE(detector.detect(blank(70, 90, 100), 9).empty());
  EXPECT_TRUE(detector.detect(blank(1, 1, 0), 9).empty());
  EXPECT_TRUE(detector.detect(blank(3, 200, 0), 9).empty());
}

// A picture of many tiles answers as it would in one: bright squares everywhere, each found once, at its place.
TEST_P(FacesTest, TilesAgreeWithTheWhole) {
  DetectorModel model = bright_detector();
  model.network = "input 20x20x3\nconv 1 1x1 nobias\nconv 1 9x9 stride 2 pad 4\n";
  FaceDetector detector(model, *device_);
  Image image = blank(40, 1000, 0);
  for (int i = 0; i < 24; ++i) fill(image, 15 + 40 * i, 11, 23 + 40 * i, 19, 255);  // 9 x 9: the first level alone
  std::vector<Detection> found = detector.detect(image, 9);
  ASSERT_EQ(found.size(), 24u);
  std::sort(found.begin(), found.end(), [](const Detection& a, const Detection& b) { return a.box.left < b.box.left; });
  for (int i = 0; i < 24; ++i) {
    const Detection& d = found[static_cast<std::size_t>(i)];
    EXPECT_NEAR(d.box.left, 15 + 40 * i, 1) << i;
    EXPECT_NEAR(d.box.top, 11, 1) << i;
    EXPECT_EQ(d.box.right - d.box.left, 8) << i;
    EXPECT_EQ(d.score, found.front().score) << i;
  }
}

TEST_P(FacesTest, SmallFacesAskForALargerPicture) {
  FaceDetector detector(bright_detector(), *device_);
  Image image = blank(60, 60, 0);
  fill(image, 30, 20, 34, 24, 255);  // 5 x 5
  EXPECT_TRUE(detector.detect(image, 9).empty());
  const std::vector<Detection> found = detector.detect(image, 4);
  ASSERT_EQ(found.size(), 1u);
  EXPECT_NEAR(middle(found[0].box.left, found[0].box.right), 32, 1.5);
  EXPECT_NEAR(middle(found[0].box.top, found[0].box.bottom), 22, 1.5);
  expect_input_error([&] { detector.detect(blank(4000, 4000, 0), 1); }, {"4000x4000", "larger"});
}

TEST(Faces, SuppressesWhatIsOfOneFace) {
  const std::vector<Detection> found{{{0, 0, 9, 9}, 1}, {{2, 0, 11, 9}, 2}, {{30, 0, 39, 9}, 0.5}, {{32, 2, 36, 6}, 3}};
  // 8 of 12 columns in common with the smallest box around both: 0.67.
  std::vector<Detection> kept = suppress(found, 0.6, 1);
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept[0].score, 3);
  EXPECT_EQ(kept[1].score, 2);
  EXPECT_EQ(kept[2].score, 0.5);  // a quarter of it is covered
  EXPECT_EQ(suppress(found, 0.7, 1).size(), 4u);
  kept = suppress(found, 1, 0.9);  // the small one lies wholly in the other
  ASSERT_EQ(kept.size(), 3u);
  EXPECT_EQ(kept.back().score, 1);
  EXPECT_TRUE(suppress({}, 0.5, 1).empty());
}

TEST(Faces, SimilaritiesFit) {
  const std::vector<Point> from{{0, 0}, {10, 0}, {3, 7}, {-2, 5}};
  const SimilarityMap known{.a = 1.2, .b = -0.7, .tx = 31, .ty = -5};
  std::vector<Point> to;
  for (const Point p : from) to.push_back(known(p));
  const SimilarityMap exact = fit_similarity(from, to);
  EXPECT_NEAR(exact.a, 1.2, 1e-12);
  EXPECT_NEAR(exact.b, -0.7, 1e-12);
  EXPECT_NEAR(exact.tx, 31, 1e-11);
  EXPECT_NEAR(exact.ty, -5, 1e-11);
  EXPECT_NEAR(exact.scale(), std::hypot(1.2, 0.7), 1e-12);
  // No other similarity near the fit of moved points is better.
  to[1].x += 0.5;
  to[3].y -= 0.8;
  const auto error = [&](const SimilarityMap& m) {
    double sum = 0;
    for (std::size_t i = 0; i < from.size(); ++i) {
      const Point p = m(from[i]);
      sum += (p.x - to[i].x) * (p.x - to[i].x) + (p.y - to[i].y) * (p.y - to[i].y);
    }
    return sum;
  };
  const SimilarityMap fit = fit_similarity(from, to);
  for (double SimilarityMap::*number : {&SimilarityMap::a, &SimilarityMap::b, &SimilarityMap::tx, &SimilarityMap::ty}) {
    for (const double step : {-1e-3, 1e-3}) {
      SimilarityMap other = fit;
      other.*number += step;
      EXPECT_GT(error(other), error(fit));
    }
  }
  const std::vector<Point> one{{4, 5}, {4, 5}};
  const SimilarityMap shift = fit_similarity(one, std::vector<Point>{{1, 1}, {3, 3}});
  EXPECT_EQ(shift(one[0]).x, 2);
  EXPECT_EQ(shift.scale(), 1);
}

// A face that lies as a chip has it is cut out as it is; one twice as large from a half-size copy, smooth pictures alike.
TEST_P(FacesTest, ChipsAreUpright) {
  constexpr int kSize = 30;
  ChipCutter cutter(*device_);
  // The landmarks of a chip, by the inverse of any known map.
  const Landmarks any{{{60, 20}, {50, 21}, {20, 20}, {31, 21}, {41, 45}}};
  const SimilarityMap map = chip_to_picture(any, kSize);
  // Brightness tells the place: the chip's pixel (q, p) shows the picture's at map(q, p).
  Image image = blank(90, 100, 0);
  for (int y = 0; y < 90; ++y) {
    for (int x = 0; x < 100; ++x) {
      for (std::size_t c = 0; c < 3; ++c)
        image.pixels[(static_cast<std::size_t>(y) * 100 + x) * 3 + c] = static_cast<std::uint8_t>(c == 0   ? 2 * x
                                                                                                  : c == 1 ? 2 * y
                                                                                                           : 77);
    }
  }
  const Image chip = cutter.cut(image, std::vector<Landmarks>{any}, kSize).front();
  ASSERT_EQ(chip.pixels.size(), static_cast<std::size_t>(kSize) * kSize * 3);
  int inside = 0;
  for (int p = 0; p < kSize; ++p) {
    for (int q = 0; q < kSize; ++q) {
      const Point at = map({double(q), double(p)});
      const std::uint8_t* pixel = &chip.pixels[(static_cast<std::size_t>(p) * kSize + q) * 3];
      if (at.x < 6 || at.y < 6 || at.x > 92 || at.y > 82) continue;
      ++inside;
      EXPECT_NEAR(pixel[0], 2 * at.x, 2.5) << q << "," << p;
      EXPECT_NEAR(pixel[1], 2 * at.y, 2.5) << q << "," << p;
      EXPECT_NEAR(pixel[2], 77, 1);
    }
  }
  EXPECT_GT(inside, kSize * kSize / 2);
  // A face far outside of the picture is a black chip.
  Landmarks away = any;
  for (Point& point : away) point.x += 1000;
  const Image black = cutter.cut(image, std::vector<Landmarks>{away}, kSize).front();
  EXPECT_EQ(std::count(black.pixels.begin(), black.pixels.end(), 0), static_cast<std::ptrdiff_t>(black.pixels.size()));
}

// Every leaf of a cascade says the same shift: the mean shape, moved once a stage and tree, on whole pixels.
TEST_P(FacesTest, LandmarksMoveWithTheirTrees) {
  LandmarkModel model;
  model.points = 5;
  model.stages = 2;
  model.trees = 3;
  model.depth = 1;
  model.features = 2;
  model.mean_shape = {0.8F, 0.2F, 0.6F, 0.2F, 0.1F, 0.2F, 0.3F, 0.2F, 0.5F, 0.6F};
  model.anchors = {0, 1, 2, 3};
  model.offsets.assign(8, 0);
  model.pairs = {0, 1, 0, 1, 0, 1, 0, 1, 0, 1, 0, 1};
  model.thresholds.assign(6, 0);
  for (int i = 0; i < 2 * 3 * 2 * 5; ++i) {
    model.leaves.push_back(0.01F);
    model.leaves.push_back(0.02F);
  }
  LandmarkFinder finder(model, *device_);
  const std::vector<Box> boxes{{10, 20, 110, 220}, {-50, 0, 50, 100}};
  const std::vector<Landmarks> found = finder.find(blank(240, 130, 9), boxes);
  ASSERT_EQ(found.size(), 2u);
  for (std::size_t face = 0; face < 2; ++face) {
    const Box& box = boxes[face];
    for (std::size_t i = 0; i < 5; ++i) {
      EXPECT_NEAR(found[face][i].x, box.left + (model.mean_shape[2 * i] + 0.06) * (box.right - box.left), 0.51);
      EXPECT_NEAR(found[face][i].y, box.top + (model.mean_shape[2 * i + 1] + 0.12) * (box.bottom - box.top), 0.51);
      EXPECT_EQ(found[face][i].x, std::floor(found[face][i].x));
    }
  }
  EXPECT_TRUE(finder.find(blank(5, 5, 0), {}).empty());
  model.points = 4;
  expect_input_error([&] { LandmarkFinder other(model, *device_); }, {"5 landmarks", "4"});
}

TEST(Faces, AnnotationsAreCutOffAtTheBorder) {
  const Image image = blank(60, 80, 128);
  const std::vector<Annotation> faces{{{10, 10, 40, 40}, {}, "J\xC3\xBCrgen 0.38"}, {{-20, 50, 500, 90}, {}, "x"}};
  const Image drawn = annotate(image, faces);
  ASSERT_EQ(drawn.pixels.size(), image.pixels.size());
  EXPECT_NE(drawn.pixels, image.pixels);
  EXPECT_EQ(drawn.pixels[(30 * 80 + 25) * 3], 128);  // inside of a box nothing is drawn but landmarks
  EXPECT_EQ(annotate(image, {}).pixels, image.pixels);
}

// dlib 19.24's answers. Its libjpeg and our decoder differ by a grey value here and there.
TEST_P(FacesTest, PublishedModelsAnswerAsTheyDidForDlib) {
  const char *models = std::getenv("GEMEL_FACES"), *data = std::getenv("GEMEL_DATA");
  if (models == nullptr || data == nullptr || !fs::exists(fs::path(data) / "photos/reference.json")) {
    GTEST_SKIP() << "GEMEL_FACES and GEMEL_DATA name no published models and photos";
  }
  if (GetParam() == "simt") GTEST_SKIP() << "minutes on the executor";
  const fs::path folder(models), photos = fs::path(data) / "photos";
  Model model = import_dlib_models({.detector = folder / "mmod_human_face_detector.dat",
                                    .landmarks = folder / "shape_predictor_5_face_landmarks.dat",
                                    .embedding = folder / "dlib_face_recognition_resnet_model_v1.dat"},
                                   *device_);
  FaceFinder finder(FaceModel::from(model.faces, "imported"), *device_, model.info.preprocessing.height);
  std::ifstream file(photos / "reference.json");
  for (const auto& photo : nlohmann::json::parse(file)["photos"]) {
    SCOPED_TRACE(photo["file"].get<std::string>());
    const std::vector<FoundFace> found = finder.find(read_image(photos / photo["file"].get<std::string>(), 3), 80);
    ASSERT_EQ(found.size(), photo["faces"].size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& want = photo["faces"][i];
      const Face& face = found[i].face;
      EXPECT_NEAR(face.score, want["score"].get<double>(), 0.01);
      const std::array<double, 4> box{face.box.left, face.box.top, face.box.right, face.box.bottom};
      for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(box[k], want["box"][k].get<double>(), 2);
      for (std::size_t k = 0; k < 5; ++k) {
        EXPECT_NEAR(face.landmarks[k].x, want["landmarks"][k][0].get<double>(), 2);
        EXPECT_NEAR(face.landmarks[k].y, want["landmarks"][k][1].get<double>(), 2);
      }
      const std::vector<float> e = model.encoder().embed(found[i].chip.pixels, 1);
      double square = 0;
      for (std::size_t k = 0; k < e.size(); ++k) square += std::pow(e[k] - want["descriptor"][k].get<double>(), 2);
      EXPECT_LE(std::sqrt(square), 0.08);  // same person up to 0.6; what a landmark one pixel off makes
    }
  }
}

}  // namespace
}  // namespace gemel
