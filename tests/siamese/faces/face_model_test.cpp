// SPDX-License-Identifier: MIT
//
// What finds faces comes back from its tensors as it was, and what does not fit is named.
#include "siamese/faces/face_model.h"

#include "siamese/faces/dlib_models.h"
#include "tests/siamese/faces/dlib_writer.h"
#include "tests/siamese/support.h"

namespace gemel {
namespace {

FaceModel tiny() {
  DlibArchive detector(tiny_detector().bytes(), "d"), landmarks(tiny_landmarks().bytes(), "l");
  return {read_dlib_detector(detector), read_dlib_landmarks(landmarks)};
}

TensorFile content() {
  TensorFile file;
  tiny().add_to(file);
  return file;
}

TEST(FaceModelTest, ComesBackAsItWas) {
  const FaceModel was = tiny();
  const TemporaryFolder folder;
  write_tensors(folder / "faces", content());
  const FaceModel is = FaceModel::from(read_tensors(folder / "faces"), "faces");
  EXPECT_EQ(is.detector.network, was.detector.network);
  EXPECT_EQ(is.detector.mean, was.detector.mean);
  EXPECT_EQ(is.detector.deviation, was.detector.deviation);
  EXPECT_EQ(is.detector.window_width, 40);
  EXPECT_EQ(is.detector.window_height, 36);
  EXPECT_EQ(is.detector.iou, was.detector.iou);
  EXPECT_EQ(is.detector.covered, was.detector.covered);
  ASSERT_EQ(is.detector.parameters.size(), was.detector.parameters.size());
  for (const auto& [name, tensor] : was.detector.parameters) {
    EXPECT_EQ(is.detector.parameters.at(name).shape, tensor.shape) << name;
    EXPECT_EQ(is.detector.parameters.at(name).values, tensor.values) << name;
  }
  EXPECT_EQ(is.landmarks.points, 5);
  EXPECT_EQ(is.landmarks.stages, was.landmarks.stages);
  EXPECT_EQ(is.landmarks.trees, was.landmarks.trees);
  EXPECT_EQ(is.landmarks.depth, was.landmarks.depth);
  EXPECT_EQ(is.landmarks.features, was.landmarks.features);
  EXPECT_EQ(is.landmarks.mean_shape, was.landmarks.mean_shape);
  EXPECT_EQ(is.landmarks.anchors, was.landmarks.anchors);
  EXPECT_EQ(is.landmarks.offsets, was.landmarks.offsets);
  EXPECT_EQ(is.landmarks.pairs, was.landmarks.pairs);
  EXPECT_EQ(is.landmarks.thresholds, was.landmarks.thresholds);
  EXPECT_EQ(is.landmarks.leaves, was.landmarks.leaves);
}

// Every name begins with the prefix by which Model keeps them.
TEST(FaceModelTest, NamesBeginWithFaces) {
  const TensorFile file = content();
  for (const auto& [name, tensor] : file.tensors) EXPECT_TRUE(name.starts_with(kFacesPrefix)) << name;
  for (const auto& [key, value] : file.metadata) EXPECT_TRUE(key.starts_with(kFacesPrefix)) << key;
}

TEST(FaceModelTest, WhatIsMissingIsNamed) {
  const TensorFile whole = content();
  for (const auto& [name, tensor] : whole.tensors) {
    TensorFile file = whole;
    file.tensors.erase(name);
    const std::string last = name.substr(name.find_last_of('.', name.find_last_of('.') - 1) + 1);
    expect_input_error([&] { FaceModel::from(file, "m.safetensors"); }, {"m.safetensors: ", last});
  }
  for (const auto& [key, value] : whole.metadata) {
    TensorFile file = whole;
    file.metadata.erase(key);
    expect_input_error([&] { FaceModel::from(file, "m.safetensors"); }, {"m.safetensors: ", key, "gemel import"});
  }
  expect_input_error([] { FaceModel::from({}, "m.safetensors"); }, {"m.safetensors: has no part that finds faces"});
}

TEST(FaceModelTest, WhatDoesNotFitIsNamed) {
  const auto refused = [](const std::function<void(TensorFile&)>& change, const std::vector<std::string>& parts) {
    TensorFile file = content();
    change(file);
    expect_input_error([&] { FaceModel::from(file, "m.safetensors"); }, parts);
  };
  const auto with_text = [&](const char* key, const char* value, const std::vector<std::string>& parts) {
    SCOPED_TRACE(concat(key, "=", value));
    refused([&](TensorFile& f) { f.metadata.at(key) = value; }, parts);
  };
  const auto with_number = [&](const char* name, std::size_t i, float value, const std::vector<std::string>& parts) {
    SCOPED_TRACE(concat(name, "[", i, "]=", value));
    refused([&](TensorFile& f) { f.tensors.at(name).values.at(i) = value; }, parts);
  };
  with_text("faces.format", "2", {"format '2'"});
  for (const char* window : {"", "80", "x", "80x", "x80", "0x80", "80x80x3", "-1x5", "99999x9"}) {
    with_text("faces.detector.window", window, {"window"});
  }
  for (const char* share : {"", "1.5", "-0.1", "nan", "0.5x"}) with_text("faces.detector.iou", share, {"iou"});
  with_text("faces.detector.covered", "2", {"covered", "from 0 to 1"});
  with_text("faces.detector.network", "input 9x9x3\nconv 1 3x3\n", {"conv1.weight"});
  with_text("faces.detector.network", "input 9x9x3\n", {"m.safetensors"});
  with_text("faces.detector.network", "input 2x2x3\nconv 2 3x3 stride 2\n", {"does not fit together"});
  with_text("faces.detector.network", "input 36x40x3\nconv 2 3x3 stride 2\naffine\nrelu\n", {"one score a place"});
  with_text("faces.detector.network", "input 36x40x3\nconv 2 3x3 stride 2\nlinear 1\n", {"one score a place"});
  refused(
      [](TensorFile& f) {
        f.tensors["faces.detector.network.conv9.weight"] = {{1}, {1}};
      },
      {"that its network has not"});
  with_number("faces.detector.network.conv1.weight", 3, NAN, {"conv1.weight is not finite"});
  with_number("faces.detector.deviation", 1, 0, {"deviation is not positive"});
  with_number("faces.landmarks.anchors", 3, 5, {"anchors holds 5, not a whole number below 5"});
  with_number("faces.landmarks.anchors", 3, -1, {"anchors holds -1"});
  with_number("faces.landmarks.pairs", 7, 1.5F, {"pairs holds 1.5"});
  with_number("faces.landmarks.pairs", 7, 4, {"pairs holds 4, not a whole number below 4"});
  with_number("faces.landmarks.leaves", 0, INFINITY, {"leaves is not finite"});
  for (const char* name : {"mean_shape", "anchors", "offsets", "pairs", "thresholds", "leaves"}) {
    SCOPED_TRACE(name);
    const std::string full = concat("faces.landmarks.", name);
    refused([&](TensorFile& f) { f.tensors.at(full) = {{1}, {0}}; }, {"faces.landmarks."});
    refused([&](TensorFile& f) { f.tensors.at(full) = {{}, {0}}; }, {"faces.landmarks."});
  }
  // 3 leaves a tree
  refused(
      [](TensorFile& f) {
        f.tensors.at("faces.landmarks.leaves") = {{2, 3, 3, 5, 2}, ramp(180, 0)};
      },
      {"3 leaves"});
}

}  // namespace
}  // namespace gemel
