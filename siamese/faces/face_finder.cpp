// SPDX-License-Identifier: MIT
//
// Detector, landmarks and chips, one after the other.
#include "siamese/faces/face_finder.h"

#include <algorithm>

#include "engine/error.h"
#include "siamese/image.h"

namespace gemel {
namespace {

double area(const Box& box) { return (box.right - box.left + 1) * (box.bottom - box.top + 1); }

}  // namespace

FaceFinder::FaceFinder(const FaceModel& model, Device& device, int size)
    : detector_(model.detector, device),
      landmarks_(model.landmarks, device),
      cutter_(device),
      window_(std::min(model.detector.window_width, model.detector.window_height)),
      size_(size) {}

std::vector<FoundFace> FaceFinder::find(const Image& picture, int min_face) {
  const Image rgb = to_channels(picture, 3);
  std::vector<Detection> detections = detector_.detect(rgb, min_face);
  if (detections.empty()) return {};
  std::stable_sort(detections.begin(), detections.end(),
                   [](const Detection& a, const Detection& b) { return area(a.box) > area(b.box); });
  std::vector<Box> boxes;
  for (const Detection& detection : detections) boxes.push_back(detection.box);
  const std::vector<Landmarks> landmarks = landmarks_.find(rgb, boxes);
  std::vector<Image> chips = cutter_.cut(rgb, landmarks, size_);
  std::vector<FoundFace> found;
  for (std::size_t i = 0; i < detections.size(); ++i) {
    found.push_back({{boxes[i], detections[i].score, landmarks[i]}, std::move(chips[i])});
  }
  return found;
}

Dataset load_face_dataset(const std::string& folder, FaceFinder& finder, int min_face, int limit,
                          const std::function<void(const std::string&, int)>& on_picture) {
  Dataset data;
  data.source = folder;
  data.channels = 3;
  for (const PictureFolder& person : find_pictures(folder)) {
    if (person.name.empty()) continue;  // outside of any sub-folder
    int images = 0;
    for (const std::filesystem::path& file : person.files) {
      if (limit > 0 && images == limit) break;
      const std::vector<FoundFace> found = finder.find(read_image(file, 3), min_face);
      if (on_picture) on_picture(file.string(), static_cast<int>(found.size()));
      if (found.empty()) continue;
      const Image& chip = found.front().chip;
      data.height = chip.height;
      data.width = chip.width;
      data.pixels.insert(data.pixels.end(), chip.pixels.begin(), chip.pixels.end());
      data.labels.push_back(static_cast<std::int32_t>(data.identities.size()));
      data.files.push_back(file.string());
      ++images;
    }
    if (images > 0) data.identities.push_back(person.name);
  }
  if (data.identities.size() < 2) {
    throw InputError(concat(folder, ": faces of ", data.identities.size(),
                            " people found; there must be two sub-folders at least whose pictures show a face"));
  }
  return data;
}

}  // namespace gemel
