// SPDX-License-Identifier: MIT
//
// The cascade's tensors in device memory, and one launch a picture.
#include "siamese/faces/landmark_finder.h"

#include <cmath>

#include "engine/error.h"

namespace gemel {
namespace {

template <class T>
Buffer uploaded(Device& device, Stream& stream, const std::vector<T>& values) {
  Buffer buffer(device, values.size() * sizeof(T));
  device.upload(stream, buffer.data(), values.data(), buffer.bytes());
  return buffer;
}

}  // namespace

LandmarkFinder::LandmarkFinder(const LandmarkModel& model, Device& device)
    : device_(device),
      stream_(device.make_stream()),
      mean_shape_(uploaded(device, stream_, model.mean_shape)),
      anchors_(uploaded(device, stream_, model.anchors)),
      offsets_(uploaded(device, stream_, model.offsets)),
      pairs_(uploaded(device, stream_, model.pairs)),
      thresholds_(uploaded(device, stream_, model.thresholds)),
      leaves_(uploaded(device, stream_, model.leaves)),
      cascade_{.points = model.points,
               .stages = model.stages,
               .trees = model.trees,
               .depth = model.depth,
               .features = model.features,
               .mean_shape = mean_shape_.f32(),
               .anchors = static_cast<const std::int32_t*>(anchors_.data()),
               .offsets = offsets_.f32(),
               .pairs = static_cast<const std::int32_t*>(pairs_.data()),
               .thresholds = thresholds_.f32(),
               .leaves = leaves_.f32()} {
  constexpr auto kPoints = static_cast<int>(std::tuple_size_v<Landmarks>);
  if (model.points != kPoints) {
    throw InputError(concat("faces are aligned by ", kPoints, " landmarks, the model has ", model.points));
  }
}

std::vector<Landmarks> LandmarkFinder::find(const Image& picture, std::span<const Box> boxes) {
  if (boxes.empty()) return {};
  std::vector<float> edges;
  for (const Box& box : boxes) {
    for (const double edge : {box.left, box.top, box.right, box.bottom}) edges.push_back(static_cast<float>(edge));
  }
  const Buffer image = uploaded(device_, stream_, picture.pixels), device_boxes = uploaded(device_, stream_, edges);
  const Buffer points(device_, boxes.size() * sizeof(float) * 2 * std::tuple_size_v<Landmarks>);
  device_.kernels().landmarks(device_.queue(stream_), cascade_, static_cast<int>(boxes.size()), picture.height,
                              picture.width, picture.channels, device_boxes.f32(),
                              static_cast<const std::uint8_t*>(image.data()), points.f32());
  const std::vector<float> numbers = download(device_, stream_, points.f32(), points.bytes() / sizeof(float));
  std::vector<Landmarks> found(boxes.size());
  const float* number = numbers.data();
  for (Landmarks& landmarks : found) {
    for (Point& point : landmarks) {
      point.x = std::floor(double{*number++} + 0.5);
      point.y = std::floor(double{*number++} + 0.5);
    }
  }
  return found;
}

}  // namespace gemel
