// SPDX-License-Identifier: MIT
//
// A batch out of the data set that lies on the device: decoded bytes become normalised floats, labels are gathered.
//
//   image_to_float   y[i,h,w,c] = (x[r(i),h,w,c] / 255 - mean[c]) / deviation[c]
//   gather_labels    y[i] = labels[r(i)]
//   r(i)             i where index is null, else index[cursor * n + i], cursor 0 where null
//
// Shapes     images (rows,H,W,C) u8 with C 1..4, y (N,H,W,C) f32; index i32, long enough for (cursor + 1) * n.
// Mapping    grid x = 256 elements of an image, grid y = image of the batch (65535 a launch); one thread = one element,
//            so that neighbouring threads read neighbouring bytes and write neighbouring floats for every C.
// Traffic    5 bytes an element (1 read, 4 written), one multiply-add: bound by memory.
// Numerics   the map is folded into scale[c] = 1 / (255 deviation[c]), offset[c] = -mean[c] / deviation[c] in double on
//            the host.
// Edges      index and cursor are read by every thread: a captured step moves on by changing the cursor alone.
#include <algorithm>
#include <string>

#include "kernels/entries.h"
#include "kernels/image/batch.cuh"
#include "kernels/simt/launch_error.h"
#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kThreads = 256;

template <int kChannels>
__global__ void image_to_float_kernel(int n, int first, int elements, Normalization norm,
                                      const std::uint8_t* __restrict__ images, const std::int32_t* __restrict__ index,
                                      const std::int32_t* __restrict__ cursor, float* __restrict__ y) {
  const int i = first + blockIdx.y;
  const int element = blockIdx.x * blockDim.x + threadIdx.x;
  if (element >= elements) return;
  const std::uint8_t* image = images + source_row(n, i, index, cursor) * elements;
  const int c = element % kChannels;
  y[std::size_t(i) * elements + element] = image[element] * norm.scale[c] + norm.offset[c];
}
SIMT_CONTRACT(image_to_float_kernel, .sectors = 1.1, .loads = 4.2);

__global__ void gather_labels_kernel(int n, const std::int32_t* __restrict__ labels,
                                     const std::int32_t* __restrict__ index, const std::int32_t* __restrict__ cursor,
                                     std::int32_t* __restrict__ y) {
  const int i = blockIdx.x * blockDim.x + threadIdx.x;
  if (i >= n) return;
  y[i] = labels[source_row(n, i, index, cursor)];
}
SIMT_CONTRACT(gather_labels_kernel, .sectors = 1.05);

}  // namespace

void image_to_float(Queue queue, const ImageShape& shape, const std::uint8_t* images, const std::int32_t* index,
                    const std::int32_t* cursor, float* y) {
  const Normalization norm(shape);
  const int elements = shape.h * shape.w * shape.c;
  for (int first = 0; first < shape.n; first += static_cast<int>(kMaxGridYZ)) {
    const auto images_here = std::min(static_cast<unsigned>(shape.n - first), kMaxGridYZ);
    const LaunchConfig config{.grid = {static_cast<unsigned>((elements + kThreads - 1) / kThreads), images_here},
                              .block = kThreads,
                              .queue = queue};
    switch (shape.c) {
      case 1:
        launch_flat<image_to_float_kernel<1>>(config, shape.n, first, elements, norm, images, index, cursor, y);
        break;
      case 2:
        launch_flat<image_to_float_kernel<2>>(config, shape.n, first, elements, norm, images, index, cursor, y);
        break;
      case 3:
        launch_flat<image_to_float_kernel<3>>(config, shape.n, first, elements, norm, images, index, cursor, y);
        break;
      case 4:
        launch_flat<image_to_float_kernel<4>>(config, shape.n, first, elements, norm, images, index, cursor, y);
        break;
      default:
        throw LaunchError("image_to_float: images have 1 to 4 channels, not " + std::to_string(shape.c));
    }
  }
}

void gather_labels(Queue queue, int n, const std::int32_t* labels, const std::int32_t* index,
                   const std::int32_t* cursor, std::int32_t* y) {
  const LaunchConfig config{
      .grid = static_cast<unsigned>((n + kThreads - 1) / kThreads), .block = kThreads, .queue = queue};
  launch_flat<gather_labels_kernel>(config, n, labels, index, cursor, y);
}

}  // namespace gemel::GEMEL_DEVICE
