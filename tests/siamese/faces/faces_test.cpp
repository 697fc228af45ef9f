// SPDX-License-Identifier: MIT
//
// From boxes to chips: geometry by hand, a cascade whose answers are known, and, where GEMEL_FACES and GEMEL_DATA name them,
// the published models on photographs with dlib's answers.
#include <cmath>
#include <cstdlib>
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

// dlib 19.24's answers: descriptors lie 5e-6 to 7e-5 from its own. 0.05 is what a landmark one pixel off makes.
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
  const auto reference = nlohmann::json::parse(read_file(photos / "reference.json"));
  ASSERT_FALSE(reference.at("photos").empty());
  for (const auto& photo : reference.at("photos")) {
    SCOPED_TRACE(photo["file"].get<std::string>());
    const std::vector<FoundFace> found = finder.find(read_image(photos / photo["file"].get<std::string>(), 3), 80);
    ASSERT_EQ(found.size(), photo["faces"].size());
    for (std::size_t i = 0; i < found.size(); ++i) {
      const auto& want = photo["faces"][i];
      const Face& face = found[i].face;
      EXPECT_NEAR(face.score, want["score"].get<double>(), 1e-3);
      const std::array<double, 4> box{face.box.left, face.box.top, face.box.right, face.box.bottom};
      for (std::size_t k = 0; k < 4; ++k) EXPECT_NEAR(box[k], want["box"][k].get<double>(), 1);
      for (std::size_t k = 0; k < 5; ++k) {
        EXPECT_NEAR(face.landmarks[k].x, want["landmarks"][k][0].get<double>(), 1);
        EXPECT_NEAR(face.landmarks[k].y, want["landmarks"][k][1].get<double>(), 1);
      }
      const std::vector<float> e = model.encoder().embed(found[i].chip.pixels, 1);
      double square = 0;
      for (std::size_t k = 0; k < e.size(); ++k) square += std::pow(e[k] - want["descriptor"][k].get<double>(), 2);
      RecordProperty(concat(photo["file"].get<std::string>(), i), concat(std::sqrt(square)));
      EXPECT_LE(std::sqrt(square), 2e-3);
    }
  }
}

}  // namespace
}  // namespace gemel
