// SPDX-License-Identifier: MIT
//
// conv_block_forward and conv2d_fprop (a block of neither ReLU nor pool) for the CPU.
//
//   z(n,p,q,k) = bias(k) + sum_{r,s,c} x(n, p sh - ph + r, q sw - pw + s, c) w(k,r,s,c)       y = pool(relu(z))
//
// 3x3 filters of stride 1 over enough channels take Winograd's way (winograd.h), all others the implicit GEMM
// (implicit_gemm.h), one or two filters with lanes along the taps: 9x9, 45 -> 1 at 128x113 takes 1.2 ms instead of 5.4
// (two cores, Zen 3 EPYC, AVX2, g++ 12). Under a pool the four pixels of a window are neighbouring rows of a register
// tile: the maximum is found before anything is stored, and z is never written.
//
// Replaces the executor's implicit GEMM: 3x3, 64 -> 64 at 14x14, batch 64 takes 10.6 ms instead of 129 without Winograd
// (78 % of the multiply-add peak; Zen 3 EPYC, one core, AVX2, g++ 12, CPU time).
//
// Work: an item is one band of output rows of one image, for some of the filters where there are many (filter_groups).
// Filters are packed into panels once a call.
#include "kernels/cpu/block_gradient.h"
#include "kernels/cpu/winograd.h"

namespace gemel::GEMEL_DEVICE {
namespace {

class DirectForward {
 public:
  DirectForward(const ConvBlock& block, Carver& carver)
      : s_(block.conv), unit_(block.pool ? 2 : 1), out_h_(block_rows(block)), out_w_(block_columns(block)) {
    bands_.window_columns = (unit_ * out_w_ - 1) * s_.stride_w + s_.s;
    bands_.in_place = s_.pad_h == 0 && s_.pad_w == 0;
    const std::int64_t row_bytes = std::int64_t{4} * unit_ * s_.stride_h * bands_.window_columns * s_.c;
    const bool many_filters = std::int64_t{4} * s_.k * s_.r * s_.s * s_.c >= 4 * row_bytes * out_h_;
    bands_.rows = band_rows(many_filters ? kMinItems : s_.n, out_h_, row_bytes);
    bands_.count = divide_up(out_h_, bands_.rows);
    bands_.window_rows = (unit_ * bands_.rows - 1) * s_.stride_h + s_.r;
    taps_ = {s_.r, s_.s * s_.c, std::ptrdiff_t{bands_.in_place ? s_.w : bands_.window_columns} * s_.c};
    if (many_filters) groups_ = filter_groups(s_.n * bands_.count, s_.k);
    const std::size_t outputs = static_cast<std::size_t>(bands_.rows) * out_w_, depth = taps_.rows * taps_.run;
    packed_ = carver.take<float>(packed_floats());
    in_ = carver.take<std::int32_t>(outputs * unit_ * unit_);
    out_ = carver.take<std::int32_t>(outputs);
    offsets_ = carver.take<std::int32_t>(taps_.run < kShortRun ? depth : 0);
    bands_.take_buffers(carver, slots_for(items()), s_.c);
  }

  std::int64_t items() const { return std::int64_t{s_.n} * bands_.count * groups_; }

  // Packed filters, of `packed_floats()`: in scratch, unless they are elsewhere. A narrow convolution uses them unpacked.
  bool narrow() const { return is_narrow(s_.k, taps_.run); }
  std::size_t packed_floats() const {
    return narrow() ? 0 : static_cast<std::size_t>(taps_.rows) * taps_.run * packed_columns(s_.k);
  }
  void use_packed(float* packed) { packed_ = packed; }

  void pack(const float* w) const {
    const int depth = taps_.rows * taps_.run;
    parallel(panel_count(s_.k), [&](std::int64_t index, int) {
      const Panel panel = panel_at(s_.k, static_cast<int>(index));
      with_size(panel, [&](auto size) {
        pack_transposed<decltype(size)>(panel, depth, w, depth,
                                        packed_ + static_cast<std::ptrdiff_t>(panel.column) * depth);
      });
    });
  }

  // Where the pixels of a band and the taps of a filter lie.
  void make_tables() {
    const int depth = taps_.rows * taps_.run;
    std::int32_t* in = in_;
    for (int i = 0; i < bands_.rows; ++i) {
      for (int j = 0; j < out_w_; ++j) {
        out_[i * out_w_ + j] = (i * out_w_ + j) * s_.k;
        for (int a = 0; a < unit_; ++a) {
          for (int b = 0; b < unit_; ++b) {
            *in++ = static_cast<std::int32_t>((unit_ * i + a) * s_.stride_h * taps_.pitch +
                                              (unit_ * j + b) * s_.stride_w * s_.c);
          }
        }
      }
    }
    if (taps_.run >= kShortRun) return;
    for (int k = 0; k < depth; ++k) {
      offsets_[k] = static_cast<std::int32_t>(k / taps_.run * taps_.pitch + k % taps_.run);
    }
    taps_.offsets = offsets_;
  }

  // One item; epilogue_at(first output of the item) gives the epilogue.
  template <class EpilogueAt>
  void run(const float* x, std::int64_t item, int slot, const EpilogueAt& epilogue_at) const {
    const std::int64_t band = item / groups_;
    const std::ptrdiff_t image = band / bands_.count, row = band % bands_.count * bands_.rows;
    const int rows = min(bands_.rows, out_h_ - static_cast<int>(row));
    const float* from = window(x + image * s_.h * s_.w * s_.c, static_cast<int>(row) * unit_, rows * unit_, slot);
    const Pixels pixels{in_, out_, rows * out_w_ * unit_ * unit_};
    const auto epilogue = epilogue_at((image * out_h_ + row) * out_w_ * s_.k);
    if (narrow()) return multiply_pixels_narrow(from, pixels, taps_, packed_, s_.k, epilogue);
    multiply_pixels(from, pixels, taps_, packed_, s_.k, panel_part(s_.k, static_cast<int>(item % groups_), groups_),
                    epilogue);
  }

 private:
  // First input pixel of rows [row, row + rows) of the convolution.
  const float* window(const float* image, int row, int rows, int slot) const {
    if (bands_.in_place) return image + static_cast<std::ptrdiff_t>(row) * s_.stride_h * s_.w * s_.c;
    copy_window(image, s_.h, s_.w, s_.c, row * s_.stride_h - s_.pad_h, (rows - 1) * s_.stride_h + s_.r, -s_.pad_w,
                bands_.window_columns, bands_.slot(slot));
    return bands_.slot(slot);
  }

  Conv2dShape s_;
  int unit_;  // rows and columns of the convolution that an output covers
  int out_h_, out_w_;
  int groups_ = 1;  // of filters
  Taps taps_;
  Bands bands_;
  float* packed_;
  std::int32_t *in_, *out_, *offsets_;  // of a full band
};

// The outputs that are stored: all of the convolution's, or those that whole windows cover.
Winograd::Shape winograd_shape(const ConvBlock& b) {
  const Conv2dShape& s = b.conv;
  const int unit = b.pool ? 2 : 1;
  return {s.n, s.h, s.w, s.c, s.k, s.pad_h, s.pad_w, unit * block_rows(b), unit * block_columns(b)};
}

void winograd_forward(const Winograd& pass, const ConvBlock& block, const float* x, const float* bias, float lowest,
                      float* y, std::uint8_t* argmax) {
  const Conv2dShape& s = block.conv;
  const int out_h = block_rows(block), out_w = block_columns(block);
  const auto window = [&](int image, int row, int rows, int column, int columns, float* out) {
    copy_window(x + static_cast<std::ptrdiff_t>(image) * s.h * s.w * s.c, s.h, s.w, s.c, row, rows, column, columns,
                out);
  };
  const auto biased = [&](auto size, auto& o, int k) {
    constexpr int kLanes = decltype(size)::kLanes;
    if (bias == nullptr) return;
    const Vec<kLanes> b = load<kLanes>(bias + k);
    GEMEL_UNROLL for (int e = 0; e < 4; ++e) o[e] += b;
  };
  const auto store_pooled = [&](auto size, int image, int i, int j, int k, auto& o) {
    constexpr int kLanes = decltype(size)::kLanes;
    biased(size, o, k);
    const std::ptrdiff_t at = ((static_cast<std::ptrdiff_t>(image) * out_h + i) * out_w + j) * s.k + k;
    IntVec<kLanes> tap;
    store<kLanes>(y + at, PoolEpilogue::first_maximum<kLanes>(o, lowest, tap));
    store_bytes<kLanes>(argmax + at, tap, kLanes);
  };
  const auto store_all = [&](auto size, int image, int i, int j, int k, auto& o) {
    biased(size, o, k);
    GEMEL_UNROLL for (int e = 0; e < 4; ++e) o[e] = StoreEpilogue::at_least(o[e], lowest);
    store_tile<decltype(size)::kLanes>(y + static_cast<std::ptrdiff_t>(image) * out_h * out_w * s.k, out_h, out_w, s.k,
                                       i, j, k, o);
  };
  parallel(pass.items(), [&](std::int64_t item, int slot) {
    block.pool ? pass.run(item, slot, window, store_pooled) : pass.run(item, slot, window, store_all);
  });
}

}  // namespace

std::size_t conv_block_forward_scratch(const ConvBlock& block) {
  Carver carver(nullptr);
  if (takes_winograd(block.conv)) {
    const Winograd pass(winograd_shape(block), carver);
  } else {
    const DirectForward pass(block, carver);
  }
  return carver.used();
}

std::size_t conv_block_packed_bytes(const ConvBlock& block) {
  if (block_rows(block) == 0 || block_columns(block) == 0) return 0;
  Carver carver(nullptr);
  if (takes_winograd(block.conv)) return sizeof(float) * Winograd(winograd_shape(block), carver).packed_floats();
  return sizeof(float) * DirectForward(block, carver).packed_floats();
}

void conv_block_pack(Queue queue, const ConvBlock& block, const float* w, void* packed) {
  if (block_rows(block) == 0 || block_columns(block) == 0) return;
  Carver carver(queue.scratch.data);
  if (takes_winograd(block.conv)) {
    Winograd pass(winograd_shape(block), carver);
    require_scratch(queue, carver.used(), "conv_block_pack");
    pass.use_packed(static_cast<float*>(packed));
    return pass.pack_forward(w);
  }
  DirectForward pass(block, carver);
  if (pass.narrow()) return;
  pass.use_packed(static_cast<float*>(packed));
  pass.pack(w);
}

void conv_block_forward(Queue queue, const ConvBlock& block, const float* x, const float* w, const void* packed,
                        const float* bias, float* y, std::uint8_t* argmax) {
  const Conv2dShape& s = block.conv;
  if (s.n == 0 || block_rows(block) == 0 || block_columns(block) == 0) return;
  const float lowest = block.relu ? 0.0f : -__builtin_inff();
  float* const filters = const_cast<float*>(static_cast<const float*>(packed));  // read alone
  Carver carver(queue.scratch.data);
  if (takes_winograd(s)) {
    Winograd pass(winograd_shape(block), carver);
    require_scratch(queue, carver.used(), "conv_block_forward");
    filters == nullptr ? pass.pack_forward(w) : pass.use_packed(filters);
    return winograd_forward(pass, block, x, bias, lowest, y, argmax);
  }
  DirectForward pass(block, carver);
  require_scratch(queue, carver.used(), "conv_block_forward");
  if (pass.narrow()) {
    pass.use_packed(const_cast<float*>(w));  // read alone
  } else {
    filters == nullptr ? pass.pack(w) : pass.use_packed(filters);
  }
  pass.make_tables();
  parallel(pass.items(), [&](std::int64_t item, int slot) {
    if (block.pool) {
      pass.run(x, item, slot, [&](std::ptrdiff_t at) { return PoolEpilogue{y + at, argmax + at, bias, lowest}; });
    } else {
      pass.run(x, item, slot, [&](std::ptrdiff_t at) { return StoreEpilogue{y + at, bias, lowest}; });
    }
  });
}

void conv2d_fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  conv_block_forward(queue, ConvBlock{s}, x, w, nullptr, bias, y, nullptr);
}

}  // namespace gemel::GEMEL_DEVICE
