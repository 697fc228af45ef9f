// SPDX-License-Identifier: MIT
//
// The part of a model file that finds faces. Tensors: faces.detector.network.NAME for each parameter, .mean and
// .deviation; faces.landmarks.mean_shape and so on, in the shapes that face_model.h gives, whole numbers as floats.
// Metadata: faces.format, faces.detector.network, .window ("80x80"), .iou, .covered.
#include "siamese/faces/face_model.h"

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <tuple>

#include "engine/error.h"
#include "layers/network.h"
#include "layers/text_line.h"
#include "siamese/faces/face.h"

namespace gemel {
namespace {

constexpr const char* kFormat = "1";
constexpr std::int64_t kChannels = 3, kPoints = std::tuple_size_v<Landmarks>;
constexpr int kMostDepth = 16;
constexpr float kLargestWhole = 16777216;  // up to here a float holds every whole number

const std::string kPrefix = kFacesPrefix, kDetector = kPrefix + "detector.", kLandmarks = kPrefix + "landmarks.",
                  kNetwork = kDetector + "network.";

std::string number_text(double value) {
  std::array<char, 32> text{};
  return {text.data(), std::to_chars(text.data(), text.data() + text.size(), value).ptr};
}

// What a file holds, by name; errors name the file.
class Reader {
 public:
  Reader(const TensorFile& content, const std::string& file) : content_(content), file_(file) {}

  [[noreturn]] void fail(const std::string& what) const { throw InputError(concat(file_, ": ", what)); }

  const std::string& text(const std::string& key) const {
    const auto found = content_.metadata.find(key);
    if (found == content_.metadata.end()) {
      fail(concat("has no part that finds faces (no ", key, "); 'gemel import' makes a model that has"));
    }
    return found->second;
  }

  // Of the whole text.
  template <class Number>
  Number number(std::string_view digits, const std::string& key, Number lowest, Number highest) const {
    Number value{};
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), value);
    if (error != std::errc() || end != digits.data() + digits.size() || !(value >= lowest && value <= highest)) {
      fail(concat("its ", key, " is '", printable(digits), "', not a number from ", lowest, " to ", highest));
    }
    return value;
  }

  const TensorFile::Tensor& tensor(const std::string& name) const {
    const auto found = content_.tensors.find(name);
    if (found == content_.tensors.end()) fail(concat("has no tensor ", name));
    const auto finite = [](float value) { return std::isfinite(value); };
    const std::vector<float>& values = found->second.values;
    if (!std::all_of(values.begin(), values.end(), finite)) fail(concat(name, " is not finite"));
    return found->second;
  }

  const std::vector<float>& values(const std::string& name, const std::vector<std::int64_t>& shape) const {
    const TensorFile::Tensor& found = tensor(name);
    if (found.shape != shape) fail(concat(name, " has another shape than the tensors beside it"));
    return found.values;
  }

  // Whole numbers from 0 to `limit` - 1.
  std::vector<std::int32_t> indices(const std::string& name, const std::vector<std::int64_t>& shape, int limit) const {
    std::vector<std::int32_t> whole;
    for (const float value : values(name, shape)) {
      if (!(value >= 0 && value < static_cast<float>(limit) && value == std::floor(value))) {
        fail(concat(name, " holds ", value, ", not a whole number below ", limit));
      }
      whole.push_back(static_cast<std::int32_t>(value));
    }
    return whole;
  }

  const TensorFile& content() const { return content_; }
  const std::string& file() const { return file_; }

 private:
  const TensorFile& content_;
  const std::string& file_;
};

// Throws InputError unless the parameters are the network's, and it gives one score a place.
void check_network(const DetectorModel& model, const Reader& reader) {
  try {
    const Network network = Network::parse(model.network + "flatten\n", reader.file());
    const Shape& scores = network.shapes()[network.shapes().size() - 2];
    if (network.input()[2] != kChannels || scores.rank() != 3 || scores[2] != 1) {
      reader.fail("its detector does not make one score a place of colour pictures");
    }
    const std::vector<Parameters::Entry>& entries = network.parameters().entries();
    for (const Parameters::Entry& entry : entries) {
      const auto found = model.parameters.find(entry.name);
      if (found == model.parameters.end()) reader.fail(concat("its detector has no ", entry.name));
      std::vector<std::int64_t> shape;
      for (int i = 0; i < entry.shape.rank(); ++i) shape.push_back(entry.shape[i]);
      if (found->second.shape != shape)
        reader.fail(concat("its detector's ", entry.name, " is not ", entry.shape.str()));
    }
    if (entries.size() != model.parameters.size()) reader.fail("its detector has parameters that its network has not");
  } catch (const ShapeError& error) {
    reader.fail(concat("its detector does not fit together (", error.what(), ")"));
  }
}

DetectorModel read_detector(const Reader& reader) {
  DetectorModel model;
  model.network = reader.text(kDetector + "network");
  const std::string window = reader.text(kDetector + "window");
  const std::size_t by = window.find('x');
  if (by == std::string::npos) reader.fail(concat("its ", kDetector, "window is no size HxW"));
  model.window_height = reader.number(std::string_view(window).substr(0, by), kDetector + "window", 1, kMaxLength);
  model.window_width = reader.number(std::string_view(window).substr(by + 1), kDetector + "window", 1, kMaxLength);
  model.iou = reader.number(reader.text(kDetector + "iou"), kDetector + "iou", 0.0, 1.0);
  model.covered = reader.number(reader.text(kDetector + "covered"), kDetector + "covered", 0.0, 1.0);
  model.mean = reader.values(kDetector + "mean", {kChannels});
  model.deviation = reader.values(kDetector + "deviation", {kChannels});
  for (const float deviation : model.deviation) {
    if (!(deviation > 0)) reader.fail(concat(kDetector, "deviation is not positive"));
  }
  for (auto at = reader.content().tensors.lower_bound(kNetwork);
       at != reader.content().tensors.end() && at->first.starts_with(kNetwork); ++at) {
    model.parameters[at->first.substr(kNetwork.size())] = reader.tensor(at->first);
  }
  check_network(model, reader);
  return model;
}

LandmarkModel read_landmarks(const Reader& reader) {
  const auto size = [&](const std::vector<std::int64_t>& shape, std::size_t i) {
    if (shape.size() <= i || shape[i] < 1 || shape[i] > static_cast<std::int64_t>(kLargestWhole)) {
      reader.fail(concat("the tensors ", kLandmarks, "... have no sizes of a cascade of trees"));
    }
    return shape[i];
  };
  const std::vector<std::int64_t>& leaves = reader.tensor(kLandmarks + "leaves").shape;
  const std::int64_t stages = size(leaves, 0), trees = size(leaves, 1), ends = size(leaves, 2);
  const std::int64_t features = size(reader.tensor(kLandmarks + "anchors").shape, 1);
  LandmarkModel model;
  model.points = static_cast<int>(kPoints);
  model.stages = static_cast<int>(stages);
  model.trees = static_cast<int>(trees);
  model.features = static_cast<int>(features);
  while (model.depth <= kMostDepth && std::int64_t{1} << model.depth < ends) ++model.depth;
  if (model.depth < 1 || std::int64_t{1} << model.depth != ends) {
    reader.fail(concat("its trees have ", ends, " leaves; complete ones have 2, 4, 8, ..."));
  }
  model.mean_shape = reader.values(kLandmarks + "mean_shape", {kPoints, 2});
  model.anchors = reader.indices(kLandmarks + "anchors", {stages, features}, model.points);
  model.offsets = reader.values(kLandmarks + "offsets", {stages, features, 2});
  model.pairs = reader.indices(kLandmarks + "pairs", {stages, trees, ends - 1, 2}, model.features);
  model.thresholds = reader.values(kLandmarks + "thresholds", {stages, trees, ends - 1});
  model.leaves = reader.values(kLandmarks + "leaves", {stages, trees, ends, kPoints, 2});
  return model;
}

std::vector<float> as_floats(const std::vector<std::int32_t>& whole) { return {whole.begin(), whole.end()}; }

}  // namespace

FaceModel FaceModel::from(const TensorFile& content, const std::string& file) {
  const Reader reader(content, file);
  if (const std::string& format = reader.text(kPrefix + "format"); format != kFormat) {
    reader.fail(concat("has faces of format '", printable(format), "'; this build reads format ", kFormat));
  }
  return {read_detector(reader), read_landmarks(reader)};
}

void FaceModel::add_to(TensorFile& content) const {
  content.metadata[kPrefix + "format"] = kFormat;
  content.metadata[kDetector + "network"] = detector.network;
  content.metadata[kDetector + "window"] = concat(detector.window_height, "x", detector.window_width);
  content.metadata[kDetector + "iou"] = number_text(detector.iou);
  content.metadata[kDetector + "covered"] = number_text(detector.covered);
  content.tensors[kDetector + "mean"] = {{kChannels}, detector.mean};
  content.tensors[kDetector + "deviation"] = {{kChannels}, detector.deviation};
  for (const auto& [name, tensor] : detector.parameters) content.tensors[kNetwork + name] = tensor;
  const LandmarkModel& l = landmarks;
  const std::int64_t nodes = (std::int64_t{1} << l.depth) - 1;
  content.tensors[kLandmarks + "mean_shape"] = {{l.points, 2}, l.mean_shape};
  content.tensors[kLandmarks + "anchors"] = {{l.stages, l.features}, as_floats(l.anchors)};
  content.tensors[kLandmarks + "offsets"] = {{l.stages, l.features, 2}, l.offsets};
  content.tensors[kLandmarks + "pairs"] = {{l.stages, l.trees, nodes, 2}, as_floats(l.pairs)};
  content.tensors[kLandmarks + "thresholds"] = {{l.stages, l.trees, nodes}, l.thresholds};
  content.tensors[kLandmarks + "leaves"] = {{l.stages, l.trees, nodes + 1, l.points, 2}, l.leaves};
}

}  // namespace gemel
