// SPDX-License-Identifier: MIT
//
// The input gradient of a convolution, or of a block through its dz (block_gradient.h), for the CPU.
//
//   dx(n,h,w,c) = sum_{r,s,k} dz(n, (h + ph - r)/sh, (w + pw - s)/sw, k) w(k,r,s,c), where both divide evenly
//
// 3x3 filters of stride 1 over enough filters take Winograd's way (winograd.h), all others the implicit GEMM.
//
// Replaces the executor's implicit GEMM: 3x3, 64 -> 64 at 14x14, batch 64 takes 10.7 ms instead of 131 without Winograd
// (77 % of the multiply-add peak; Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
//
// Work: an item is one band of rows of one image (implicit_gemm.h). Filters are packed into panels once a call.
//
// With strides: h + ph = t sh + a splits dx into sh x sw phases (a, b). Within a phase only the filter rows
// r = a + sh i and columns s = b + sw j meet dx, and dx(t,u) = sum_{i,j,k} dz(t - i, u - j, k) w(k, a + sh i, b + sw
// j): a convolution of stride 1 with the phase's rotated sub-filter, so no arithmetic is spent on inserted zeros.
// Stride 1 is the one phase (0, 0).
#include "kernels/cpu/conv2d_backward.h"
#include "kernels/cpu/winograd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// t in [first, first + count): the positions h of one axis with h + pad = t stride + phase.
struct PhaseAxis {
  int first, count;  // of t
  int taps;          // filter positions phase + stride i
};

constexpr PhaseAxis phase_axis(int size, int filter, int stride, int pad, int phase) {
  PhaseAxis axis{};
  axis.first = pad > phase ? divide_up(pad - phase, stride) : 0;
  const int last = size - 1 + pad - phase;  // t stride <= last
  axis.count = last < 0 ? 0 : max(last / stride - axis.first + 1, 0);
  axis.taps = phase < filter ? divide_up(filter - phase, stride) : 0;
  return axis;
}

struct Dgrad {
  int p, q;
  int t_first, t_count, u_first, u_count;  // of all phases
  int taps_h, taps_w;                      // of the largest sub-filter
  std::ptrdiff_t pitch;                    // between rows of dy, in place or in the buffer
  Bands bands;                             // of rows t
  float* packed;                           // phase after phase
  std::int32_t *in, *out;                  // phase after phase, each of at most bands.rows * u_count entries

  // `plain`: dz is there to be read in place.
  Dgrad(const Conv2dShape& s, bool plain, Carver& carver) : p(output_rows(s)), q(output_columns(s)) {
    t_first = s.pad_h / s.stride_h;
    t_count = (s.h - 1 + s.pad_h) / s.stride_h - t_first + 1;
    u_first = s.pad_w / s.stride_w;
    u_count = (s.w - 1 + s.pad_w) / s.stride_w - u_first + 1;
    taps_h = divide_up(s.r, s.stride_h);
    taps_w = divide_up(s.s, s.stride_w);
    bands.in_place =
        plain && t_first >= taps_h - 1 && t_first + t_count <= p && u_first >= taps_w - 1 && u_first + u_count <= q;
    bands.window_columns = u_count + taps_w - 1;
    bands.rows = band_rows(s.n, t_count, std::int64_t{4} * bands.window_columns * s.k);
    bands.count = divide_up(t_count, bands.rows);
    bands.window_rows = bands.rows + taps_h - 1;
    pitch = std::ptrdiff_t{bands.in_place ? q : bands.window_columns} * s.k;
    packed = carver.take<float>(static_cast<std::size_t>(s.r) * s.s * s.k * packed_columns(s.c));
    const std::size_t entries = static_cast<std::size_t>(s.stride_h) * s.stride_w * table_size();
    in = carver.take<std::int32_t>(entries);
    out = carver.take<std::int32_t>(entries);
    bands.take_buffers(carver, slots_for(std::int64_t{s.n} * bands.count), s.k);
  }

  std::size_t table_size() const { return static_cast<std::size_t>(bands.rows) * u_count; }

  // Calls f(phase a, phase b, its rows, its columns, its packed filters, its first table entry).
  template <class F>
  void for_each_phase(const Conv2dShape& s, F&& f) const {
    float* filters = packed;
    std::size_t entry = 0;
    for (int a = 0; a < s.stride_h; ++a) {
      for (int b = 0; b < s.stride_w; ++b, entry += table_size()) {
        const PhaseAxis rows = phase_axis(s.h, s.r, s.stride_h, s.pad_h, a);
        const PhaseAxis columns = phase_axis(s.w, s.s, s.stride_w, s.pad_w, b);
        f(a, b, rows, columns, filters, entry);
        filters += static_cast<std::size_t>(rows.taps) * columns.taps * s.k * packed_columns(s.c);
      }
    }
  }

  // Packs each phase's sub-filter, rotated: row (i, j, k) of B, i and j descending, is w(k, a + sh i, b + sw j, :).
  void pack(const Conv2dShape& s, const float* w) const {
    const std::ptrdiff_t filter_floats = std::ptrdiff_t{s.r} * s.s * s.c;
    parallel(panel_count(s.c), [&](std::int64_t index, int) {
      const Panel panel = panel_at(s.c, static_cast<int>(index));
      for_each_phase(s, [&](int a, int b, PhaseAxis rows, PhaseAxis columns, float* filters, std::size_t) {
        with_size(panel, [&](auto size) {
          using Size = decltype(size);
          float* to = filters + static_cast<std::ptrdiff_t>(panel.column) * rows.taps * columns.taps * s.k;
          for (int i = rows.taps - 1; i >= 0; --i) {
            for (int j = columns.taps - 1; j >= 0; --j, to += static_cast<std::ptrdiff_t>(s.k) * Size::kWidth) {
              const float* from = w + ((a + s.stride_h * i) * s.s + b + s.stride_w * j) * s.c;
              pack_rows<Size>(panel, s.k, from, filter_floats, to);
            }
          }
        });
      });
    });
  }

  void prepare(const Conv2dShape& s, const float* w) const {
    pack(s, w);
    for_each_phase(s, [&](int, int, PhaseAxis rows, PhaseAxis columns, float*, std::size_t entry) {
      for (int i = 0; i < bands.rows; ++i) {
        for (int j = 0; j < columns.count; ++j) {
          const std::size_t at = entry + static_cast<std::size_t>(i) * columns.count + j;
          in[at] = static_cast<std::int32_t>((i + taps_h - rows.taps) * pitch +
                                             (j + columns.first - u_first + taps_w - columns.taps) * s.k);
          out[at] = (i * s.stride_h * s.w + j * s.stride_w) * s.c;
        }
      }
    });
  }

  // First pixel of dz that the band from t on reads.
  const float* window(const BlockGradient& dz, int image, int t, int rows, int slot) const {
    const int row = t - taps_h + 1, column = u_first - taps_w + 1;
    if (bands.in_place) return dz.dy + dz.image_at(image) + (static_cast<std::ptrdiff_t>(row) * q + column) * dz.k;
    dz.copy_window(image, row, rows + taps_h - 1, column, bands.window_columns, bands.slot(slot));
    return bands.slot(slot);
  }

  // dx: of the image.
  void run_band(const Conv2dShape& s, const BlockGradient& dz, int image, float* dx, int band, int slot) const {
    const int t_begin = t_first + band * bands.rows, t_end = min(t_begin + bands.rows, t_first + t_count);
    const float* from = window(dz, image, t_begin, t_end - t_begin, slot);
    for_each_phase(s, [&](int a, int b, PhaseAxis rows, PhaseAxis columns, float* filters, std::size_t entry) {
      const int begin = max(t_begin, rows.first), end = min(t_end, rows.first + rows.count);
      if (begin >= end || columns.count == 0) return;
      const int h = begin * s.stride_h + a - s.pad_h, column = columns.first * s.stride_w + b - s.pad_w;
      const Taps taps{rows.taps, columns.taps * s.k, pitch};
      const Pixels pixels{in + entry, out + entry, (end - begin) * columns.count};
      multiply_pixels(from + (begin - t_begin) * pitch, pixels, taps, filters, s.c, panel_part(s.c, 0, 1),
                      StoreEpilogue{.y = dx + (static_cast<std::ptrdiff_t>(h) * s.w + column) * s.c,
                                    .bias = nullptr,
                                    .lowest = -__builtin_inff()});
    });
  }
};

// The input gradient is itself a convolution: of dz, padded by 2 - pad, with the rotated filters.
Winograd::Shape winograd_shape(const Conv2dShape& s) {
  return {s.n, output_rows(s), output_columns(s), s.k, s.c, 2 - s.pad_h, 2 - s.pad_w, s.h, s.w};
}

void winograd_dgrad(const Winograd& pass, const Conv2dShape& s, const BlockGradient& dz, const float* w, float* dx) {
  pass.pack_backward(w);
  const auto window = [&](int image, int row, int rows, int column, int columns, float* out) {
    dz.copy_window(image, row, rows, column, columns, out);
  };
  const auto store = [&](auto size, int image, int i, int j, int c, auto& o) {
    store_tile<decltype(size)::kLanes>(dx + static_cast<std::ptrdiff_t>(image) * s.h * s.w * s.c, s.h, s.w, s.c, i, j,
                                       c, o);
  };
  parallel(pass.items(), [&](std::int64_t item, int slot) { pass.run(item, slot, window, store); });
}

}  // namespace

std::size_t dense_dgrad_scratch(const ConvBlock& block) {
  Carver carver(nullptr);
  if (takes_winograd(block.conv)) {
    const Winograd pass(winograd_shape(block.conv), carver);
  } else {
    const Dgrad pass(block.conv, !block.relu && !block.pool, carver);
  }
  return carver.used();
}

void dense_dgrad(const Queue& queue, const ConvBlock& block, const float* y, const std::uint8_t* argmax,
                 const float* dy, const float* w, float* dx) {
  const Conv2dShape& s = block.conv;
  const BlockGradient dz(block, y, argmax, dy);
  Carver carver(queue.scratch.data);
  if (takes_winograd(s)) {
    const Winograd pass(winograd_shape(s), carver);
    require_scratch(queue, carver.used(), "conv2d_dgrad");
    return winograd_dgrad(pass, s, dz, w, dx);
  }
  const Dgrad pass(s, dz.plain(), carver);
  require_scratch(queue, carver.used(), "conv2d_dgrad");
  pass.prepare(s, w);
  parallel(std::int64_t{s.n} * pass.bands.count, [&](std::int64_t item, int slot) {
    const auto image = static_cast<int>(item / pass.bands.count);
    pass.run_band(s, dz, image, dx + static_cast<std::ptrdiff_t>(image) * s.h * s.w * s.c,
                  static_cast<int>(item % pass.bands.count), slot);
  });
}

void conv2d_dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  if (s.n > 0) dense_dgrad(queue, ConvBlock{s}, nullptr, nullptr, dy, w, dx);
}

}  // namespace gemel::GEMEL_DEVICE
