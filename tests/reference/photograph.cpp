// SPDX-License-Identifier: MIT
//
// A photograph to another size and onto a canvas: the definition, and cases of image_resize and image_place.
#include <cmath>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

// Where output pixel i of a direction reads: corners on corners, in steps of 1/kResizeSteps, halves up.
double position(int i, int size, int out_size) {
  if (out_size == 1) return 0;
  return std::floor(double(i) * (size - 1) * kResizeSteps / (out_size - 1) + 0.5) / kResizeSteps;
}

TensorSpec picture(int h, int w, int c) {
  return {.name = "image",
          .shape = {h, w, c},
          .fill = {.kind = Fill::Kind::integers, .a = 0, .b = 255, .custom = {}},
          .dtype = Dtype::u8};
}

std::string size_text(int h, int w, int c) {
  return std::to_string(h) + "x" + std::to_string(w) + "x" + std::to_string(c);
}

OpCase resize_case(const ResizeShape& s, bool bench = false) {
  OpCase c;
  c.op = "image_resize";
  c.shape = size_text(s.h, s.w, s.c) + " to " + std::to_string(s.out_h) + "x" + std::to_string(s.out_w);
  c.tensors = {picture(s.h, s.w, s.c),
               {.name = "y", .shape = {s.out_h, s.out_w, s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) { k.image_resize(q, s, t.u8("image"), t.u8("y")); };
  c.reference = [=](Values& v) {
    for (int i = 0; i < s.out_h; ++i) {
      for (int j = 0; j < s.out_w; ++j) {
        const double row = position(i, s.h, s.out_h), column = position(j, s.w, s.out_w);
        for (int channel = 0; channel < s.c; ++channel) {
          // The sum over all pixels of a tent about the place: exact, as each term is a multiple of 2^-22.
          double sum = 0;
          for (int a = int(row); a <= std::min(int(row) + 1, s.h - 1); ++a) {
            for (int b = int(column); b <= std::min(int(column) + 1, s.w - 1); ++b) {
              sum += (1 - std::abs(row - a)) * (1 - std::abs(column - b)) *
                     v["image"][(std::size_t(a) * s.w + b) * s.c + channel];
            }
          }
          v["y"][(std::size_t(i) * s.out_w + j) * s.c + channel] = std::floor(sum + 0.5);
        }
      }
    }
  };
  const double in = double(s.h) * s.w * s.c, out = double(s.out_h) * s.out_w * s.c;
  c.cost = {.flops = 6 * out, .bytes = in + out};
  c.bench = bench;
  return c;
}

OpCase place_case(const PlaceShape& s, bool bench = false) {
  OpCase c;
  c.op = "image_place";
  const ImageShape& image = s.image;
  c.shape = size_text(image.h, image.w, image.c) + " at " + std::to_string(s.top) + "," + std::to_string(s.left) +
            " on " + std::to_string(s.out_h) + "x" + std::to_string(s.out_w);
  c.tensors = {picture(image.h, image.w, image.c),
               {.name = "y", .shape = {s.out_h, s.out_w, image.c}, .role = Role::inout}};
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) { k.image_place(q, s, t.u8("image"), t.f32("y")); };
  c.reference = [=](Values& v) {
    for (int i = 0; i < s.image.h; ++i) {
      for (int j = 0; j < s.image.w; ++j) {
        const int row = s.top + i, column = s.left + j;
        if (row < 0 || row >= s.out_h || column < 0 || column >= s.out_w) continue;
        for (int channel = 0; channel < s.image.c; ++channel) {
          const double x = v["image"][(std::size_t(i) * s.image.w + j) * s.image.c + channel];
          v["y"][(std::size_t(row) * s.out_w + column) * s.image.c + channel] =
              (x / 255 - s.image.mean[channel]) / s.image.deviation[channel];
        }
      }
    }
  };
  const double elements = double(image.h) * image.w * image.c;
  c.cost = {.flops = 2 * elements, .bytes = 5 * elements};
  c.bench = bench;
  return c;
}

ImageShape normalized(int h, int w, int c) {
  return {.n = 1, .h = h, .w = w, .c = c, .mean = {0.48f, 0.46f, 0.41f, 0.5f}, .deviation = {1, 0.5f, 0.29f, 2}};
}

}  // namespace

std::vector<OpCase> photograph_cases(Depth depth) {
  std::vector<OpCase> cases{
      resize_case({1, 1, 3, 1, 1}),     resize_case({1, 1, 1, 5, 7}),     resize_case({7, 5, 4, 1, 1}),
      resize_case({37, 41, 3, 31, 34}), resize_case({13, 17, 1, 31, 33}), resize_case({2, 700, 3, 3, 583}),
      resize_case({31, 33, 2, 31, 33}), resize_case({6, 6, 3, 5, 5}),     resize_case({97, 1, 3, 80, 1})};
  cases.push_back(place_case({normalized(7, 5, 3), 13, 11, 3, 2}));       // inside
  cases.push_back(place_case({normalized(31, 33, 3), 13, 11, -7, -20}));  // covers all of it
  cases.push_back(place_case({normalized(31, 33, 1), 37, 41, -17, 13}));  // over the top and the right
  cases.push_back(place_case({normalized(31, 33, 4), 37, 41, 13, -17}));  // over the bottom and the left
  cases.push_back(place_case({normalized(7, 5, 2), 13, 11, 13, 0}));      // beside it
  cases.push_back(place_case({normalized(7, 5, 2), 13, 11, 0, -5}));      // beside it
  cases.push_back(place_case({normalized(3, 300, 3), 3, 300, 0, 0}));
  cases.push_back(place_case({normalized(1, 1, 3), 1, 1, 0, 0}));
  if (depth == Depth::full) {
    cases.push_back(resize_case({1137, 910, 3, 947, 758}, true));
    cases.push_back(place_case({normalized(947, 758, 3), 1000, 932, 11, 11}, true));
  }
  return cases;
}

}  // namespace gemel::reference
