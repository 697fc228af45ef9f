// SPDX-License-Identifier: MIT
//
// conv_block_backward for the CPU: dx, dw and db of a convolution with ReLU and 2x2 max-pool, from dy, y and argmax.
//
// Replaces, together with conv2d_fprop.cpp, the entries of the layers one by one: with ReLU and pool, 3x3, 64 -> 64 at
// 14x14, batch 128, both gradients take 19 ms (172 % of the multiply-add peak counted in dense arithmetic), where the
// dense passes alone take 45; 5x5, 20 -> 50 at 12x12 take 5.0 ms (145 %). Zen 3 EPYC, one core, AVX2, g++ 12, CPU time;
// nearly all pooled values were positive: behind a ReLU that holds half of them back there is half to do.
//
// Behind a pool both gradients are sums over the numbers of dz that are not 0 (sparse_gradient.h); without one, and
// where filter rows are shorter than a vector, they are the dense passes of conv2d_dgrad.cpp and conv2d_wgrad.cpp over
// dz, which is made a band at a time.
#include "kernels/cpu/sparse_gradient.h"
#include "kernels/cpu/wgrad_tile.h"

namespace gemel::GEMEL_DEVICE {
namespace {

// Floats that a piece may read or write past the end of an image or a row of filters.
constexpr int kSlack = kMostVectors * kLanes;

bool takes_sparse_wgrad(const ConvBlock& b) { return b.pool; }
// Without a whole vector in a filter row most lanes would add zeros.
bool takes_sparse_dgrad(const ConvBlock& b) { return b.pool && b.conv.s * b.conv.c >= kLanes; }

// ---- dw, db
class SparseWgrad {
 public:
  SparseWgrad(const ConvBlock& block, Carver& carver)
      : s_(block.conv),
        out_h_(block_rows(block)),
        out_w_(block_columns(block)),
        pieces_(row_pieces(s_.r, s_.s * s_.c)) {
    image_ = PaddedImage(s_, (2 * out_w_ - 1) * s_.stride_w + s_.s);
    // Pooled rows of a band: as many as leave its window in L1.
    const auto window = [&](int rows) { return (2 * rows - 1) * s_.stride_h + s_.r; };
    band_ = 1;
    while (band_ < out_h_ && 4 * window(band_ + 1) * image_.pitch <= kWindowBytes) ++band_;
    band_ = divide_up(out_h_, divide_up(out_h_, band_));
    image_.rows = window(band_);
    partial_floats_ = (static_cast<std::size_t>(s_.k) * s_.r * pieces_.pitch() + round_up(s_.k, 64));
    chunks_ = partial_chunks(s_.n, 4 * static_cast<std::int64_t>(partial_floats_));
    partial_ = carver.take<float>(chunks_ * partial_floats_);
    const int slots = slots_for(chunks_);
    window_floats_ = static_cast<std::size_t>(image_.rows) * image_.pitch + kSlack;
    windows_ = carver.take<float>(slots * window_floats_);
    list_ = band_ * out_w_;
    terms_ = carver.take<Term>(static_cast<std::size_t>(slots) * s_.k * list_);
    counts_ = carver.take<std::int32_t>(static_cast<std::size_t>(slots) * s_.k);
  }

  int chunks() const { return chunks_; }

  void run_chunk(const float* x, const BlockGradient& dz, int chunk, int slot) const {
    float* const sums = partial_ + static_cast<std::size_t>(chunk) * partial_floats_;
    float* const bias = sums + partial_floats_ - round_up(s_.k, 64);
    float* const window = windows_ + static_cast<std::size_t>(slot) * window_floats_;
    __builtin_memset(sums, 0, partial_floats_ * sizeof(float));
    __builtin_memset(window + window_floats_ - kSlack, 0, kSlack * sizeof(float));
    const int end = chunk_begin(s_.n, chunk + 1, chunks_);
    for (int image = chunk_begin(s_.n, chunk, chunks_); image < end; ++image) {
      for (int row = 0; row < out_h_; row += band_) {
        const int rows = min(band_, out_h_ - row), first = 2 * row * s_.stride_h - s_.pad_h;
        copy_window(x + static_cast<std::ptrdiff_t>(image) * s_.h * s_.w * s_.c, s_.h, s_.w, s_.c, first,
                    (2 * rows - 1) * s_.stride_h + s_.r, -s_.pad_w, image_.columns, window);
        gather(dz, image, row, rows, slot, bias);
        sum(window, slot, sums);
      }
    }
  }

  // Adds the partial sums of filter k, in the order of the chunks.
  void reduce(int k, float* dw, float* db) const {
    const int run = s_.s * s_.c, pitch = pieces_.pitch();
    for (int r = 0; r < s_.r; ++r) {
      const float* from = partial_ + (static_cast<std::ptrdiff_t>(k) * s_.r + r) * pitch;
      float* to = dw + (static_cast<std::ptrdiff_t>(k) * s_.r + r) * run;
      for (int i = 0; i < run; i += kLanes) {
        Vec<kLanes> total{};
        for (int chunk = 0; chunk < chunks_; ++chunk) total += load(from + chunk * partial_floats_ + i);
        if (i + kLanes <= run) {
          store(to + i, load(to + i) + total);
        } else {
          store_part(to + i, load_part(to + i, run - i) + total, run - i);
        }
      }
    }
    if (db == nullptr) return;
    const float* bias = partial_ + partial_floats_ - round_up(s_.k, 64) + k;
    float total = 0;
    for (int chunk = 0; chunk < chunks_; ++chunk) total += bias[chunk * partial_floats_];
    db[k] += total;
  }

 private:
  static constexpr std::ptrdiff_t kWindowBytes = 30 * 1024;

  // Lists the numbers of rows [row, row + rows) of dy by filter, each with its window in the band; sums them into `bias`.
  void gather(const BlockGradient& dz, int image, int row, int rows, int slot, float* bias) const {
    Term* const lists = terms_ + static_cast<std::ptrdiff_t>(slot) * s_.k * list_;
    std::int32_t* const counts = counts_ + static_cast<std::ptrdiff_t>(slot) * s_.k;
    for (int k = 0; k < s_.k; ++k) counts[k] = k * list_;
    const std::int32_t taps[4] = {image_.window(0, 0), image_.window(0, 1), image_.window(1, 0), image_.window(1, 1)};
    std::ptrdiff_t at = dz.image_at(image) + static_cast<std::ptrdiff_t>(row) * out_w_ * s_.k;
    for (int i = 0; i < rows; ++i) {
      for (int j = 0; j < out_w_; ++j, at += s_.k) {
        const std::int32_t window = image_.window(2 * i, 2 * j);
        for (int k = 0; k < s_.k; ++k) {
          const float v = dz.value(at + k);
          lists[counts[k]] = {window + taps[dz.argmax[at + k]], v};
          counts[k] += v != 0;  // NaN is kept
          bias[k] += v;
        }
      }
    }
  }

  void sum(const float* window, int slot, float* sums) const {
    const Term* const lists = terms_ + static_cast<std::ptrdiff_t>(slot) * s_.k * list_;
    const std::int32_t* const counts = counts_ + static_cast<std::ptrdiff_t>(slot) * s_.k;
    const int pitch = pieces_.pitch();
    with_piece(pieces_, [&](auto size) {
      for (int r = 0; r < s_.r; r += pieces_.rows) {
        for (int piece = 0; piece < pieces_.pieces; ++piece) {
          const int column = piece * pieces_.width();
          const float* from = window + r * image_.pitch + column;
          float* to = sums + static_cast<std::ptrdiff_t>(r) * pitch + column;
          for (int k = 0; k < s_.k; ++k, to += static_cast<std::ptrdiff_t>(s_.r) * pitch) {
            add_terms<decltype(size)>(lists + static_cast<std::ptrdiff_t>(k) * list_, lists + counts[k], from,
                                      image_.pitch, to, pitch);
          }
        }
      }
    });
  }

  Conv2dShape s_;
  int out_h_, out_w_;
  RowPieces pieces_;
  PaddedImage image_;  // of a band
  int chunks_, band_, list_;
  float *partial_, *windows_;
  std::size_t partial_floats_, window_floats_;
  Term* terms_;
  std::int32_t* counts_;
};

// ---- dx
class SparseDgrad {
 public:
  SparseDgrad(const ConvBlock& block, Carver& carver)
      : s_(block.conv),
        out_h_(block_rows(block)),
        out_w_(block_columns(block)),
        pieces_(row_pieces(s_.r, s_.s * s_.c)) {
    // Every window lies inside, and so does the image.
    image_ = PaddedImage(s_, max((2 * out_w_ - 1) * s_.stride_w + s_.s, s_.w + s_.pad_w));
    image_.rows = max((2 * out_h_ - 1) * s_.stride_h + s_.r, s_.h + s_.pad_h);
    packed_ = carver.take<float>(static_cast<std::size_t>(s_.k) * s_.r * pieces_.pitch());
    const int slots = slots_for(s_.n);
    image_floats_ = static_cast<std::size_t>(image_.rows) * image_.pitch + kSlack;
    images_ = carver.take<float>(slots * image_floats_);
    terms_ = carver.take<Term>(static_cast<std::size_t>(slots) * slot_terms());
    ends_ = carver.take<std::int32_t>(static_cast<std::size_t>(slots) * out_h_ * out_w_ * 4);
  }

  // Filters by row and piece, so that what one pass over the lists reads is contiguous: (R / rows, pieces, K, rows,
  // width), zeros past the end of a row.
  void pack(const float* w) const {
    const int run = s_.s * s_.c, width = pieces_.width();
    parallel(s_.k, [&](std::int64_t k, int) {
      for (int r = 0; r < s_.r; ++r) {
        for (int piece = 0; piece < pieces_.pieces; ++piece) {
          float* to = packed_ + piece_at(r / pieces_.rows, piece) + (k * pieces_.rows + r % pieces_.rows) * width;
          const float* from = w + (k * s_.r + r) * run + piece * width;
          const int inside = max(min(width, run - piece * width), 0);
          __builtin_memcpy(to, from, sizeof(float) * static_cast<std::size_t>(inside));
          __builtin_memset(to + inside, 0, sizeof(float) * static_cast<std::size_t>(width - inside));
        }
      }
    });
  }

  void run_image(const BlockGradient& dz, int image, int slot, float* dx) const {
    float* const sums = images_ + static_cast<std::size_t>(slot) * image_floats_;
    __builtin_memset(sums, 0, image_floats_ * sizeof(float));
    gather(dz, image, slot);
    const Term* const terms = terms_ + slot * slot_terms();
    const std::int32_t* const ends = ends_ + static_cast<std::ptrdiff_t>(slot) * out_h_ * out_w_ * 4;
    with_piece(pieces_, [&](auto size) {
      for (int r = 0; r < s_.r; r += pieces_.rows) {
        for (int piece = 0; piece < pieces_.pieces; ++piece) {
          const float* from = packed_ + piece_at(r / pieces_.rows, piece);
          float* const to = sums + r * image_.pitch + piece * pieces_.width();
          const Term* term = terms;
          const std::int32_t* end = ends;
          for (int i = 0; i < out_h_; ++i) {
            for (int j = 0; j < out_w_; ++j) {
              for (int tap = 0; tap < 4; ++tap, ++end) {
                const Term* const stop = terms + *end;
                add_terms<decltype(size)>(term, stop, from, pieces_.width(),
                                          to + image_.window(2 * i + tap / 2, 2 * j + tap % 2), image_.pitch);
                term = stop;
              }
            }
          }
        }
      }
    });
    dx += static_cast<std::ptrdiff_t>(image) * s_.h * s_.w * s_.c;
    const std::ptrdiff_t row = static_cast<std::ptrdiff_t>(s_.w) * s_.c;
    for (int h = 0; h < s_.h; ++h) {
      __builtin_memcpy(dx + h * row,
                       sums + (h + s_.pad_h) * image_.pitch + static_cast<std::ptrdiff_t>(s_.pad_w) * s_.c,
                       sizeof(float) * static_cast<std::size_t>(row));
    }
  }

 private:
  std::ptrdiff_t piece_at(int row_group, int piece) const {
    return (static_cast<std::ptrdiff_t>(row_group) * pieces_.pieces + piece) * s_.k * pieces_.rows * pieces_.width();
  }
  // 3 K to spare: while the lists of a pixel are made they lie K terms apart.
  std::ptrdiff_t slot_terms() const { return (static_cast<std::ptrdiff_t>(out_h_) * out_w_ + 3) * s_.k; }

  // Lists the numbers of dy by pixel and tap, each with its filter.
  void gather(const BlockGradient& dz, int image, int slot) const {
    Term* to = terms_ + slot * slot_terms();
    Term* const begin = to;
    std::int32_t* end = ends_ + static_cast<std::ptrdiff_t>(slot) * out_h_ * out_w_ * 4;
    const std::int32_t filter = pieces_.rows * pieces_.width();
    std::ptrdiff_t at = dz.image_at(image);
    for (int pixel = 0; pixel < out_h_ * out_w_; ++pixel, at += s_.k) {
      std::int32_t counts[4] = {0, s_.k, 2 * s_.k, 3 * s_.k};
      for (int k = 0; k < s_.k; ++k) {
        const float v = dz.value(at + k);
        std::int32_t& count = counts[dz.argmax[at + k]];
        to[count] = {k * filter, v};
        count += v != 0;
      }
      Term* next = to + counts[0];
      *end++ = static_cast<std::int32_t>(next - begin);
      for (int tap = 1; tap < 4; ++tap) {
        const int count = counts[tap] - tap * s_.k;
        __builtin_memmove(next, to + tap * s_.k, sizeof(Term) * static_cast<std::size_t>(count));
        next += count;
        *end++ = static_cast<std::int32_t>(next - begin);
      }
      to = next;
    }
  }

  Conv2dShape s_;
  int out_h_, out_w_;
  RowPieces pieces_;
  PaddedImage image_;
  float *packed_, *images_;
  std::size_t image_floats_;
  Term* terms_;
  std::int32_t* ends_;
};

void sparse_wgrad(const Queue& queue, const ConvBlock& block, const BlockGradient& dz, const float* x, float* dw,
                  float* db) {
  Carver carver(queue.scratch.data);
  const SparseWgrad pass(block, carver);
  require_scratch(queue, carver.used(), "conv_block_backward");
  parallel(pass.chunks(), [&](std::int64_t chunk, int slot) { pass.run_chunk(x, dz, static_cast<int>(chunk), slot); });
  parallel(block.conv.k, [&](std::int64_t k, int) { pass.reduce(static_cast<int>(k), dw, db); });
}

void sparse_dgrad(const Queue& queue, const ConvBlock& block, const BlockGradient& dz, const float* w, float* dx) {
  Carver carver(queue.scratch.data);
  const SparseDgrad pass(block, carver);
  require_scratch(queue, carver.used(), "conv_block_backward");
  pass.pack(w);
  parallel(block.conv.n, [&](std::int64_t image, int slot) { pass.run_image(dz, static_cast<int>(image), slot, dx); });
}

std::size_t wgrad_scratch(const ConvBlock& block) {
  if (!takes_sparse_wgrad(block)) return dense_wgrad_scratch(block);
  Carver carver(nullptr);
  const SparseWgrad pass(block, carver);
  return carver.used();
}

std::size_t dgrad_scratch(const ConvBlock& block) {
  if (!takes_sparse_dgrad(block)) return dense_dgrad_scratch(block);
  Carver carver(nullptr);
  const SparseDgrad pass(block, carver);
  return carver.used();
}

}  // namespace

std::size_t conv_block_scratch(const ConvBlock& block) {
  if (block_rows(block) == 0 || block_columns(block) == 0) return 0;
  const std::size_t forward = conv_block_forward_scratch(block), wgrad = wgrad_scratch(block);
  const std::size_t dgrad = dgrad_scratch(block), backward = wgrad > dgrad ? wgrad : dgrad;
  return forward > backward ? forward : backward;
}

std::size_t conv2d_scratch(const Conv2dShape& s) { return conv_block_scratch(ConvBlock{s}); }

void conv_block_backward(Queue queue, const ConvBlock& block, const float* x, const float* w, const float* y,
                         const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db) {
  const Conv2dShape& s = block.conv;
  if (s.n == 0) return;
  if (block_rows(block) == 0 || block_columns(block) == 0) {  // the pool left nothing
    if (dx != nullptr) __builtin_memset(dx, 0, sizeof(float) * static_cast<std::size_t>(s.n) * s.h * s.w * s.c);
    return;
  }
  const BlockGradient dz(block, y, argmax, dy);
  if (takes_sparse_wgrad(block)) {
    sparse_wgrad(queue, block, dz, x, dw, db);
  } else {
    dense_wgrad(queue, block, x, y, argmax, dy, dw, db);
  }
  if (dx == nullptr) return;
  if (takes_sparse_dgrad(block)) {
    sparse_dgrad(queue, block, dz, w, dx);
  } else {
    dense_dgrad(queue, block, y, argmax, dy, w, dx);
  }
}

}  // namespace gemel::GEMEL_DEVICE
