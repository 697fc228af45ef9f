// SPDX-License-Identifier: MIT
//
// image_resize and image_place for the CPU. The rule of image_resize is ResizeShape's (shapes.h), in integers. An item
// is a band of rows; a block of columns works out where it reads once for the band. Replaces the executor's flat loops:
// 1137x910x3 to 947x758 takes 11 ms instead of 25, placing 947x758x3 0.8 instead of 2.6 (ops_bench, Zen 3 EPYC, one
// thread, AVX2, g++ 12).
#include "kernels/cpu/checks.h"
#include "kernels/cpu/image.h"
#include "kernels/cpu/parallel.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kBandRows = 16, kBlockColumns = 512;
constexpr int kShift = 22;  // kResizeSteps^2 = 2^22
static_assert(kResizeSteps * kResizeSteps == 1 << kShift);

// Of one direction: two neighbours and the second one's weight, in steps.
struct Neighbours {
  int first, second, weight;
};

inline Neighbours neighbours(int i, int size, int out_size) {
  if (out_size == 1) return {0, 0, 0};
  const std::uint64_t steps = std::uint64_t{2 * kResizeSteps} * static_cast<std::uint64_t>(i) * (size - 1) +
                              static_cast<std::uint64_t>(out_size - 1);
  const int position = static_cast<int>(steps / (2 * static_cast<std::uint64_t>(out_size - 1)));
  const int first = position / kResizeSteps;
  return {first, min(first + 1, size - 1), position % kResizeSteps};
}

// Rows [begin, end) of y.
template <int Channels>
void resize_band(const ResizeShape& s, const std::uint8_t* x, int begin, int end, std::uint8_t* y) {
  Neighbours block[kBlockColumns];
  for (int first = 0; first < s.out_w; first += kBlockColumns) {
    const int columns = min(kBlockColumns, s.out_w - first);
    for (int j = 0; j < columns; ++j) {
      block[j] = neighbours(first + j, s.w, s.out_w);
      block[j].first *= Channels;
      block[j].second *= Channels;
    }
    for (int i = begin; i < end; ++i) {
      const Neighbours row = neighbours(i, s.h, s.out_h);
      const std::uint8_t* const upper = x + static_cast<std::ptrdiff_t>(row.first) * s.w * Channels;
      const std::uint8_t* const lower = x + static_cast<std::ptrdiff_t>(row.second) * s.w * Channels;
      std::uint8_t* to = y + (static_cast<std::ptrdiff_t>(i) * s.out_w + first) * Channels;
      for (int j = 0; j < columns; ++j, to += Channels) {
        const Neighbours at = block[j];
        for (int c = 0; c < Channels; ++c) {
          const int above = upper[at.first + c] * (kResizeSteps - at.weight) + upper[at.second + c] * at.weight;
          const int below = lower[at.first + c] * (kResizeSteps - at.weight) + lower[at.second + c] * at.weight;
          const int sum = above * (kResizeSteps - row.weight) + below * row.weight;
          to[c] = static_cast<std::uint8_t>((sum + (1 << (kShift - 1))) >> kShift);
        }
      }
    }
  }
}

// Calls f(begin, end) for bands of rows.
template <class F>
void for_each_band(int rows, const F& f) {
  parallel(divide_up(rows, kBandRows), [&](std::int64_t item, int) {
    const int begin = static_cast<int>(item) * kBandRows;
    f(begin, min(begin + kBandRows, rows));
  });
}

}  // namespace

void image_resize(Queue, const ResizeShape& s, const std::uint8_t* image, std::uint8_t* y) {
  with_channels("image_resize", s.c, [&](auto channels) {
    for_each_band(s.out_h,
                  [&](int begin, int end) { resize_band<decltype(channels)::kCount>(s, image, begin, end, y); });
  });
}

void image_place(Queue, const PlaceShape& s, const std::uint8_t* image, float* y) {
  const Normalization norm(s.image);
  const int top = max(0, -s.top), left = max(0, -s.left);
  const int rows = min(s.image.h, s.out_h - s.top) - top, columns = min(s.image.w, s.out_w - s.left) - left;
  with_channels("image_place", s.image.c, [&](auto channels) {
    constexpr int kChannels = decltype(channels)::kCount;
    if (rows <= 0 || columns <= 0) return;
    for_each_band(rows, [&](int begin, int end) {
      for (int i = top + begin; i < top + end; ++i) {
        const std::uint8_t* from = image + (static_cast<std::ptrdiff_t>(i) * s.image.w + left) * kChannels;
        normalize_pixels<kChannels>(from, columns, norm,
                                    y + (static_cast<std::ptrdiff_t>(s.top + i) * s.out_w + s.left + left) * kChannels);
      }
    });
  });
}

}  // namespace gemel::GEMEL_DEVICE
