// SPDX-License-Identifier: MIT
//
// landmarks: the points of n faces in one photograph by a cascade of regression trees (Kazemi, Sullivan 2014, "One
// millisecond face alignment with an ensemble of regression trees", sec. 2; conventions: dlib/image_processing/
// shape_predictor.h).
//
//   S = mean shape; then stage by stage
//     A      linear part of the similarity that takes the mean shape to S best, by least squares (Umeyama 1991); 1 for a
//            single point. As complex numbers, f and t about their means: a + ib = sum conj(f) t / sum |f|^2.
//     v_k    grey value at the pixel nearest to box(S[anchor_k] + A offset_k); 0 outside of the picture
//     S     += sum over trees of the leaf that v leads to
//   y = box(S), box(u, v) = (left + u (right - left), top + v (bottom - top))
//
// Mapping    one block a face; 128 threads over features, then trees, then the leaves' numbers, which are copied to shared
//            memory, then coordinates, each of which adds its numbers up tree by tree.
// Shared     2 shapes, an int a tree, a byte a feature, a float a tree and coordinate of at most kChunkBytes at a time.
// Traffic    a stage reads 12 bytes a feature, 12 bytes a node on the way, 8 bytes a point and tree; 4 barriers.
// Numerics   shapes and places in a box are f32, rounded after every product and sum, and leaves are added in the order of
//            their trees, as the models were trained and are used: a place that rounds to another pixel may send the face
//            down another path. The similarity and what follows the box are double.
// Edges      boxes may lie outside of the picture; a box or a place that is not a number reads 0.
#include <algorithm>
#include <string>

#include "kernels/entries.h"
#include "kernels/simt/launch_error.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 128;
constexpr int kMostFeatures = 8192, kMostTrees = 2048, kMostPoints = 256;

constexpr int kChunkBytes = 24 * 1024;

// Where a face's working memory lies.
struct Layout {
  int coordinates, chunk;  // 2 a point; trees whose leaves are added up at a time
  int mean, shape, leaf, number, value, bytes;
  explicit Layout(const Cascade& cascade)
      : coordinates(2 * cascade.points),
        chunk(std::min(cascade.trees, kChunkBytes / (coordinates * int{sizeof(float)}))) {
    constexpr int kFloat = sizeof(float);
    mean = 0;
    shape = mean + coordinates * kFloat;
    leaf = shape + coordinates * kFloat;
    number = leaf + cascade.trees * int{sizeof(std::int32_t)};
    value = number + chunk * coordinates * kFloat;
    bytes = value + cascade.features;
  }
};

struct Picture {
  int h, w, c;
  const std::uint8_t* pixels;
};

// The grey value at the pixel nearest to (x, y), halves up; 0 outside.
__device__ __forceinline__ std::uint8_t grey_at(const Picture& image, double x, double y) {
  const double column = floor(x + 0.5), row = floor(y + 0.5);
  if (!(column >= 0 && row >= 0 && column < image.w && row < image.h)) return 0;
  const std::uint8_t* pixel =
      image.pixels + (static_cast<std::size_t>(row) * image.w + static_cast<std::size_t>(column)) * image.c;
  return image.c == 1 ? pixel[0] : static_cast<std::uint8_t>((pixel[0] + pixel[1] + pixel[2]) / 3);
}

// The product as f32, whatever is done with it: in double it is exact.
__device__ __forceinline__ float product(float a, float b) { return static_cast<float>(double(a) * double(b)); }

// a + ib: (x, y) -> (a x - b y, b x + a y).
struct Turn {
  float a, b;
};

__device__ __forceinline__ Turn best_turn(int points, const float* from, const float* to) {
  if (points == 1) return {1, 0};
  double from_x = 0, from_y = 0, to_x = 0, to_y = 0;
  for (int i = 0; i < points; ++i) {
    from_x += from[2 * i];
    from_y += from[2 * i + 1];
    to_x += to[2 * i];
    to_y += to[2 * i + 1];
  }
  from_x /= points;
  from_y /= points;
  to_x /= points;
  to_y /= points;
  double along = 0, across = 0, spread = 0;
  for (int i = 0; i < points; ++i) {
    const double fx = from[2 * i] - from_x, fy = from[2 * i + 1] - from_y;
    const double tx = to[2 * i] - to_x, ty = to[2 * i + 1] - to_y;
    along += fx * tx + fy * ty;
    across += fx * ty - fy * tx;
    spread += fx * fx + fy * fy;
  }
  if (spread == 0) return {1, 0};
  return {static_cast<float>(along / spread), static_cast<float>(across / spread)};
}

__global__ void landmarks_kernel(Cascade cascade, Layout layout, Picture image, const float* __restrict__ boxes,
                                 float* __restrict__ y) {
  auto* memory = &shared_storage<unsigned char>();
  auto* mean = reinterpret_cast<float*>(memory + layout.mean);
  auto* shape = reinterpret_cast<float*>(memory + layout.shape);
  auto* leaf = reinterpret_cast<std::int32_t*>(memory + layout.leaf);
  auto* number = reinterpret_cast<float*>(memory + layout.number);
  auto* value = memory + layout.value;
  const int thread = threadIdx.x, coordinates = layout.coordinates;
  const float* box = boxes + std::size_t(blockIdx.x) * 4;
  const double left = box[0], top = box[1], width = double(box[2]) - left, height = double(box[3]) - top;
  const int nodes = (1 << cascade.depth) - 1;

  for (int i = thread; i < coordinates; i += kThreads) mean[i] = shape[i] = cascade.mean_shape[i];
  __syncthreads();
  for (int stage = 0; stage < cascade.stages; ++stage) {
    const Turn turn = best_turn(cascade.points, mean, shape);
    for (int k = thread; k < cascade.features; k += kThreads) {
      const std::size_t feature = std::size_t(stage) * cascade.features + k;
      const float dx = cascade.offsets[2 * feature], dy = cascade.offsets[2 * feature + 1];
      const float* anchor = shape + 2 * cascade.anchors[feature];
      const float x = product(turn.a, dx) - product(turn.b, dy) + anchor[0];
      const float y_place = product(turn.b, dx) + product(turn.a, dy) + anchor[1];
      value[k] = grey_at(image, left + width * x, top + height * y_place);
    }
    __syncthreads();
    for (int t = thread; t < cascade.trees; t += kThreads) {
      const std::size_t tree = std::size_t(stage) * cascade.trees + t;
      int node = 0;
      while (node < nodes) {
        const std::int32_t* pair = cascade.pairs + 2 * (tree * nodes + node);
        const int difference = value[pair[0]] - value[pair[1]];
        node = 2 * node + (float(difference) > cascade.thresholds[tree * nodes + node] ? 1 : 2);
      }
      leaf[t] = node - nodes;
    }
    __syncthreads();
    for (int first = 0; first < cascade.trees; first += layout.chunk) {
      const int trees = min(layout.chunk, cascade.trees - first);
      for (int i = thread; i < trees * coordinates; i += kThreads) {
        const int t = i / coordinates;
        const std::size_t tree = std::size_t(stage) * cascade.trees + first + t;
        number[i] = cascade.leaves[((tree << cascade.depth) + leaf[first + t]) * coordinates + (i - t * coordinates)];
      }
      __syncthreads();
      for (int i = thread; i < coordinates; i += kThreads) {
        float sum = shape[i];
        for (int t = 0; t < trees; ++t) sum += number[t * coordinates + i];
        shape[i] = sum;
      }
      __syncthreads();
    }
  }
  for (int i = thread; i < coordinates; i += kThreads) {
    y[std::size_t(blockIdx.x) * coordinates + i] =
        static_cast<float>(i % 2 == 0 ? left + width * shape[i] : top + height * shape[i]);
  }
}
SIMT_CONTRACT(landmarks_kernel, .sectors = 4.6, .conflicts = 1.25, .loads = 2.1);

}  // namespace

void landmarks(Queue queue, const Cascade& cascade, int n, int h, int w, int c, const float* boxes,
               const std::uint8_t* image, float* y) {
  if (c != 1 && c != 3) throw LaunchError("landmarks: photographs have 1 or 3 channels, not " + std::to_string(c));
  if (cascade.features > kMostFeatures || cascade.trees > kMostTrees || cascade.points > kMostPoints) {
    throw LaunchError("landmarks: at most " + std::to_string(kMostFeatures) + " features and " +
                      std::to_string(kMostTrees) + " trees a stage, and " + std::to_string(kMostPoints) + " points");
  }
  const Layout layout(cascade);
  launch<landmarks_kernel>({.grid = static_cast<unsigned>(n),
                            .block = kThreads,
                            .shared_bytes = static_cast<std::size_t>(layout.bytes),
                            .queue = queue},
                           cascade, layout, Picture{h, w, c, image}, boxes, y);
}

}  // namespace gemel::GEMEL_DEVICE
