// SPDX-License-Identifier: MIT
//
// residual_add and residual_split for the CPU: the formulas are in kernels/residual/.
//
// Replaces the executor's flat loops: of 32 images of 35x35x64 the sum takes 2.8 ms instead of 7.6, and the split, which
// the executor computes by element, 4.9 instead of 93 (measured as dropout.cpp says).
//
// Work     operands of one shape: flat blocks; else an item is one row of an image.
// Traffic  12 bytes an element of y, 8 an element of a part: bound by memory beyond the caches.
#include "kernels/cpu/elementwise.h"

namespace gemel::GEMEL_DEVICE {
namespace {

struct Image {
  int h, w, c;
  // Pixel (n,h,w), or null outside.
  const float* pixel(const float* x, std::int64_t n, int row, int column) const {
    return row < h && column < w ? x + ((n * h + row) * w + column) * c : nullptr;
  }
};

// to (c) = a (a_count, or null) + b (b_count, or null), what they lack being 0.
GEMEL_INLINE void add_pixel(int c, const float* a, int a_count, const float* b, int b_count, float* to) {
  const int in_a = a == nullptr ? 0 : min(a_count, c), in_b = b == nullptr ? 0 : min(b_count, c);
  const int both = min(in_a, in_b), either = max(in_a, in_b);
  const float* const longer = in_a > in_b ? a : b;
  for_each_vector(static_cast<std::size_t>(both), [&](std::size_t i, int lanes) {
    store_lanes(to + i, load_lanes(a + i, lanes) + load_lanes(b + i, lanes), lanes);
  });
  for_each_vector(static_cast<std::size_t>(either - both), [&](std::size_t i, int lanes) {
    store_lanes(to + both + i, load_lanes(longer + both + i, lanes), lanes);
  });
  for_each_vector(static_cast<std::size_t>(c - either),
                  [&](std::size_t i, int lanes) { store_lanes(to + either + i, Vec<kLanes>{}, lanes); });
}

// out (N,h,w,c) = a + b; b null: a alone.
void add(int n, Image out, Image a_image, Image b_image, const float* a, const float* b, float* y) {
  parallel(std::int64_t{n} * out.h, [&](std::int64_t item, int) {
    const std::int64_t image = item / out.h;
    const int h = static_cast<int>(item % out.h);
    for (int w = 0; w < out.w; ++w) {
      add_pixel(out.c, a_image.pixel(a, image, h, w), a_image.c, b == nullptr ? b : b_image.pixel(b, image, h, w),
                b_image.c, y + (item * out.w + w) * out.c);
    }
  });
}

// As ResidualShape's h(), w() and c(), which must not be called here (see isa.h).
Image main_of(const ResidualShape& s) { return {s.main_h, s.main_w, s.main_c}; }
Image skip_of(const ResidualShape& s) { return {s.skip_h, s.skip_w, s.skip_c}; }
Image sum_of(const ResidualShape& s) {
  return {max(s.main_h, s.skip_h), max(s.main_w, s.skip_w), max(s.main_c, s.skip_c)};
}

}  // namespace

void residual_add(Queue, const ResidualShape& s, const float* main, const float* skip, float* y) {
  if (s.main_h != s.skip_h || s.main_w != s.skip_w || s.main_c != s.skip_c) {
    return add(s.n, sum_of(s), main_of(s), skip_of(s), main, skip, y);
  }
  const std::size_t count = static_cast<std::size_t>(s.n) * s.main_h * s.main_w * s.main_c;
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    for_each_vector(size, [&](std::size_t i, int lanes) {
      const std::size_t at = first + i;
      store_lanes(y + at, load_lanes(main + at, lanes) + load_lanes(skip + at, lanes), lanes);
    });
  });
}

void residual_split(Queue, const ResidualShape& s, const float* dy, float* dmain, float* dskip) {
  if (dmain != nullptr) add(s.n, main_of(s), sum_of(s), {}, dy, nullptr, dmain);
  if (dskip != nullptr) add(s.n, skip_of(s), sum_of(s), {}, dy, nullptr, dskip);
}

}  // namespace gemel::GEMEL_DEVICE
