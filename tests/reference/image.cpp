// SPDX-License-Identifier: MIT
//
// Batches out of a data set: the definition, and cases of image_to_float and gather_labels.
#include <algorithm>
#include <cmath>
#include <numbers>

#include "kernels/philox.h"
#include "tests/reference/loss_parts.h"
#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

constexpr int kBatches = 3;  // of the plan that `index` holds
constexpr int kCursor = 2;   // the batch taken from it

enum class Rows { in_order, by_index, by_index_at_cursor };

// Where row i of the batch lies in the data set.
int source_row(Rows rows, int n, int i, const Values& v) {
  if (rows == Rows::in_order) return i;
  return static_cast<int>(v.at("index")[(rows == Rows::by_index ? 0 : kCursor) * n + i]);
}

const char* name(Rows rows) {
  return rows == Rows::in_order ? "" : rows == Rows::by_index ? " by index" : " by index at the cursor";
}

// The tensors that say which rows; `held` is how many the data set has.
void add_row_tensors(OpCase& c, Rows rows, int n, int held) {
  if (rows == Rows::in_order) return;
  c.tensors.push_back({.name = "index",
                       .shape = {kBatches * n},
                       .fill = {.kind = Fill::Kind::integers, .a = 0, .b = held - 1.0, .custom = {}},
                       .dtype = Dtype::i32});
  if (rows == Rows::by_index) return;
  c.tensors.push_back({.name = "cursor",
                       .shape = {1},
                       .fill = {.kind = Fill::Kind::constant, .a = kCursor, .b = 0, .custom = {}},
                       .dtype = Dtype::i32});
}

OpCase image_case(const ImageShape& s, Rows rows, int held) {
  OpCase c;
  c.op = "image_to_float";
  c.shape = "n=" + std::to_string(s.n) + " " + std::to_string(s.h) + "x" + std::to_string(s.w) + "x" +
            std::to_string(s.c) + name(rows);
  c.tensors = {{.name = "images",
                .shape = {held, s.h, s.w, s.c},
                .fill = {.kind = Fill::Kind::integers, .a = 0, .b = 255, .custom = {}},
                .dtype = Dtype::u8},
               {.name = "y", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output}};
  add_row_tensors(c, rows, s.n, held);
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.image_to_float(q, s, t.u8("images"), rows == Rows::in_order ? nullptr : t.i32("index"),
                     rows == Rows::by_index_at_cursor ? t.i32("cursor") : nullptr, t.f32("y"));
  };
  c.reference = [=](Values& v) {
    const int pixels = s.h * s.w;
    for (int i = 0; i < s.n; ++i) {
      for (int p = 0; p < pixels; ++p) {
        for (int channel = 0; channel < s.c; ++channel) {
          const double x = v["images"][(std::size_t(source_row(rows, s.n, i, v)) * pixels + p) * s.c + channel];
          v["y"][(std::size_t(i) * pixels + p) * s.c + channel] = (x / 255 - s.mean[channel]) / s.deviation[channel];
        }
      }
    }
  };
  const double elements = double(s.n) * s.h * s.w * s.c;
  c.cost = {.flops = 2 * elements, .bytes = 5 * elements};
  return c;
}

// ---- image_augment
struct PlaceMap {
  double xx, xy, yx, yy, x, y, gain, offset;
};

// The draws of one row, word by word, and the map that they make; matrices multiplied out one by one.
PlaceMap place_map(const Augmentation& a, std::uint64_t seed, std::uint64_t stream) {
  std::vector<double> u;
  for (std::uint64_t counter = 0; counter < 5; ++counter) {
    for (const std::uint32_t word : philox_block(seed, stream, counter).word) u.push_back(unit_uniform(word));
  }
  auto drawn = [&](int i, double low, double high, double otherwise) {
    return u[i] < a.probability ? low + (high - low) * u[i + 1] : otherwise;
  };
  const double angle = drawn(0, -a.rotate, a.rotate, 0) * std::numbers::pi / 180;
  const double shear_x = drawn(2, -a.shear, a.shear, 0), shear_y = drawn(4, -a.shear, a.shear, 0);
  const double scale_x = drawn(6, a.scale_low, a.scale_high, 1);
  const double scale_y = a.one_scale ? scale_x : drawn(8, a.scale_low, a.scale_high, 1);
  const double shift_x = drawn(10, -a.shift, a.shift, 0), shift_y = drawn(12, -a.shift, a.shift, 0);
  const double mirrored = u[14] < a.flip ? -1 : 1;

  const double r[2][2] = {{std::cos(angle), -std::sin(angle)}, {std::sin(angle), std::cos(angle)}};
  const double s[2][2] = {{1, shear_x}, {shear_y, 1}};
  double rs[2][2] = {};
  for (int i = 0; i < 2; ++i) {
    for (int j = 0; j < 2; ++j) rs[i][j] = r[i][0] * s[0][j] + r[i][1] * s[1][j];
  }
  const double f[2][2] = {{rs[0][0] * scale_x * mirrored, rs[0][1] * scale_y},
                          {rs[1][0] * scale_x * mirrored, rs[1][1] * scale_y}};
  const double det = f[0][0] * f[1][1] - f[0][1] * f[1][0];
  PlaceMap m{.xx = f[1][1] / det, .xy = -f[0][1] / det, .yx = -f[1][0] / det, .yy = f[0][0] / det};
  m.x = -(m.xx * shift_x + m.xy * shift_y);
  m.y = -(m.yx * shift_x + m.yy * shift_y);
  m.gain = 1 + a.contrast * (2 * u[15] - 1);
  m.offset = 0.5 - 0.5 * m.gain + a.brightness * (2 * u[16] - 1);
  return m;
}

double noise_of(std::uint64_t seed, std::uint64_t stream, std::uint64_t element) {
  const PhiloxBlock block = philox_block(seed, stream, 5 + element);
  const double u = (double(block.word[0] >> 8) + 1) / double(1 << 24);
  return std::sqrt(-2 * std::log(u)) * std::cos(2 * std::numbers::pi * unit_uniform(block.word[1]));
}

OpCase augment_case(const ImageShape& s, const Augmentation& a, Rows rows, int held, const char* what) {
  constexpr std::uint64_t kSeed = 0x123456789ABCDEF;
  const StepState state{.learning_rate = 0, .loss_sum = 0, .active_sum = 0, .steps = 0, .step = 77, .cursor = kCursor};
  const bool with_step = rows == Rows::by_index_at_cursor;
  OpCase c = image_case(s, rows, held);
  c.op = "image_augment";
  c.shape += what;
  if (with_step) {
    c.tensors.pop_back();  // the step holds the cursor
    c.tensors.push_back(state_tensor(state, Role::input, Dtype::f32));
  }
  c.scratch = [=](const Kernels& k) { return k.image_augment_scratch(s); };
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.image_augment(q, s, a, kSeed, t.u8("images"), rows == Rows::in_order ? nullptr : t.i32("index"),
                    with_step ? static_cast<const StepState*>(t.raw("state")) : nullptr, t.f32("y"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < s.n; ++i) {
      const std::uint64_t stream = std::uint64_t(with_step ? state.step : 0) << 32 | std::uint32_t(i);
      const PlaceMap m = place_map(a, kSeed, stream);
      const std::size_t image = std::size_t(source_row(rows, s.n, i, v)) * s.h * s.w * s.c;
      for (int row = 0; row < s.h; ++row) {
        for (int column = 0; column < s.w; ++column) {
          const double seen_x = column - (s.w - 1) / 2.0, seen_y = row - (s.h - 1) / 2.0;
          const double x = std::clamp(m.xx * seen_x + m.xy * seen_y + m.x + (s.w - 1) / 2.0, 0.0, s.w - 1.0);
          const double y = std::clamp(m.yx * seen_x + m.yy * seen_y + m.y + (s.h - 1) / 2.0, 0.0, s.h - 1.0);
          for (int channel = 0; channel < s.c; ++channel) {
            double sum = 0;  // over all pixels, by their weight: the definition of bilinear sampling
            for (int r = int(y); r <= std::min(int(y) + 1, s.h - 1); ++r) {
              for (int q = int(x); q <= std::min(int(x) + 1, s.w - 1); ++q) {
                sum += (1 - std::abs(r - y)) * (1 - std::abs(q - x)) *
                       v["images"][image + (std::size_t(r) * s.w + q) * s.c + channel];
              }
            }
            const std::size_t element = (std::size_t(row) * s.w + column) * s.c + channel;
            double value = sum / 255 * m.gain + m.offset;
            if (a.noise != 0) value += a.noise * noise_of(kSeed, stream, element);
            v["y"][std::size_t(i) * s.h * s.w * s.c + element] =
                (std::clamp(value, 0.0, 1.0) - s.mean[channel]) / s.deviation[channel];
          }
        }
      }
    }
  };
  c.relative = 2e-4;  // neighbouring random pixels differ by the whole range: places are good to 1e-5 of a pixel
  const double elements = double(s.n) * s.h * s.w * s.c;
  c.cost = {.flops = 30 * elements, .bytes = 5 * elements};
  return c;
}

OpCase label_case(int n, Rows rows, int held) {
  OpCase c;
  c.op = "gather_labels";
  c.shape = "n=" + std::to_string(n) + name(rows);
  c.tensors = {{.name = "labels",
                .shape = {held},
                .fill = {.kind = Fill::Kind::integers, .a = -5, .b = 1000000, .custom = {}},
                .dtype = Dtype::i32},
               {.name = "y", .shape = {n}, .role = Role::output, .dtype = Dtype::i32}};
  add_row_tensors(c, rows, n, held);
  c.run = [=](const Kernels& k, Queue q, DeviceTensors& t) {
    k.gather_labels(q, n, t.i32("labels"), rows == Rows::in_order ? nullptr : t.i32("index"),
                    rows == Rows::by_index_at_cursor ? t.i32("cursor") : nullptr, t.i32("y"));
  };
  c.reference = [=](Values& v) {
    for (int i = 0; i < n; ++i) v["y"][i] = v["labels"][source_row(rows, n, i, v)];
  };
  c.cost = {.flops = 0, .bytes = 8.0 * n};
  return c;
}

ImageShape shape(int n, int h, int w, int c) {
  return {
      .n = n, .h = h, .w = w, .c = c, .mean = {0.485f, 0.456f, 0.406f, 0.5f}, .deviation = {0.229f, 0.224f, 0.225f, 1}};
}

}  // namespace

std::vector<OpCase> image_cases(Depth depth) {
  std::vector<OpCase> cases;
  for (const Rows rows : {Rows::in_order, Rows::by_index, Rows::by_index_at_cursor}) {
    cases.push_back(image_case(shape(1, 1, 1, 1), rows, 5));
    cases.push_back(image_case(shape(3, 31, 33, 1), rows, 7));
    cases.push_back(image_case(shape(2, 7, 5, 2), rows, 4));
    cases.push_back(image_case(shape(5, 17, 13, 3), rows, 6));
    cases.push_back(image_case(shape(2, 16, 16, 4), rows, 3));
    for (const int n : {1, 31, 257}) cases.push_back(label_case(n, rows, n + 3));
  }
  cases.push_back(image_case({.n = 2, .h = 3, .w = 5, .c = 3}, Rows::in_order, 2));  // mean 0, deviation 1: x / 255
  cases.back().shape += " unit scale";
  cases.push_back(image_case(shape(65537, 1, 1, 1), Rows::in_order, 65537));  // more images than a grid has rows
  const Augmentation koch{.rotate = 10,
                          .shear = 0.3f,
                          .scale_low = 0.8f,
                          .scale_high = 1.2f,
                          .one_scale = false,
                          .shift = 2,
                          .probability = 0.5f};
  const Augmentation everything{.rotate = 180,
                                .scale_low = 0.5f,
                                .scale_high = 2,
                                .shift = 40,
                                .flip = 0.5f,
                                .brightness = 0.2f,
                                .contrast = 0.5f,
                                .noise = 0.1f};
  for (const Rows rows : {Rows::in_order, Rows::by_index, Rows::by_index_at_cursor}) {
    cases.push_back(augment_case(shape(7, 31, 33, 1), koch, rows, 7, " koch"));
    cases.push_back(augment_case(shape(5, 17, 13, 3), everything, rows, 6, " everything"));
  }
  cases.push_back(augment_case(shape(3, 1, 1, 2), everything, Rows::by_index, 4, " one pixel"));
  cases.push_back(augment_case(shape(9, 5, 7, 4), {.flip = 0.5f}, Rows::in_order, 9, " flips"));
  cases.push_back(augment_case(shape(3, 31, 33, 1), {}, Rows::by_index_at_cursor, 7, " nothing"));
  cases.push_back(augment_case(shape(65537, 1, 2, 1), koch, Rows::in_order, 65537, " koch"));
  if (depth == Depth::full) {
    cases.push_back(augment_case(shape(256, 28, 28, 1), koch, Rows::by_index_at_cursor, 1000, " koch"));
    cases.back().bench = true;
    cases.push_back(image_case(shape(256, 28, 28, 1), Rows::by_index_at_cursor, 1000));
    cases.back().bench = true;
    cases.push_back(image_case(shape(64, 152, 152, 3), Rows::by_index_at_cursor, 100));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
