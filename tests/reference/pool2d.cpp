// SPDX-License-Identifier: MIT
//
// Pooling: plain loops in double, and the shapes and values the kernels must get right.
#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <string>

#include "tests/reference/op_case.h"

namespace gemel::reference {
namespace {

std::string text(const Pool2dShape& s) {
  const auto n = [](int v) { return std::to_string(v); };
  const auto pair = [&](int a, int b) { return a == b ? n(a) : n(a) + "," + n(b); };
  std::string out = "n=" + n(s.n) + " " + n(s.h) + "x" + n(s.w) + "x" + n(s.c) + " @" + n(s.r) + "x" + n(s.s) +
                    " stride " + pair(s.stride_h, s.stride_w);
  if (s.pad_h != 0 || s.pad_w != 0) out += " pad " + pair(s.pad_h, s.pad_w);
  return out + (s.ceil_mode ? " ceil" : "");
}

// Calls window(index into y), then tap(index into x, r*S + s) for each of its taps inside the image, then end().
template <class Window, class Tap, class End>
void for_each_window(const Pool2dShape& shape, const Window& window, const Tap& tap, const End& end) {
  std::size_t out = 0;
  for (int n = 0; n < shape.n; ++n) {
    for (int p = 0; p < shape.p(); ++p) {
      for (int q = 0; q < shape.q(); ++q) {
        for (int c = 0; c < shape.c; ++c) {
          window(out++);
          for (int r = 0; r < shape.r; ++r) {
            const int h = p * shape.stride_h - shape.pad_h + r;
            for (int s = 0; s < shape.s; ++s) {
              const int w = q * shape.stride_w - shape.pad_w + s;
              if (h < 0 || h >= shape.h || w < 0 || w >= shape.w) continue;
              tap(((static_cast<std::size_t>(n) * shape.h + h) * shape.w + w) * shape.c + c, r * shape.s + s);
            }
          }
          end();
        }
      }
    }
  }
}

struct Maxima {
  std::vector<double> y, argmax;
  std::vector<std::size_t> from;  // index into x
};

Maxima maxima(const Pool2dShape& shape, const std::vector<double>& x) {
  Maxima m;
  bool first = true;
  for_each_window(
      shape,
      [&](std::size_t) {
        first = true;
        m.y.push_back(0);
        m.argmax.push_back(0);
        m.from.push_back(0);
      },
      [&](std::size_t i, int tap) {
        const bool larger = x[i] > m.y.back() || (std::isnan(x[i]) && !std::isnan(m.y.back()));
        if (!first && !larger) return;
        first = false;
        m.y.back() = x[i];
        m.argmax.back() = tap;
        m.from.back() = i;
      },
      [] {});
  return m;
}

// Calls f(index into y, index into x, share) for every tap of every window.
template <class F>
void for_each_share(const Pool2dShape& shape, PadCount count, const F& f) {
  std::size_t out = 0;
  std::vector<std::size_t> taps;
  for_each_window(
      shape,
      [&](std::size_t o) {
        out = o;
        taps.clear();
      },
      [&](std::size_t i, int) { taps.push_back(i); },
      [&] {
        const double divisor = count == PadCount::include ? shape.r * shape.s : static_cast<double>(taps.size());
        for (const std::size_t i : taps) f(out, i, 1 / divisor);
      });
}

std::size_t outputs(const Pool2dShape& s) { return static_cast<std::size_t>(s.n) * s.p() * s.q() * s.c; }

// Distinct values, so that the maximum of a window stays one when an element moves a little.
Fill distinct() {
  return {.kind = Fill::Kind::custom, .custom = [](std::vector<double>& values, std::uint64_t seed) {
            for (std::size_t i = 0; i < values.size(); ++i) values[i] = static_cast<double>(i) / 64 - 1;
            for (std::size_t i = values.size(); i > 1; --i) {  // Fisher-Yates, with Knuth's linear congruence
              seed = seed * 6364136223846793005u + 1442695040888963407u;
              std::swap(values[i - 1], values[(seed >> 33) % i]);
            }
          }};
}

// Ties, signed zeros, NaN, infinities.
Fill troublesome() {
  return {.kind = Fill::Kind::custom, .custom = [](std::vector<double>& values, std::uint64_t seed) {
            constexpr double kInfinity = std::numeric_limits<double>::infinity();
            const double choices[] = {0, -0.0, 1, -kInfinity, -kInfinity, -kInfinity, std::nan(""), kInfinity};
            for (double& v : values) {
              seed = seed * 6364136223846793005u + 1442695040888963407u;
              v = choices[(seed >> 33) % 8];
            }
          }};
}

OpCase base(const Pool2dShape& s, const std::string& op, double bytes, bool bench) {
  OpCase c;
  c.op = op;
  c.shape = text(s);
  c.cost = {.flops = static_cast<double>(outputs(s)) * s.r * s.s, .bytes = bytes};
  c.bench = bench;
  return c;
}

double x_bytes(const Pool2dShape& s) { return 4.0 * s.n * s.h * s.w * s.c; }

OpCase max_forward(const Pool2dShape& s, const Fill& fill, bool bench) {
  OpCase c = base(s, "maxpool2d_forward", x_bytes(s) + 5.0 * static_cast<double>(outputs(s)), bench);
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}, .fill = fill},
               {.name = "y", .shape = {s.n, s.p(), s.q(), s.c}, .role = Role::output},
               {.name = "argmax", .shape = {s.n, s.p(), s.q(), s.c}, .role = Role::output, .dtype = Dtype::u8}};
  c.run = [s](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.maxpool2d_forward(queue, s, t.f32("x"), t.f32("y"), t.u8("argmax"));
  };
  c.reference = [s](Values& v) {
    Maxima m = maxima(s, v["x"]);
    v["y"] = std::move(m.y);
    v["argmax"] = std::move(m.argmax);
  };
  c.relative = c.absolute = 0;
  return c;
}

// argmax is a filled input, as the kernel sees it: that of an x known to the fill.
OpCase max_backward(const Pool2dShape& s, bool bench) {
  OpCase c = base(s, "maxpool2d_backward", x_bytes(s) + 5.0 * static_cast<double>(outputs(s)), bench);
  const auto x_values = [s] {
    std::vector<double> x(static_cast<std::size_t>(s.n) * s.h * s.w * s.c);
    distinct().custom(x, 7);
    return x;
  };
  const Fill fill_x{.kind = Fill::Kind::custom,
                    .custom = [x_values](std::vector<double>& values, std::uint64_t) { values = x_values(); }};
  const Fill fill_argmax{
      .kind = Fill::Kind::custom,
      .custom = [s, x_values](std::vector<double>& values, std::uint64_t) { values = maxima(s, x_values()).argmax; }};
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}, .fill = fill_x},  // only the objective reads it
               {.name = "argmax", .shape = {s.n, s.p(), s.q(), s.c}, .fill = fill_argmax, .dtype = Dtype::u8},
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.c}},
               {.name = "dx", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output}};
  c.run = [s](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.maxpool2d_backward(queue, s, t.f32("dy"), t.u8("argmax"), t.f32("dx"));
  };
  c.reference = [s](Values& v) {
    v["dx"].assign(v["x"].size(), 0.0);
    const std::vector<std::size_t> from = maxima(s, v["x"]).from;
    for (std::size_t i = 0; i < from.size(); ++i) v["dx"][from[i]] += v["dy"][i];
  };
  if (!bench) {
    c.objective = [s](const Values& v) {
      const std::vector<double> y = maxima(s, v.at("x")).y;
      double sum = 0;
      for (std::size_t i = 0; i < y.size(); ++i) sum += y[i] * v.at("dy")[i];
      return sum;
    };
    c.gradients = {{"x", "dx"}};
  }
  return c;
}

OpCase avg_forward(const Pool2dShape& s, PadCount count, bool bench) {
  OpCase c = base(s, "avgpool2d_forward", x_bytes(s) + 4.0 * static_cast<double>(outputs(s)), bench);
  c.shape += count == PadCount::include ? " include" : " exclude";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},
               {.name = "y", .shape = {s.n, s.p(), s.q(), s.c}, .role = Role::output}};
  c.run = [s, count](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.avgpool2d_forward(queue, s, count, t.f32("x"), t.f32("y"));
  };
  c.reference = [s, count](Values& v) {
    v["y"].assign(outputs(s), 0.0);
    for_each_share(s, count, [&](std::size_t o, std::size_t i, double share) { v["y"][o] += v["x"][i] * share; });
  };
  return c;
}

OpCase avg_backward(const Pool2dShape& s, PadCount count, bool bench) {
  OpCase c = base(s, "avgpool2d_backward", x_bytes(s) + 4.0 * static_cast<double>(outputs(s)), bench);
  c.shape += count == PadCount::include ? " include" : " exclude";
  c.tensors = {{.name = "x", .shape = {s.n, s.h, s.w, s.c}},  // only the objective reads it
               {.name = "dy", .shape = {s.n, s.p(), s.q(), s.c}},
               {.name = "dx", .shape = {s.n, s.h, s.w, s.c}, .role = Role::output}};
  c.run = [s, count](const Kernels& kernels, Queue queue, DeviceTensors& t) {
    kernels.avgpool2d_backward(queue, s, count, t.f32("dy"), t.f32("dx"));
  };
  c.reference = [s, count](Values& v) {
    v["dx"].assign(v["x"].size(), 0.0);
    for_each_share(s, count, [&](std::size_t o, std::size_t i, double share) { v["dx"][i] += v["dy"][o] * share; });
  };
  if (!bench) {
    c.objective = [s, count](const Values& v) {
      double sum = 0;
      for_each_share(s, count,
                     [&](std::size_t o, std::size_t i, double share) { sum += v.at("x")[i] * v.at("dy")[o] * share; });
      return sum;
    };
    c.gradients = {{"x", "dx"}};
  }
  return c;
}

}  // namespace

std::vector<OpCase> pool2d_cases(Depth depth) {
  std::vector<OpCase> cases;
  const Pool2dShape small[] = {
      {.n = 1, .h = 1, .w = 1, .c = 1, .r = 1, .s = 1, .stride_h = 1, .stride_w = 1},
      {.n = 2, .h = 6, .w = 8, .c = 5, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2},
      {.n = 1, .h = 7, .w = 7, .c = 3, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2},  // a row and a column left out
      {.n = 1, .h = 7, .w = 7, .c = 3, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2, .ceil_mode = true},   // and not
      {.n = 2, .h = 10, .w = 7, .c = 3, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .ceil_mode = true},  // DeepFace's
      {.n = 2,
       .h = 9,
       .w = 8,
       .c = 4,
       .r = 3,
       .s = 3,
       .stride_h = 1,
       .stride_w = 1,
       .pad_h = 1,
       .pad_w = 1},  // overlaps
      {.n = 1, .h = 8, .w = 6, .c = 2, .r = 3, .s = 2, .stride_h = 3, .stride_w = 1, .pad_h = 1, .pad_w = 0},
      {.n = 1,
       .h = 6,
       .w = 6,
       .c = 2,
       .r = 3,
       .s = 3,
       .stride_h = 2,
       .stride_w = 2,
       .pad_h = 1,
       .pad_w = 1,
       .ceil_mode = true},  // a last window that ceil_mode counts, and padding in front
      {.n = 1, .h = 5, .w = 5, .c = 2, .r = 1, .s = 1, .stride_h = 3, .stride_w = 3},        // pixels in no window
      {.n = 3, .h = 16, .w = 16, .c = 1, .r = 16, .s = 16, .stride_h = 16, .stride_w = 16},  // 256 taps, the most
      {.n = 1, .h = 3, .w = 33, .c = 31, .r = 2, .s = 3, .stride_h = 1, .stride_w = 2},
  };
  for (const Pool2dShape& s : small) {
    cases.push_back(max_forward(s, Fill{}, false));
    cases.push_back(max_backward(s, false));
    for (const PadCount count : {PadCount::include, PadCount::exclude}) {
      cases.push_back(avg_forward(s, count, false));
      cases.push_back(avg_backward(s, count, false));
    }
  }
  OpCase special = max_forward({.n = 3, .h = 11, .w = 11, .c = 7, .r = 2, .s = 2, .stride_h = 1, .stride_w = 1},
                               troublesome(), false);
  special.shape += " ties, NaN, infinities";
  cases.push_back(std::move(special));

  if (depth == Depth::full) {
    const Pool2dShape networks[] = {
        {.n = 256, .h = 24, .w = 24, .c = 20, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2},  // LeNet
        {.n = 16, .h = 96, .w = 96, .c = 64, .r = 2, .s = 2, .stride_h = 2, .stride_w = 2},   // Koch
        {.n = 16, .h = 142, .w = 142, .c = 32, .r = 3, .s = 3, .stride_h = 2, .stride_w = 2, .ceil_mode = true},
    };
    for (const Pool2dShape& s : networks) {
      cases.push_back(max_forward(s, Fill{}, true));
      cases.push_back(max_backward(s, true));
      cases.push_back(avg_forward(s, PadCount::exclude, true));
      cases.push_back(avg_backward(s, PadCount::exclude, true));
    }
  }
  return cases;
}

}  // namespace gemel::reference
