// SPDX-License-Identifier: MIT
//
// The pyramid's levels lie on one canvas, as the published model was trained and is used (dlib/image_transforms/
// image_pyramid.h, dlib/dnn/input.h): where a level lies decides which of its pixels the network's grid of one place in
// eight meets, and so its scores. The canvas itself is never there as a whole: the network looks at tiles of it, which
// overlap by as much as the zero padding at their edges spoils.
#include "siamese/faces/detector.h"

#include <algorithm>
#include <cmath>

#include "engine/checkpoint.h"
#include "engine/error.h"
#include "layers/conv2d.h"
#include "siamese/image.h"

namespace gemel {
namespace {

constexpr int kGap = 10, kBorder = 11, kLowest = 5;  // between levels, around the canvas; rows of the smallest level
constexpr int kMostOutputs = 160;                    // of a tile, a side
constexpr double kRate = 5.0 / 6, kShift = 0.3;      // p of a level is p / kRate + kShift of the one above
constexpr std::size_t kMostPixels = std::size_t{64} << 20;

OutputGeometry geometry_of(const Network& network) {
  OutputGeometry g;
  for (const auto& layer : network.layers()) {
    const auto* conv = dynamic_cast<const Conv2d*>(layer.get());
    if (conv == nullptr) continue;
    const Conv2dShape s = conv->shape_of(1);
    if (s.stride_h != s.stride_w || s.pad_h != s.pad_w || s.r != s.s) {
      throw InputError("the detector's network has windows that are not square");
    }
    g.offset += g.scale * (s.r / 2 - s.pad_h);
    g.scale *= s.stride_h;
    g.margin = (g.margin + s.pad_h + s.stride_h - 1) / s.stride_h;
  }
  return g;
}

// Pixels a side that give so many outputs, and the other way round.
int input_side(const Network& network, int outputs) {
  int side = outputs;
  const auto& layers = network.layers();
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    if (const auto* conv = dynamic_cast<const Conv2d*>(layer->get())) {
      const Conv2dShape s = conv->shape_of(1);
      side = (side - 1) * s.stride_h + s.r - 2 * s.pad_h;
    }
  }
  return side;
}
int output_side(const Network& network, int side) {
  for (const auto& layer : network.layers()) {
    if (const auto* conv = dynamic_cast<const Conv2d*>(layer.get())) {
      const Conv2dShape s = conv->shape_of(1);
      side = side + 2 * s.pad_h < s.r ? 0 : window_count(side, s.r, s.stride_h, s.pad_h);
    }
  }
  return side;
}

double area(const Box& box) { return (box.right - box.left + 1) * (box.bottom - box.top + 1); }

bool overlap(const Box& a, const Box& b, double iou, double covered) {
  const Box both{std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right),
                 std::min(a.bottom, b.bottom)};
  if (both.left > both.right || both.top > both.bottom) return false;
  const Box around{std::min(a.left, b.left), std::min(a.top, b.top), std::max(a.right, b.right),
                   std::max(a.bottom, b.bottom)};
  const double inner = area(both);
  return inner / area(around) > iou || inner / area(a) > covered || inner / area(b) > covered;
}

// Outputs [first, last) of a side in `count` parts of `size` each: where part i begins.
int part_start(int i, int size, int margin, int outputs) { return std::min(i * (size - 2 * margin), outputs - size); }

}  // namespace

std::vector<Detection> suppress(std::vector<Detection> found, double iou, double covered) {
  std::stable_sort(found.begin(), found.end(),
                   [](const Detection& a, const Detection& b) { return a.score > b.score; });
  std::vector<Detection> kept;
  for (const Detection& one : found) {
    const auto same = [&](const Detection& other) { return overlap(one.box, other.box, iou, covered); };
    if (std::none_of(kept.begin(), kept.end(), same)) kept.push_back(one);
  }
  return kept;
}

struct FaceDetector::Tile {
  Tile(const DetectorModel& model, Device& device, Stream& stream, int h, int w)
      : height(h), width(w), network(Network::parse_for_input(model.network, "the face detector", {h, w, 3})) {
    network.parameters().allocate(device, stream, 0);
    load_parameters(device, stream, {model.parameters, {}}, network.parameters(), "the face detector");
    plan = std::make_unique<Plan>(network, device, 1, Plan::Mode::inference);
  }
  int height, width;  // of the input
  Network network;
  std::unique_ptr<Plan> plan;
};

FaceDetector::FaceDetector(const DetectorModel& model, Device& device)
    : model_(model), device_(device), stream_(device.make_stream()) {
  const Network network = Network::parse(model_.network, "the face detector");
  if (network.output().rank() != 3 || network.output()[2] != 1) {
    throw InputError("the face detector's network does not end in one score a place");
  }
  geometry_ = geometry_of(network);
  normalization_ = {.n = 1, .h = 0, .w = 0, .c = 3};
  std::copy(model_.mean.begin(), model_.mean.end(), normalization_.mean);
  std::copy(model_.deviation.begin(), model_.deviation.end(), normalization_.deviation);
}

std::vector<Detection> FaceDetector::detect(const Image& picture, int min_face) {
  if (picture.height < 1 || picture.width < 1) return {};
  const Image rgb = enlarged(to_channels(picture, 3), min_face);
  build_levels(rgb, min_face);
  arrange();
  std::vector<Detection> found;
  scan(found);
  const double x = picture.width > 1 ? (picture.width - 1.0) / std::max(rgb.width - 1, 1) : 1;
  const double y = picture.height > 1 ? (picture.height - 1.0) / std::max(rgb.height - 1, 1) : 1;
  const auto whole = [](double v) { return std::floor(v + 0.5); };
  for (Detection& one : found) {
    one.box = {whole(one.box.left * x), whole(one.box.top * y), whole(one.box.right * x), whole(one.box.bottom * y)};
  }
  levels_.clear();
  return suppress(std::move(found), model_.iou, model_.covered);
}

Image FaceDetector::enlarged(const Image& rgb, int min_face) const {
  const int window = std::min(model_.window_height, model_.window_width);
  if (min_face < 1) throw Error(concat("faces have at least 1 pixel, not ", min_face));
  if (min_face >= window) return rgb;
  const double factor = double(window) / min_face;
  const double height = std::round(rgb.height * factor), width = std::round(rgb.width * factor);
  if (!(height * width <= double(kMostPixels))) {
    throw InputError(concat("faces of ", min_face, " pixels in a picture of ", rgb.height, "x", rgb.width,
                            " would take one of ", height, "x", width, "; look for larger ones"));
  }
  Image large{static_cast<int>(height), static_cast<int>(width), 3, {}};
  large.pixels.resize(static_cast<std::size_t>(large.height) * large.width * 3);
  Stream stream = device_.make_stream();
  const Buffer from(device_, rgb.pixels.size()), to(device_, large.pixels.size());
  device_.upload(stream, from.data(), rgb.pixels.data(), rgb.pixels.size());
  device_.kernels().image_resize(device_.queue(stream), {rgb.height, rgb.width, 3, large.height, large.width},
                                 static_cast<const std::uint8_t*>(from.data()), static_cast<std::uint8_t*>(to.data()));
  device_.download(stream, large.pixels.data(), to.data(), large.pixels.size());
  return large;
}

// Levels whose smallest faces are smaller than was asked for are made, as the next is made of them, and not kept.
void FaceDetector::build_levels(const Image& rgb, int min_face) {
  const int window = std::min(model_.window_height, model_.window_width);
  levels_.clear();
  levels_.push_back({.height = rgb.height, .width = rgb.width, .pixels = Buffer(device_, rgb.pixels.size())});
  device_.upload(stream_, levels_.front().pixels.data(), rgb.pixels.data(), rgb.pixels.size());
  skipped_ = 0;
  double smallest = window;  // face of the first level that is kept
  while (true) {
    const Level& last = levels_.back();
    const int height = last.height * 5 / 6, width = last.width * 5 / 6;
    if (height < kLowest || width < 1) break;
    Level next{
        .height = height, .width = width, .pixels = Buffer(device_, static_cast<std::size_t>(height) * width * 3)};
    device_.kernels().image_resize(device_.queue(stream_), {last.height, last.width, 3, height, width},
                                   static_cast<const std::uint8_t*>(last.pixels.data()),
                                   static_cast<std::uint8_t*>(next.pixels.data()));
    levels_.push_back(std::move(next));
    if (levels_.size() == 2 && smallest / kRate <= min_face) {
      stream_.synchronize();
      levels_.erase(levels_.begin());
      smallest /= kRate;
      ++skipped_;
    }
  }
}

// One below the other, until what is left fits beside them, on the way back up.
void FaceDetector::arrange() {
  const Level& first = levels_.front();
  int total = -2 * kGap;
  for (const Level& level : levels_) total += level.height + kGap;
  int height = 0, previous = 0;
  for (const Level& level : levels_) {
    if (level.width <= first.width - previous - kGap && (height - first.height) * 2 >= total - first.height) break;
    height += level.height + kGap;
    previous = level.width;
  }
  height -= kGap;
  canvas_height_ = height + 2 * kBorder;
  canvas_width_ = first.width + 2 * kBorder;
  std::size_t i = 0;
  int y = kBorder;
  for (; i < levels_.size() && y < height + kBorder; ++i) {
    levels_[i].top = y;
    levels_[i].left = kBorder;
    y += levels_[i].height + kGap;
  }
  y -= kGap;
  for (; i < levels_.size(); ++i) {
    const int top = y - levels_[i].height, left = kBorder + first.width - levels_[i].width;
    if (top < kBorder + first.height) break;  // it would lie on the first
    levels_[i].top = top;
    levels_[i].left = left;
    y -= levels_[i].height + kGap;
  }
  levels_.erase(levels_.begin() + static_cast<std::ptrdiff_t>(i), levels_.end());
}

void FaceDetector::scan(std::vector<Detection>& found) {
  const Network network = Network::parse(model_.network, "the face detector");
  const int rows = output_side(network, canvas_height_), columns = output_side(network, canvas_width_);
  if (rows < 1 || columns < 1) return;
  const int margin = geometry_.margin;
  const auto parts = [&](int outputs) {
    return outputs <= kMostOutputs
               ? 1
               : (outputs - 2 * margin + kMostOutputs - 2 * margin - 1) / (kMostOutputs - 2 * margin);
  };
  const int parts_down = parts(rows), parts_across = parts(columns);
  const auto side = [&](int outputs, int count) { return (outputs - 2 * margin + count - 1) / count + 2 * margin; };
  const int tile_rows = parts_down == 1 ? rows : side(rows, parts_down);
  const int tile_columns = parts_across == 1 ? columns : side(columns, parts_across);
  const int height = input_side(network, tile_rows), width = input_side(network, tile_columns);
  if (!tile_ || tile_->height != height || tile_->width != width) {
    tile_.reset();
    tile_ = std::make_shared<Tile>(model_, device_, stream_, height, width);
  }
  std::vector<float> scores(static_cast<std::size_t>(tile_rows) * tile_columns);
  for (int down = 0; down < parts_down; ++down) {
    for (int across = 0; across < parts_across; ++across) {
      const int row = part_start(down, tile_rows, margin, rows),
                column = part_start(across, tile_columns, margin, columns);
      const int top = row * geometry_.scale, left = column * geometry_.scale;
      float* const input = tile_->plan->input();
      device_.fill_zero(stream_, input, static_cast<std::size_t>(height) * width * 3 * sizeof(float));
      bool empty = true;
      for (const Level& level : levels_) {
        PlaceShape place{.image = normalization_,
                         .out_h = height,
                         .out_w = width,
                         .top = level.top - top,
                         .left = level.left - left};
        place.image.h = level.height;
        place.image.w = level.width;
        if (place.top >= height || place.left >= width || place.top + level.height <= 0 ||
            place.left + level.width <= 0)
          continue;
        empty = false;
        device_.kernels().image_place(device_.queue(stream_), place,
                                      static_cast<const std::uint8_t*>(level.pixels.data()), input);
      }
      if (empty) continue;
      tile_->plan->forward(stream_, 1);
      device_.download(stream_, scores.data(), tile_->plan->output(), scores.size() * sizeof(float));
      collect(scores, row, column, down == 0 ? 0 : margin, down == parts_down - 1 ? tile_rows : tile_rows - margin,
              across == 0 ? 0 : margin, across == parts_across - 1 ? tile_columns : tile_columns - margin, found);
    }
  }
}

void FaceDetector::collect(const std::vector<float>& scores, int row, int column, int first_row, int last_row,
                           int first_column, int last_column, std::vector<Detection>& found) const {
  const int columns = (tile_->network.output())[1];
  for (int r = first_row; r < last_row; ++r) {
    for (int c = first_column; c < last_column; ++c) {
      const float score = scores[static_cast<std::size_t>(r) * columns + c];
      if (score > 0) found.push_back(at(row + r, column + c, score));
    }
  }
}

// The window about that place of the canvas, in the picture: the level nearest to its centre tells how much larger.
Detection FaceDetector::at(int row, int column, float score) const {
  const double x = double(geometry_.scale) * column + geometry_.offset,
               y = double(geometry_.scale) * row + geometry_.offset;
  std::size_t nearest = 0;
  double least = INFINITY;
  for (std::size_t i = 0; i < levels_.size(); ++i) {
    const Level& level = levels_[i];
    const double dx = std::max({level.left - x, x - (level.left + level.width - 1), 0.0});
    const double dy = std::max({level.top - y, y - (level.top + level.height - 1), 0.0});
    if (dx * dx + dy * dy < least) {
      least = dx * dx + dy * dy;
      nearest = i;
    }
  }
  const double half_width = (model_.window_width - 1) / 2.0, half_height = (model_.window_height - 1) / 2.0;
  const Level& level = levels_[nearest];
  Box box{x - half_width - level.left, y - half_height - level.top, x + half_width - level.left,
          y + half_height - level.top};
  for (std::size_t i = 0; i < nearest + static_cast<std::size_t>(skipped_); ++i) {
    for (double* edge : {&box.left, &box.top, &box.right, &box.bottom}) *edge = *edge / kRate + kShift;
  }
  return {box, score};
}

}  // namespace gemel
