// SPDX-License-Identifier: MIT
//
// Pyramid, tiles, windows, and which of them stay.
#include "siamese/faces/detector.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <span>
#include <tuple>

#include "engine/error.h"
#include "layers/conv2d.h"
#include "siamese/image.h"

namespace gemel {
namespace {

constexpr const char* kName = "face detector";
constexpr double kReduction = 1.2;  // from one level of the pyramid to the next

double area(const Box& b) { return std::max(0.0, b.right - b.left + 1) * std::max(0.0, b.bottom - b.top + 1); }

// One direction of a canvas, cut into `count` tiles of `length` places; tile i answers for [ends[i - 1], ends[i]).
struct Cut {
  int count = 1, length = 0;
  std::vector<int> starts, ends;
};

Cut cut(int places, int count, int halo) {
  Cut c;
  c.count = count;
  c.length = (places + (count - 1) * 2 * halo + count - 1) / count;
  for (int i = 0; i + 1 < count; ++i) {
    c.starts.push_back(i * (c.length - 2 * halo));
    c.ends.push_back(c.starts.back() + c.length - halo);
  }
  c.starts.push_back(places - c.length);
  c.ends.push_back(places);
  return c;
}

}  // namespace

std::vector<Detection> without_overlaps(std::vector<Detection> detections, double iou, double covered) {
  std::sort(detections.begin(), detections.end(), [](const Detection& a, const Detection& b) {
    return std::tuple(-a.score, a.box.top, a.box.left, a.box.bottom) <
           std::tuple(-b.score, b.box.top, b.box.left, b.box.bottom);
  });
  const auto overlap = [&](const Box& a, const Box& b) {
    const double inner = area(
        {std::max(a.left, b.left), std::max(a.top, b.top), std::min(a.right, b.right), std::min(a.bottom, b.bottom)});
    const double outer = area(
        {std::min(a.left, b.left), std::min(a.top, b.top), std::max(a.right, b.right), std::max(a.bottom, b.bottom)});
    return inner > 0 && (inner > iou * outer || inner > covered * area(a) || inner > covered * area(b));
  };
  std::vector<Detection> kept;
  for (const Detection& d : detections) {
    if (std::none_of(kept.begin(), kept.end(), [&](const Detection& k) { return overlap(k.box, d.box); })) {
      kept.push_back(d);
    }
  }
  return kept;
}

struct FaceDetector::Tile {
  int rows, columns;  // places
  int height, width;  // pixels
  Network network;
  Plan plan;

  Tile(const FaceDetector& d, int tile_rows, int tile_columns)
      : rows(tile_rows),
        columns(tile_columns),
        height((rows - 1) * d.geometry_.stride + d.geometry_.field),
        width((columns - 1) * d.geometry_.stride + d.geometry_.field),
        network(
            Network::parse_for_input(d.model_.network, kName, {height, width, static_cast<int>(d.model_.mean.size())})),
        plan(network, d.device_, 1, Plan::Mode::inference) {}
};

FaceDetector::FaceDetector(const DetectorModel& model, Device& device, std::size_t tile_pixels)
    : model_(model), device_(device), stream_(device.make_stream()), tile_pixels_(tile_pixels) {
  parameters_.tensors = std::move(model_.parameters);
  model_.parameters.clear();
  const Network network = Network::parse(model_.network, kName);
  geometry_ = geometry_of(network);
  const auto channels = static_cast<std::size_t>(network.input()[2]);
  if ((channels != 1 && channels != 3) || model_.mean.size() != channels || model_.deviation.size() != channels) {
    throw InputError(concat(kName, ": its network takes ", channels, " channels, it has means of ", model_.mean.size(),
                            " and deviations of ", model_.deviation.size(), "; pictures have 1 or 3"));
  }
  if (model_.window_width < 1 || model_.window_height < 1) throw InputError(concat(kName, ": its window is empty"));
}

FaceDetector::~FaceDetector() = default;

FaceDetector::Geometry FaceDetector::geometry_of(const Network& network) {
  Geometry g;
  for (const auto& layer : network.layers()) {
    if (const auto* conv = dynamic_cast<const Conv2d*>(layer.get())) {
      const Conv2dShape s = conv->shape_of(1);
      const bool square = s.r == s.s && s.stride_h == s.stride_w && s.pad_h == s.pad_w;
      if (square && s.stride_h == 1 && 2 * s.pad_h == s.r - 1) {
        g.halo += s.pad_h;
      } else if (square && s.pad_h == 0 && g.halo == 0) {
        g.field += (s.r - 1) * g.stride;
        g.stride *= s.stride_h;
      } else {
        throw InputError(concat(kName, ": ", layer->describe(),
                                " is neither without padding nor, behind such layers, one that keeps the size"));
      }
    } else if (!layer->in_place(false)) {
      throw InputError(concat(kName, ": ", layer->describe(), " has no place between convolutions"));
    }
  }
  if (network.output().rank() != 3 || network.output()[2] != 1) {
    throw InputError(
        concat(kName, ": its network's output is ", network.output().str(), ", must be one score a place"));
  }
  return g;
}

int FaceDetector::places(int pixels) const {
  return pixels < geometry_.field ? 0 : (pixels - geometry_.field) / geometry_.stride + 1;
}

// The levels of `picture`, enlarged to the first level's size, on the device.
void FaceDetector::make_pyramid(const Image& picture, const std::vector<PyramidLevel>& levels) {
  const int c = picture.channels;
  const auto bytes = [&](int height, int width) { return static_cast<std::size_t>(height) * width * c; };
  std::size_t total = 0;
  offsets_.clear();
  for (const PyramidLevel& level : levels) {
    offsets_.push_back(total);
    total += (bytes(level.height, level.width) + 255) / 256 * 256;
  }
  if (pyramid_.bytes() < total) {
    pyramid_ = Buffer();  // not both at once
    pyramid_ = Buffer(device_, total);
  }
  auto* const base = static_cast<std::uint8_t*>(pyramid_.data());
  const Queue queue = device_.queue(stream_);
  const PyramidLevel& first = levels.front();
  if (first.height == picture.height && first.width == picture.width) {
    device_.upload(stream_, base, picture.pixels.data(), picture.pixels.size());
  } else {
    const Buffer original(device_, picture.pixels.size());
    device_.upload(stream_, original.data(), picture.pixels.data(), picture.pixels.size());
    device_.kernels().image_resize(queue, {picture.height, picture.width, c, first.height, first.width},
                                   static_cast<const std::uint8_t*>(original.data()), base);
    stream_.synchronize();  // before `original` goes
  }
  for (std::size_t i = 1; i < levels.size(); ++i) {
    const PyramidLevel &from = levels[i - 1], &to = levels[i];
    device_.kernels().image_resize(queue, {from.height, from.width, c, to.height, to.width}, base + offsets_[i - 1],
                                   base + offsets_[i]);
  }
}

FaceDetector::Tile& FaceDetector::tile_of(int rows, int columns) {
  if (tile_ != nullptr && tile_->rows == rows && tile_->columns == columns) return *tile_;
  tile_.reset();  // not both at once
  tile_ = std::make_unique<Tile>(*this, rows, columns);
  tile_->network.parameters().allocate(device_, stream_, 0);
  load_parameters(device_, stream_, parameters_, tile_->network.parameters(), kName);
  return *tile_;
}

// The network's input: the canvas from pixel (top, left) on. What no level covers is 0, the mean.
void FaceDetector::fill(Tile& tile, const Canvas& canvas, int top, int left) {
  const int c = static_cast<int>(model_.mean.size());
  device_.fill_zero(stream_, tile.plan.input(), sizeof(float) * tile.network.input().count());
  for (const PyramidLevel& level : canvas.levels) {
    PlaceShape place{.image = {.n = 1, .h = level.height, .w = level.width, .c = c},
                     .out_h = tile.height,
                     .out_w = tile.width,
                     .top = level.top - top,
                     .left = level.left - left};
    std::copy_n(model_.mean.begin(), c, place.image.mean);
    std::copy_n(model_.deviation.begin(), c, place.image.deviation);
    const std::size_t offset = offsets_[static_cast<std::size_t>(level.reductions)];
    device_.kernels().image_place(device_.queue(stream_), place,
                                  static_cast<const std::uint8_t*>(pyramid_.data()) + offset, tile.plan.input());
  }
}

// All windows with a score above 0, in pixels of the pyramid's picture.
std::vector<Detection> FaceDetector::windows(const Canvas& canvas) {
  std::vector<Detection> found;
  const int p = places(canvas.height), q = places(canvas.width), halo = geometry_.halo;
  if (p == 0 || q == 0) return found;

  // The cut that computes the fewest places, of those whose tiles have at most tile_pixels_ (or, where the overlap
  // leaves none, the smallest tiles).
  const auto most = [&](int n) { return std::max(1, n / (2 * halo + 1)); };
  const auto pixels = [&](const Cut& a, const Cut& b) {
    return (static_cast<std::size_t>(a.length) * b.length) * geometry_.stride * geometry_.stride;
  };
  Cut rows = cut(p, most(p), halo), columns = cut(q, most(q), halo);
  std::size_t least = std::numeric_limits<std::size_t>::max();
  for (int across = 1; across <= most(q); ++across) {
    const Cut b = cut(q, across, halo);
    for (int down = 1; down <= most(p); ++down) {
      const Cut a = cut(p, down, halo);
      if (pixels(a, b) > tile_pixels_) continue;
      const std::size_t work = pixels(a, b) * static_cast<std::size_t>(down) * static_cast<std::size_t>(across);
      if (work < least) std::tie(least, rows, columns) = std::tuple(work, a, b);
      break;  // more tiles are more overlap
    }
  }

  Tile& tile = tile_of(rows.length, columns.length);
  std::vector<float> scores(tile.network.output().count());
  for (int i = 0, first_row = 0; i < rows.count; first_row = rows.ends[static_cast<std::size_t>(i++)]) {
    for (int j = 0, first_column = 0; j < columns.count; first_column = columns.ends[static_cast<std::size_t>(j++)]) {
      const int top = rows.starts[static_cast<std::size_t>(i)], left = columns.starts[static_cast<std::size_t>(j)];
      fill(tile, canvas, top * geometry_.stride, left * geometry_.stride);
      tile.plan.forward(stream_, 1);
      device_.download(stream_, scores.data(), tile.plan.output(), scores.size() * sizeof(float));
      for (int row = first_row; row < rows.ends[static_cast<std::size_t>(i)]; ++row) {
        for (int column = first_column; column < columns.ends[static_cast<std::size_t>(j)]; ++column) {
          const float score = scores[static_cast<std::size_t>(row - top) * tile.columns + (column - left)];
          if (!(score > 0)) continue;
          const double middle = (geometry_.field - 1) / 2.0;
          const Point centre{column * geometry_.stride + middle, row * geometry_.stride + middle};
          const double x = (model_.window_width - 1) / 2.0, y = (model_.window_height - 1) / 2.0;
          const PyramidLevel& level = canvas.level_at(centre);
          const Point from = to_picture(level, {centre.x - x, centre.y - y});
          const Point to = to_picture(level, {centre.x + x, centre.y + y});
          found.push_back({{from.x, from.y, to.x, to.y}, score});
        }
      }
    }
  }
  return found;
}

std::vector<Detection> FaceDetector::detect(const Image& picture, int min_face) {
  if (min_face < 1) throw InputError(concat("faces have at least 1 pixel, not ", min_face));
  if (picture.height < 1 || picture.width < 1) return {};
  const int channels = static_cast<int>(model_.mean.size());
  Image converted;
  if (picture.channels != channels) converted = to_channels(picture, channels);
  const Image& image = picture.channels == channels ? picture : converted;

  const int window = std::min(model_.window_width, model_.window_height);
  const double factor = std::max(1.0, static_cast<double>(window) / min_face);
  const double height = std::round(image.height * factor), width = std::round(image.width * factor);
  if (factor > 1 && height * width > static_cast<double>(kMostEnlarged)) {
    const double possible = window * std::sqrt(1.0 * image.height * image.width / static_cast<double>(kMostEnlarged));
    throw InputError(concat("faces of ", min_face, " pixels in a picture of ", image.width, "x", image.height,
                            ": it would be enlarged beyond ", kMostEnlarged >> 20, " megapixels; faces of ",
                            static_cast<int>(std::ceil(possible)) + 1, " pixels are possible"));
  }
  std::vector<PyramidLevel> levels = pyramid_levels(static_cast<int>(height), static_cast<int>(width));
  make_pyramid(image, levels);

  // Windows in levels that were reduced less are of smaller faces.
  int skipped = 0;
  for (double face = window * kReduction; face <= min_face; face *= kReduction) ++skipped;
  levels.erase(levels.begin(), levels.begin() + std::min(skipped, static_cast<int>(levels.size())));
  std::vector<Detection> found = windows(lay_out(std::move(levels)));

  // Corners lie on corners in the enlarged picture.
  const double back_x = width > 1 ? (image.width - 1) / (width - 1) : 0;
  const double back_y = height > 1 ? (image.height - 1) / (height - 1) : 0;
  for (Detection& d : found) {
    const auto whole = [](double x) { return std::floor(x + 0.5); };
    d.box =
        factor > 1 ? Box{d.box.left * back_x, d.box.top * back_y, d.box.right * back_x, d.box.bottom * back_y} : d.box;
    d.box = {whole(d.box.left), whole(d.box.top), whole(d.box.right), whole(d.box.bottom)};
  }
  return without_overlaps(std::move(found), model_.iou, model_.covered);
}

}  // namespace gemel
