// SPDX-License-Identifier: MIT
//
// Batches out of a data set: the definition, and cases of image_to_float and gather_labels.
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
  if (depth == Depth::full) {
    cases.push_back(image_case(shape(256, 28, 28, 1), Rows::by_index_at_cursor, 1000));
    cases.back().bench = true;
    cases.push_back(image_case(shape(64, 152, 152, 3), Rows::by_index_at_cursor, 100));
    cases.back().bench = true;
  }
  return cases;
}

}  // namespace gemel::reference
