// SPDX-License-Identifier: MIT
//
// Convolution blocks, y = pool(relu(conv(x) + bias)): plain loops in double, and the shapes and values that every
// device must get right.
//
// Forward compares argmax exactly, so the sums of a window must not be so close that f32 takes another one for the
// largest. Small integers are exact however they are summed (Winograd's F(2x2,3x3), with its halves and quarters,
// included), and their many ties show whether the first maximum is taken. A few thousand windows of normal numbers hold
// no such neighbours; a whole batch of images would.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>
#include <utility>

#include "tests/reference/conv2d_loops.h"
#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

std::string block_text(const ConvBlock& b) { return text(b.conv) + (b.relu ? " relu" : "") + (b.pool ? " pool" : ""); }

std::size_t outputs(const ConvBlock& b) {
  return static_cast<std::size_t>(b.conv.n) * b.out_h() * b.out_w() * b.conv.k;
}

std::vector<int> output_shape(const ConvBlock& b) { return {b.conv.n, b.out_h(), b.out_w(), b.conv.k}; }

// Calls f(index into y, index into the convolution's output at a tap, tap) for every tap, in order, of every output.
template <class F>
void for_each_tap(const ConvBlock& block, const F& f) {
  const int size = block.pool ? 2 : 1;
  std::size_t out = 0;
  for (int n = 0; n < block.conv.n; ++n) {
    for (int p = 0; p < block.out_h(); ++p) {
      for (int q = 0; q < block.out_w(); ++q) {
        for (int k = 0; k < block.conv.k; ++k, ++out) {
          for (int tap = 0; tap < size * size; ++tap) {
            f(out, y_at(block.conv, n, p * size + tap / size, q * size + tap % size, k), tap);
          }
        }
      }
    }
  }
}

// conv(x) + bias; bias null: none.
std::vector<double> sums(const ConvBlock& b, const Values& v, bool with_bias) {
  std::vector<double> z = convolution(b.conv, v.at("x"), v.at("w"));
  for (std::size_t i = 0; with_bias && i < z.size(); ++i) z[i] += v.at("bias")[i % b.conv.k];
  return z;
}

// The gradient of z = conv(x) + bias: dy at the tap that each output came from, 0 where ReLU's output is.
std::vector<double> sums_gradient(const ConvBlock& b, const Values& v) {
  const std::vector<double>&y = v.at("y"), &dy = v.at("dy");
  std::vector<double> dz(static_cast<std::size_t>(b.conv.n) * b.conv.p() * b.conv.q() * b.conv.k, 0.0);
  for_each_tap(b, [&](std::size_t out, std::size_t in, int tap) {
    const bool taken = !b.pool || v.at("argmax")[out] == tap;
    const bool masked = b.relu && y[out] <= 0;  // not where y is NaN, as in activation_backward
    if (taken && !masked) dz[in] = dy[out];
  });
  return dz;
}

Fill integers(int lowest, int highest) {
  return {.kind = Fill::Kind::integers, .a = static_cast<double>(lowest), .b = static_cast<double>(highest)};
}

// What a ReLU leaves: a third 0, the others positive.
Fill rectified() {
  return {.kind = Fill::Kind::custom, .custom = [](std::vector<double>& values, std::uint64_t seed) {
            for (double& v : values) {
              seed = seed * 6364136223846793005u + 1442695040888963407u;  // Knuth's linear congruence
              const auto bits = static_cast<double>(seed >> 33);
              v = (seed >> 33) % 3 == 0 ? 0 : bits * 0x1p-31;
            }
          }};
}

// `base` with one element replaced, that of the middle.
Fill with_one(double value, Fill base) {
  return {.kind = Fill::Kind::custom, .custom = [value, base](std::vector<double>& values, std::uint64_t seed) {
            base.custom(values, seed);
            if (!values.empty()) values[values.size() / 2] = value;
          }};
}

OpCase base(const ConvBlock& b, const char* op, bool with_bias) {
  OpCase c;
  c.op = op;
  c.shape = block_text(b) + (with_bias ? "" : " no bias");
  c.scratch = [b](const Kernels& kernels) { return kernels.conv_block_scratch(b); };
  c.channels = b.conv.c;
  // Winograd's sums are of larger numbers than the plain ones.
  if (b.conv.c >= 16) c.relative = 3e-5;
  return c;
}

double x_floats(const Conv2dShape& s) { return static_cast<double>(s.n) * s.h * s.w * s.c; }
double w_floats(const Conv2dShape& s) { return static_cast<double>(s.k) * s.r * s.s * s.c; }
double flops(const Conv2dShape& s) { return 2.0 * s.n * s.p() * s.q() * w_floats(s); }

struct ForwardFills {
  Fill x{}, w{}, bias{};
};

// `packed`: with the filters in the device's own form, kept behind the scratch.
OpCase forward(const ConvBlock& b, bool with_bias, const ForwardFills& fills, bool packed = false) {
  const Conv2dShape& s = b.conv;
  OpCase c = base(b, "conv_block_forward", with_bias);
  if (packed) c.shape += " packed";
  if (packed) c.scratch = with_packed(c.scratch, [b](const Kernels& k) { return k.conv_block_packed_bytes(b); });
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}, .fill = fills.x},
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}, .fill = fills.w},
               {.name = "bias", .shape = {s.k}, .fill = fills.bias},
               {.name = "y", .shape = output_shape(b), .role = Role::output}};
  if (b.pool) {
    c.tensors.push_back({.name = "argmax", .shape = output_shape(b), .role = Role::output, .dtype = Dtype::u8});
  }
  c.run = [b, with_bias, packed](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    void* filters = packed ? take_packed(queue, kernels.conv_block_packed_bytes(b)) : nullptr;
    if (filters != nullptr) kernels.conv_block_pack(queue, b, t.f32("w"), filters);
    // Whoever packed the filters need not have them any more.
    kernels.conv_block_forward(queue, b, t.f32("x"), filters == nullptr ? t.f32("w") : nullptr, filters,
                               with_bias ? t.f32("bias") : nullptr, t.f32("y"), b.pool ? t.u8("argmax") : nullptr);
  };
  c.reference = [b, with_bias](Values& v) {
    const std::vector<double> z = sums(b, v, with_bias);
    std::vector<double>& y = v["y"];
    for_each_tap(b, [&](std::size_t out, std::size_t in, int tap) {
      const bool larger = z[in] > y[out] || (std::isnan(z[in]) && !std::isnan(y[out]));
      if (tap != 0 && !larger) return;
      y[out] = z[in];
      if (b.pool) v["argmax"][out] = tap;
    });
    for (double& value : y) value = b.relu && value <= 0 ? 0 : value;  // NaN stays
  };
  const double bytes = 4 * (x_floats(s) + w_floats(s)) + (b.pool ? 5.0 : 4.0) * static_cast<double>(outputs(b));
  c.cost = {.flops = flops(s), .bytes = bytes};
  return c;
}

OpCase forward_of_normals(const ConvBlock& b, bool with_bias) { return forward(b, with_bias, {}); }

OpCase forward_of_integers(const ConvBlock& b, bool with_bias) {
  OpCase c = forward(b, with_bias, {.x = integers(-2, 2), .w = integers(-1, 1), .bias = integers(-2, 2)});
  c.shape += " integers";
  return c;
}

// y and argmax are filled inputs: the gradient is defined by them, whatever x gave them.
OpCase backward(const ConvBlock& b, bool with_bias, bool with_dx, const Fill& fill_y) {
  const Conv2dShape& s = b.conv;
  OpCase c = base(b, "conv_block_backward", with_bias);
  if (!with_dx) c.shape += " no dx";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               {.name = "w", .shape = {s.k, s.r, s.s, s.c}},
               {.name = "bias", .shape = {s.k}},  // only the objective reads it
               {.name = "y", .shape = output_shape(b), .fill = fill_y},
               {.name = "dy", .shape = output_shape(b)},
               {.name = "dx", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output},
               {.name = "dw", .shape = {s.k, s.r, s.s, s.c}, .role = Role::inout},
               {.name = "db", .shape = {s.k}, .role = Role::inout}};
  if (!with_dx) c.tensors.erase(c.tensors.begin() + 5);
  if (b.pool) {
    c.tensors.push_back({.name = "argmax", .shape = output_shape(b), .fill = integers(0, 3), .dtype = Dtype::u8});
  }
  c.run = [b, with_bias, with_dx](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.conv_block_backward(queue, b, t.f32("x"), t.f32("w"), t.f32("y"), b.pool ? t.u8("argmax") : nullptr,
                                t.f32("dy"), with_dx ? t.f32("dx") : nullptr, t.f32("dw"),
                                with_bias ? t.f32("db") : nullptr);
  };
  c.reference = [b, with_bias, with_dx](Values& v) {
    const std::vector<double> dz = sums_gradient(b, v);
    std::vector<double>&x = v["x"], &w = v["w"], &dw = v["dw"], &db = v["db"];
    std::vector<double> dx(x.size(), 0.0);
    for_each_product(b.conv, [&](std::size_t i, std::size_t f, std::size_t o) {
      dx[i] += dz[o] * w[f];
      dw[f] += dz[o] * x[i];
    });
    for (std::size_t i = 0; with_bias && i < dz.size(); ++i) db[i % b.conv.k] += dz[i];
    if (with_dx) v["dx"] = std::move(dx);
  };
  const double passes = with_dx ? 2 : 1;
  const double bytes = 4 * (passes * x_floats(s) + (passes + 1) * w_floats(s)) +
                       (4.0 + (b.relu ? 4.0 : 0.0) + (b.pool ? 1.0 : 0.0)) * static_cast<double>(outputs(b));
  c.cost = {.flops = passes * flops(s), .bytes = bytes};
  return c;
}

// With y and argmax held fixed the block is linear in x, w and bias: central differences have no kink to fear.
void add_gradient_check(OpCase& c, const ConvBlock& b, bool with_bias, bool with_dx) {
  c.objective = [b, with_bias](const Values& v) {
    const std::vector<double> z = sums(b, v, with_bias), dz = sums_gradient(b, v);
    double sum = 0;
    for (std::size_t i = 0; i < z.size(); ++i) sum += z[i] * dz[i];
    return sum;
  };
  c.gradients = {{"w", "dw"}};
  if (with_bias) c.gradients.push_back({"bias", "db"});
  if (with_dx) c.gradients.push_back({"x", "dx"});
}

// The block with and without ReLU and pool, forward and backward.
void add_all_four(std::vector<OpCase>& cases, const Conv2dShape& shape, bool with_bias, bool with_dx,
                  bool check_gradient) {
  for (const bool relu : {false, true}) {
    for (const bool pool : {false, true}) {
      const ConvBlock b{.conv = shape, .relu = relu, .pool = pool};
      cases.push_back(forward_of_normals(b, with_bias));
      if (pool) cases.push_back(forward_of_integers(b, with_bias));
      cases.push_back(backward(b, with_bias, with_dx, rectified()));
      if (check_gradient) add_gradient_check(cases.back(), b, with_bias, with_dx);
    }
  }
}

// One NaN in x: every sum it takes part in is NaN, the first of a window its maximum, and ReLU keeps it. A bias of
// -infinity: all sums of a window are equal, the first is taken. Backward, a NaN in y passes the gradient.
void add_not_finite(std::vector<OpCase>& cases, const ConvBlock& b) {
  constexpr double kInfinity = std::numeric_limits<double>::infinity();
  OpCase c = forward(
      b, true,
      {.x = with_one(std::nan(""), rectified()), .w = integers(-1, 1), .bias = with_one(-kInfinity, rectified())});
  c.shape += " NaN";
  cases.push_back(std::move(c));
  if (!b.relu) return;
  c = backward(b, true, true, with_one(std::nan(""), rectified()));
  c.shape += " NaN";
  cases.push_back(std::move(c));
}

}  // namespace

std::vector<OpCase> conv_block_cases(Depth depth) {
  std::vector<OpCase> cases;
  const Conv2dShape small[] = {
      {.n = 1, .h = 1, .w = 1, .c = 1, .k = 1, .r = 1, .s = 1},                           // pooled, no output at all
      {.n = 5, .h = 3, .w = 3, .c = 2, .k = 3, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},   // one window, a last row
      {.n = 2, .h = 8, .w = 6, .c = 1, .k = 20, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // one channel
      {.n = 1, .h = 9, .w = 7, .c = 3, .k = 32, .r = 5, .s = 5, .pad_h = 2, .pad_w = 2},  // odd P and Q
      {.n = 2, .h = 10, .w = 5, .c = 4, .k = 8, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},  // 4-wide accesses, odd Q
      {.n = 2, .h = 9, .w = 13, .c = 5, .k = 7, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .pad_h = 1, .pad_w = 1},
      {.n = 1, .h = 6, .w = 9, .c = 3, .k = 6, .r = 2, .s = 4, .pad_h = 0, .pad_w = 2},  // oblong filter and padding
      {.n = 2, .h = 11, .w = 6, .c = 2, .k = 4, .r = 3, .s = 1, .stride_h = 1, .stride_w = 2, .pad_h = 2, .pad_w = 1},
  };
  int index = 0;
  for (const Conv2dShape& s : small) {
    add_all_four(cases, s, index % 2 == 0, index / 2 % 2 == 0, true);
    ++index;
  }
  // Several tiles in each direction, and sums long enough to be cut into slices. Too large for central differences.
  const Conv2dShape tiled[] = {
      {.n = 0, .h = 5, .w = 5, .c = 3, .k = 4, .r = 3, .s = 3},  // no images
      {.n = 2, .h = 12, .w = 12, .c = 20, .k = 50, .r = 5, .s = 5},
      {.n = 5, .h = 7, .w = 6, .c = 33, .k = 31, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 14, .w = 11, .c = 16, .k = 16, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 1, .h = 13, .w = 14, .c = 32, .k = 40, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 7, .w = 6, .c = 96, .k = 68, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1},
      {.n = 1, .h = 9, .w = 8, .c = 131, .k = 35, .r = 3, .s = 3, .stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 0},
      // As in a face detector: few channels and a stride, as many filters as no vector has lanes, one filter or two.
      {.n = 2, .h = 17, .w = 13, .c = 3, .k = 16, .r = 5, .s = 5, .stride_h = 2, .stride_w = 2},
      {.n = 1, .h = 9, .w = 7, .c = 45, .k = 45, .r = 5, .s = 5, .pad_h = 2, .pad_w = 2},
      {.n = 2, .h = 11, .w = 10, .c = 9, .k = 1, .r = 9, .s = 9, .pad_h = 4, .pad_w = 4},
      {.n = 3, .h = 7, .w = 5, .c = 32, .k = 1, .r = 3, .s = 3, .stride_h = 1, .stride_w = 1, .pad_h = 1, .pad_w = 1},
      {.n = 2, .h = 8, .w = 9, .c = 31, .k = 2, .r = 3, .s = 3, .stride_h = 2, .stride_w = 1, .pad_h = 1, .pad_w = 0},
      {.n = 1, .h = 6, .w = 6, .c = 33, .k = 4, .r = 2, .s = 2},
  };
  for (const Conv2dShape& s : tiled) {
    add_all_four(cases, s, index % 2 == 0, true, false);
    ++index;
  }
  // First layers: several tiles, parts of tiles and of filter groups.
  const Conv2dShape first[] = {
      {.n = 2, .h = 33, .w = 31, .c = 1, .k = 20, .r = 5, .s = 5},
      {.n = 1, .h = 31, .w = 33, .c = 3, .k = 33, .r = 7, .s = 7, .stride_h = 2, .stride_w = 2, .pad_h = 3, .pad_w = 3},
      {.n = 3, .h = 17, .w = 19, .c = 3, .k = 5, .r = 1, .s = 1},
      {.n = 1, .h = 47, .w = 43, .c = 1, .k = 96, .r = 11, .s = 11, .stride_h = 4, .stride_w = 4},
  };
  for (const Conv2dShape& s : first) {
    for (const bool pool : {false, true}) {
      const ConvBlock b{.conv = s, .relu = true, .pool = pool};
      cases.push_back(pool ? forward_of_integers(b, true) : forward_of_normals(b, true));
      cases.push_back(backward(b, true, false, rectified()));
      cases.back().relative = 3e-5;
    }
  }
  for (const bool relu : {false, true}) {
    for (const bool pool : {false, true}) {
      add_not_finite(cases, {{.n = 1, .h = 9, .w = 8, .c = 3, .k = 9, .r = 5, .s = 5, .pad_h = 1}, relu, pool});
      add_not_finite(cases, {{.n = 2, .h = 13, .w = 10, .c = 4, .k = 9, .r = 5, .s = 5, .pad_h = 1}, relu, pool});
      add_not_finite(cases, {{.n = 2, .h = 12, .w = 9, .c = 13, .k = 1, .r = 5, .s = 5, .pad_w = 2}, relu, pool});
    }
  }

  if (depth == Depth::full) {
    // Long sums, and so many of them that even a GPU's blocks add up the slices themselves.
    const Conv2dShape many{.n = 22, .h = 28, .w = 28, .c = 96, .k = 36, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1};
    cases.push_back(forward_of_integers({.conv = many, .relu = true, .pool = true}, true));
    cases.push_back(forward_of_normals({.conv = many, .relu = true, .pool = false}, true));

    struct Network {
      ConvBlock block;
      bool first;  // nobody asks for dx
    };
    const Network networks[] = {
        {{.conv = {.n = 128, .h = 28, .w = 28, .c = 1, .k = 20, .r = 5, .s = 5}, .pool = true}, true},  // lenet
        {{.conv = {.n = 128, .h = 12, .w = 12, .c = 20, .k = 50, .r = 5, .s = 5}, .pool = true}, false},
        {{{.n = 64, .h = 28, .w = 28, .c = 1, .k = 32, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1}, true, false}, true},
        {{{.n = 64, .h = 28, .w = 28, .c = 32, .k = 32, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1}, true, true}, false},
        {{{.n = 64, .h = 14, .w = 14, .c = 32, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1}, true, false}, false},
        {{{.n = 64, .h = 14, .w = 14, .c = 64, .k = 64, .r = 3, .s = 3, .pad_h = 1, .pad_w = 1}, true, true}, false},
    };
    for (const auto& [block, first] : networks) {
      OpCase passes[] = {block.pool ? forward_of_integers(block, true) : forward_of_normals(block, true),
                         backward(block, true, !first, rectified())};
      for (OpCase& c : passes) {
        c.relative = 3e-5;  // longer sums, larger errors
        c.bench = true;
        cases.push_back(std::move(c));
      }
    }
  }
  return cases;
}

}  // namespace gemel::reference
