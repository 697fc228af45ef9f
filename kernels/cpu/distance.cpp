// SPDX-License-Identifier: MIT
//
// pairwise_distance for the CPU: d2(i,j) = |a_i - b_j|^2, and its root unless `squared`.
//
// Products in the register tile, norms beside them, and direct differences where the sum of the three would cancel:
// squared_distance.h tells when, and what that leaves of the digits. A row of the tile is a row of a, its columns are
// rows of b, packed transposed.
//
// Replaces the executor's tiled kernel: 512 x 512 distances of 128 columns take 0.84 ms instead of 24, 71 % of the
// multiply-add peak (Zen 3 EPYC, AVX2, g++ 12, CPU time). Beside PyTorch and OpenBLAS: docs/results/cpu.md, by
// tools/peers.
//
// Work     an item is kRows rows of a with up to kMostPanels panels of b, so that a norm and a packed panel serve many
//          pairs. Columns beyond kDepth are a next piece; the tile's sums wait in a buffer.
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/squared_distance.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kDepth = 256;      // columns packed at a time
constexpr int kRows = 256;       // rows of a an item
constexpr int kMostPanels = 32;  // of b, an item
constexpr int kFewItems = 16;    // no more panels an item than leave so many items

struct Pairs {
  int m, d;
  const float *a, *b;  // rows of the item; all of b
  bool squared;
  float* distance;  // of the item's first row
};

// From the tile's products to rows [row, row + rows) of the panel of `distance`: a block's last rows, and tiles with
// distances that cancel.
template <class Size>
[[gnu::noinline]] void finish(const Pairs& p, const Panel& panel, int row, int rows, const float* row_norms,
                              const float* column_norms, float* tile) {
  constexpr int kWide = Size::kLanes;
  const bool unmeasured = from_products<Size>(rows, row_norms, column_norms, tile);
  for (int i = row; i < row + rows; ++i, tile += Size::kWidth) {
    for (int j = 0; unmeasured && j < Size::kVectors; ++j) {
      measure_directly(p.d, p.a + std::ptrdiff_t{i} * p.d, p.b + std::ptrdiff_t{panel.column_of(j)} * p.d, p.d,
                       panel.valid, tile + j * kWide);
    }
    TileRow<Size> c;
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[j] = load<kWide>(tile + j * kWide);
    if (!p.squared) {
      GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) c[j] = square_roots<kWide>(c[j]);
    }
    store_columns<Size>(p.distance + std::ptrdiff_t{i} * p.m, c, panel);
  }
}

// Products of a whole tile of rows with the panel's columns, and where none of the distances cancels, these go straight
// from the registers to the rows from `distance` on. Else the products are in `tile`, for finish(), and the answer is
// false. The lines to be written are asked for before the product: they come while it runs.
template <class Size, int Rows>
[[gnu::noinline]] bool multiply_and_finish(const Pairs& p, const Panel& panel, const float* const (&rows)[Rows],
                                           int length, const float* packed, bool add, const float* row_norms,
                                           const float* column_norms, float* tile, float* distance) {
  constexpr int kWide = Size::kLanes;
  GEMEL_UNROLL for (int i = 0; i < Rows; ++i) {
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      __builtin_prefetch(distance + std::ptrdiff_t{i} * p.m + panel.column_of(j) + kWide - 1, 1);
    }
  }
  Vec<kWide> c[Rows][Size::kVectors] = {};
  if (add) load_tile<Size>(tile, c);
  multiply_rows<Size>(c, rows, 0, length, packed);
  IntVec<kWide> cancels{};
  GEMEL_UNROLL for (int i = 0; i < Rows; ++i, distance += p.m) {
    TileRow<Size> d2;
    GEMEL_UNROLL for (int j = 0; j < Size::kVectors; ++j) {
      d2[j] = from_product<kWide>(c[i][j], row_norms[i], column_norms + j * kWide, cancels);
      if (!p.squared) d2[j] = square_roots<kWide>(d2[j]);
    }
    store_columns<Size>(distance, d2, panel);
  }
  if (!any<kWide>(cancels)) return true;
  store_tile<Size>(tile, c);
  return false;
}

template <class Size>
void measure(const Pairs& p, const Panel& panel, int rows, const float* row_norms) {
  constexpr int kTile = tile_rows(Size::kVectors);
  alignas(64) float packed[kDepth * Size::kWidth];
  alignas(64) float tiles[(kRows + kTile) * Size::kWidth];  // of all rows, where they wait for the next piece
  float column_norms[Size::kWidth] = {};
  for (int j = 0; j < Size::kVectors; ++j) {
    squared_norms(panel.valid, p.d, p.b + std::ptrdiff_t{panel.column_of(j)} * p.d, p.d,
                  column_norms + j * Size::kLanes);
  }
  for (int first = 0; first < p.d; first += kDepth) {
    const int length = min(kDepth, p.d - first);
    const bool last = first + length == p.d;
    pack_transposed<Size>(panel, length, p.b + first, p.d, packed);
    for (int row = 0; row < rows; row += kTile) {
      float* tile = p.d > kDepth ? tiles + row * Size::kWidth : tiles;
      const float* pointers[kTile];
      for (int i = 0; i < kTile; ++i) pointers[i] = p.a + std::ptrdiff_t{min(row + i, rows - 1)} * p.d + first;
      bool finished = false;
      if (last && row + kTile <= rows) {
        finished = multiply_and_finish<Size>(p, panel, pointers, length, packed, first > 0, row_norms + row,
                                             column_norms, tile, p.distance + std::ptrdiff_t{row} * p.m);
      } else {
        multiply_tile<Size>(pointers, length, packed, first > 0, tile);
      }
      if (last && !finished) finish<Size>(p, panel, row, min(kTile, rows - row), row_norms + row, column_norms, tile);
    }
  }
}

}  // namespace

void pairwise_distance(Queue, int n, int m, int d, const float* a, const float* b, bool squared, float* distance) {
  if (n == 0 || m == 0) return;
  const int row_blocks = divide_up(n, kRows), panels = panel_count(m);
  const std::int64_t most = std::int64_t{row_blocks} * panels / kFewItems;
  const int together = max(1, most < kMostPanels ? static_cast<int>(most) : kMostPanels);
  parallel(std::int64_t{row_blocks} * divide_up(panels, together), [&](std::int64_t item, int) {
    const std::ptrdiff_t row = item % row_blocks * kRows;
    const int first = static_cast<int>(item / row_blocks) * together;
    const int rows = min(kRows, n - static_cast<int>(row));
    const Pairs p{m, d, a + row * d, b, squared, distance + row * m};
    float row_norms[kRows];
    squared_norms(rows, d, p.a, d, row_norms);
    for (int index = first; index < min(first + together, panels); ++index) {
      const Panel panel = panel_at(m, index);
      with_size(panel, [&](auto size) { measure<decltype(size)>(p, panel, rows, row_norms); });
    }
  });
}

}  // namespace gemel::GEMEL_DEVICE
