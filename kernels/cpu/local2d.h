// SPDX-License-Identifier: MIT
//
// What the native locally connected layers share: a convolution whose filters are each place's own.
//
//   fprop  y(n,p,q,k) = bias(p,q,k) + sum_{r,s,c} x(n, p sh - ph + r, q sw - pw + s, c) w(p,q,k,r,s,c)
//   dgrad  dx(n,h,w,c) = sum_{p,q,k} dy(n,p,q,k) w(p,q,k,r,s,c) over the places that met (h,w), at the tap (r,s) they
//          met it with
//   wgrad  dw(p,q,k,r,s,c) += sum_n dy(n,p,q,k) x(n, p sh - ph + r, q sw - pw + s, c)      db(p,q,k) += sum_n dy(n,p,q,k)
//
// A place is a matrix product of its own with the batch as its rows. Each weight comes from memory once a call,
// whatever the batch: that is all there is to do for one image, and what docs/local2d.md measures.
//
// Taps in the padding are left out. Every element is one chain of multiply-adds: fprop in the order of (r,s,c), dgrad of
// (p,q,k), wgrad of n; so the bits depend neither on the batch nor on the threads.
#pragma once

#include "kernels/cpu/conv2d.h"

namespace gemel::GEMEL_DEVICE {

// Of the backward passes.
std::size_t local2d_backward_scratch(const Conv2dShape&);

namespace {

constexpr int kItemFloats = 1 << 14;  // of weights, at least, an item of work

struct Shape : Conv2dShape {
  int p, q, run;                 // run: S*C, a filter row, contiguous in w as in x
  std::ptrdiff_t filter, x_row;  // floats of a filter; of a row of an image
  std::ptrdiff_t x_image, y_image;
  int places, places_per_item;

  explicit Shape(const Conv2dShape& s) : Conv2dShape(s), p(output_rows(s)), q(output_columns(s)), run(s.s * s.c) {
    filter = std::ptrdiff_t{s.r} * run;
    x_row = std::ptrdiff_t{s.w} * s.c;
    x_image = s.h * x_row;
    places = p * q;
    y_image = std::ptrdiff_t{places} * s.k;
    const std::ptrdiff_t weights = filter * s.k;
    places_per_item = weights >= kItemFloats ? 1 : static_cast<int>(kItemFloats / weights);
  }
  int place_items() const { return divide_up(places, places_per_item); }
};

// The taps of a window that lie inside the image, along one axis.
struct Taps1d {
  int begin, end, first;  // first: what tap `begin` meets

  constexpr Taps1d(int place, int size, int window, int stride, int pad)
      : begin(max(0, pad - place * stride)), end(min(window, size + pad - place * stride)) {
    first = place * stride - pad + begin;
  }
};
struct Window {
  Taps1d rows, columns;
  std::ptrdiff_t x;  // float of an image that the first tap meets
  int run;           // floats of a row of taps

  Window(const Shape& s, int place)
      : rows(place / s.q, s.h, s.r, s.stride_h, s.pad_h), columns(place % s.q, s.w, s.s, s.stride_w, s.pad_w) {
    x = rows.first * s.x_row + std::ptrdiff_t{columns.first} * s.c;
    run = max(columns.end - columns.begin, 0) * s.c;
  }
  // Float of a filter, at row r of the taps.
  std::ptrdiff_t tap(const Shape& s, int r) const {
    return std::ptrdiff_t{r} * s.run + std::ptrdiff_t{columns.begin} * s.c;
  }
};

// Starts to fetch `floats` floats of each of the filters [begin, end), `filter` floats apart.
GEMEL_INLINE void prefetch_filters(const float* w, std::ptrdiff_t filter, int begin, int end, int floats) {
  constexpr int kLine = 16;
  for (int k = begin; k < end; ++k) {
    for (int f = 0; f < floats; f += kLine) __builtin_prefetch(w + k * filter + f);
  }
}

// Calls f(place, slot) for every place.
template <class F>
GEMEL_INLINE void for_each_place(const Shape& s, const F& f) {
  parallel(s.place_items(), [&](std::int64_t item, int slot) {
    const int begin = static_cast<int>(item) * s.places_per_item, end = min(begin + s.places_per_item, s.places);
    for (int place = begin; place < end; ++place) f(place, slot);
  });
}

}  // namespace
}  // namespace gemel::GEMEL_DEVICE
