// SPDX-License-Identifier: MIT
//
// contrastive_all for the CPU: the losses are defined in kernels/kernels.h, and so are the edge cases (and in
// kernels/loss/contrastive_all.cu).
//
//   l_ij, c_ij   loss and slope of a pair: dl_ij/de_i = c_ij (e_i - e_j)
//   loss_i       = sum_j l_ij / (n - 1)
//   de_i         = 2 / (n (n - 1)) [ (sum_j c_ij) e_i - sum_j c_ij e_j ]
//
// Rows are taken in blocks of kBlock. Blocks I and J meet once: products in the register tile make squared distances
// (squared_distance.h), these make kBlock x kBlock slopes in the first-level cache, and the slopes are multiplied with
// the rows of J for the gradient of I, transposed with the rows of I for that of J. 1.5 n^2 d multiply-adds in all,
// where the two products over all pairs have 2 n^2 d; nothing of size (n,n) is ever in memory.
//
// Replaces the executor's kernels: 1024 rows of 128 columns take 5.2 ms instead of 195, 93 % of the multiply-add peak if
// the two full products are counted, 70 % of it in what is really computed (Zen 3 EPYC, AVX2, g++ 12, CPU time). Beside
// PyTorch: docs/results/cpu.md, by tools/peers.
//
// Numerics   both products are taken of the rows less their mean, which changes neither distance nor gradient: rows
//            that are far from the origin and near each other keep their digits, and few of their distances cancel.
//            Those that do are measured directly, from the rows as given. The gradient's error is that of sums of
//            |c_ij| times the rows' spread, not times |e_i - e_j|.
// Order      rounds in which no block meets two others (the circle method of tournaments), one after the other: a
//            block's sums grow in the order of the rounds, on any number of threads.
#include "kernels/cpu/checks.h"
#include "kernels/cpu/parallel.h"
#include "kernels/cpu/scratch.h"
#include "kernels/cpu/squared_distance.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;
using I = IntVec<kLanes>;

constexpr int kBlock = 64;
constexpr int kVectors = 2, kWidth = kVectors * kLanes;  // of the register tile
constexpr int kTile = tile_rows(kVectors);
using Size = TileSize<kLanes, kVectors>;
static_assert(kBlock % kWidth == 0);

// Rows, floats apart: whole tiles, and an odd number of cache lines, so that a column of rows takes every cache set.
constexpr int pitch_of(int d) {
  constexpr int kLine = 16;
  return (round_up(d, max(kWidth, kLine)) / kLine | 1) * kLine;
}

// What is known of all rows, blocks of kBlock; rows beyond n are 0.
struct Rows {
  int n, d, blocks, pitch;
  const float* e;  // as given
  float margin;
  float* mean;
  float* centred;     // e - mean, pitch floats apart
  float* transposed;  // the same, kWidth rows at a time as [d][kWidth]
  float* norms;       // |e - mean|^2
  std::int32_t* label;
  float* pull;                   // sum_j c_ij (e_j - mean), pitch floats apart
  float *loss, *active, *slope;  // sums over j

  Rows(int n, int d, Carver& carver) : n(n), d(d), blocks(divide_up(n, kBlock)), pitch(pitch_of(d)) {
    const std::size_t rows = static_cast<std::size_t>(blocks) * kBlock;
    mean = carver.take<float>(static_cast<std::size_t>(pitch));
    centred = carver.take<float>(rows * pitch);
    transposed = carver.take<float>(rows * d);
    norms = carver.take<float>(rows);
    label = carver.take<std::int32_t>(rows);
    pull = carver.take<float>(rows * pitch);
    loss = carver.take<float>(rows);
    active = carver.take<float>(rows);
    slope = carver.take<float>(rows);
  }
};

// Lane i: i.
GEMEL_INLINE I lane_indices() {
  I indices{};
  GEMEL_UNROLL for (int i = 0; i < kLanes; ++i) indices[i] = i;
  return indices;
}

GEMEL_INLINE I load_ints(const std::int32_t* p) {
  I v;
  __builtin_memcpy(&v, p, sizeof v);
  return v;
}

struct PairTerms {
  V loss, slope;
};

// As kernels/loss/contrastive.cu, for a vector of pairs. NaN must not read as "beyond the margin".
template <Contrastive Variant>
GEMEL_INLINE PairTerms pair_terms(I similar, float margin, V d2) {
  if constexpr (Variant == Contrastive::hadsell) {
    const V distance = square_roots<kLanes>(d2), inside = margin - distance;
    const V hinge = inside <= 0.0f ? V{} : inside;
    const V slope = distance == 0.0f ? V{} : -hinge / distance;
    return {0.5f * (similar ? d2 : hinge * hinge), similar ? broadcast(1.0f) : slope};
  } else {
    const I beyond = d2 >= margin;
    const V inside = beyond ? V{} : margin - d2;
    return {0.5f * (similar ? d2 : inside), similar ? broadcast(1.0f) : beyond ? V{} : broadcast(-1.0f)};
  }
}

// Sums over the pairs of one block with another: of a row, a vector to be added up, and of a column.
struct Sums {
  alignas(64) float row_loss[kBlock][kLanes], row_active[kBlock][kLanes], row_slope[kBlock][kLanes];
  alignas(64) float column_loss[kBlock], column_active[kBlock], column_slope[kBlock];
};

GEMEL_INLINE void add_to(float* sum, V v) { store(sum, load(sum) + v); }

// Rows [row, row + rows) of block I with the columns of one panel of block J, from their products: slopes
// [kBlock][kBlock] and sums. Edge: some of the pairs are a row with itself, or beyond n.
template <Contrastive Variant, bool Edge>
[[gnu::noinline]] void judge(const Rows& r, int block_i, int block_j, int row, int rows, int column, float* tile,
                             float* slopes, Sums& sums) {
  const int first_i = block_i * kBlock + row, first_j = block_j * kBlock + column;
  const bool unmeasured = from_products<Size>(rows, r.norms + first_i, r.norms + first_j, tile);
  for (int i = 0; i < rows; ++i, tile += kWidth) {
    if (Edge && first_i + i >= r.n) return;
    if (unmeasured) {
      measure_directly(r.d, r.e + std::ptrdiff_t{first_i + i} * r.d, r.e + std::ptrdiff_t{first_j} * r.d, r.d,
                       max(0, min(kWidth, r.n - first_j)), tile);
    }
    const I label = r.label[first_i + i] - I{};
    V loss_sum{}, active_sum{}, slope_sum{};
    GEMEL_UNROLL for (int j = 0; j < kVectors; ++j) {
      const int at = column + j * kLanes;
      const I similar = load_ints(r.label + first_j + j * kLanes) == label;
      PairTerms t = pair_terms<Variant>(similar, r.margin, load(tile + j * kLanes));
      if constexpr (Edge) {
        const I index = first_j + j * kLanes + lane_indices();
        const I counts = (index < r.n) & (index != first_i + i);
        t = {counts ? t.loss : V{}, counts ? t.slope : V{}};
      }
      const V active = t.loss != 0.0f ? broadcast(1.0f) : V{};
      store(slopes + (row + i) * kBlock + at, t.slope);
      add_to(sums.column_loss + at, t.loss);
      add_to(sums.column_active + at, active);
      add_to(sums.column_slope + at, t.slope);
      loss_sum += t.loss;
      active_sum += active;
      slope_sum += t.slope;
    }
    add_to(sums.row_loss[row + i], loss_sum);
    add_to(sums.row_active[row + i], active_sum);
    add_to(sums.row_slope[row + i], slope_sum);
  }
}

// out[Count rows][one panel] += S x, S the slopes of these rows with a block's rows x, or transposed.
template <int Count, bool Transposed>
[[gnu::noinline]] void add_pull(const float* slopes, const float* x, std::ptrdiff_t pitch, float* out) {
  V c[Count][kVectors];
  GEMEL_UNROLL for (int i = 0; i < Count; ++i) {
    GEMEL_UNROLL for (int j = 0; j < kVectors; ++j) c[i][j] = load(out + i * pitch + j * kLanes);
  }
  for (int k = 0; k < kBlock; ++k, x += pitch, slopes += Transposed ? kBlock : 1) {
    TileRow<Size> v;
    load_b<Size>(x, v);
    GEMEL_UNROLL for (int i = 0; i < Count; ++i) {
      const V s = broadcast(slopes[Transposed ? i : i * kBlock]);
      GEMEL_UNROLL for (int j = 0; j < kVectors; ++j) c[i][j] += s * v[j];
    }
  }
  GEMEL_UNROLL for (int i = 0; i < Count; ++i) {
    GEMEL_UNROLL for (int j = 0; j < kVectors; ++j) store(out + i * pitch + j * kLanes, c[i][j]);
  }
}

// The rows of block `to` are pulled by those of block `from`.
template <bool Transposed>
void pull_block(const Rows& r, const float* slopes, int to, int from) {
  constexpr int kRest = kBlock % kTile;
  constexpr int kStep = Transposed ? 1 : kBlock;
  for (int column = 0; column < r.d; column += kWidth) {
    const float* x = r.centred + std::ptrdiff_t{from} * kBlock * r.pitch + column;
    float* out = r.pull + std::ptrdiff_t{to} * kBlock * r.pitch + column;
    for (int row = 0; row + kTile <= kBlock; row += kTile) {
      add_pull<kTile, Transposed>(slopes + row * kStep, x, r.pitch, out + std::ptrdiff_t{row} * r.pitch);
    }
    if constexpr (kRest > 0) {
      constexpr int kRow = kBlock - kRest;
      add_pull<kRest, Transposed>(slopes + kRow * kStep, x, r.pitch, out + std::ptrdiff_t{kRow} * r.pitch);
    }
  }
}

template <Contrastive Variant, bool Edge>
void compare_blocks(const Rows& r, int block_i, int block_j, float* slopes) {
  Sums sums;
  __builtin_memset(&sums, 0, sizeof sums);
  if (Edge) __builtin_memset(slopes, 0, sizeof(float) * kBlock * kBlock);
  for (int column = 0; column < kBlock; column += kWidth) {
    const float* packed = r.transposed + std::ptrdiff_t{block_j * kBlock + column} * r.d;
    for (int row = 0; row < kBlock; row += kTile) {
      alignas(64) float tile[kTile * kWidth];
      const float* pointers[kTile];
      for (int i = 0; i < kTile; ++i) {
        pointers[i] = r.centred + std::ptrdiff_t{block_i * kBlock + min(row + i, kBlock - 1)} * r.pitch;
      }
      multiply_tile<Size>(pointers, r.d, packed, false, tile);
      judge<Variant, Edge>(r, block_i, block_j, row, min(kTile, kBlock - row), column, tile, slopes, sums);
    }
  }
  for (int i = 0; i < kBlock; ++i) {
    const int at = block_i * kBlock + i;
    r.loss[at] += sum_lanes(load(sums.row_loss[i]));
    r.active[at] += sum_lanes(load(sums.row_active[i]));
    r.slope[at] += sum_lanes(load(sums.row_slope[i]));
  }
  pull_block<false>(r, slopes, block_i, block_j);
  if (block_i == block_j) return;
  for (int j = 0; j < kBlock; j += kLanes) {
    const int at = block_j * kBlock + j;
    add_to(r.loss + at, load(sums.column_loss + j));
    add_to(r.active + at, load(sums.column_active + j));
    add_to(r.slope + at, load(sums.column_slope + j));
  }
  pull_block<true>(r, slopes, block_j, block_i);
}

// Mean over the rows of the columns [column, column + lanes).
void average(const Rows& r, int column, int lanes) {
  const V factor = broadcast(1.0f / static_cast<float>(r.n));
  V sum{};
  for (int i = 0; i < r.n; ++i) sum += factor * load_lanes(r.e + std::ptrdiff_t{i} * r.d + column, lanes);
  store_lanes(r.mean + column, sum, lanes);
}

void prepare_block(const Rows& r, const std::int32_t* labels, int block) {
  const int first = block * kBlock, rows = min(kBlock, r.n - first);
  float* centred = r.centred + std::ptrdiff_t{first} * r.pitch;
  const std::size_t bytes = sizeof(float) * kBlock * static_cast<std::size_t>(r.pitch);
  __builtin_memset(centred, 0, bytes);
  __builtin_memset(r.pull + std::ptrdiff_t{first} * r.pitch, 0, bytes);
  for (int i = 0; i < rows; ++i) {
    const float* row = r.e + std::ptrdiff_t{first + i} * r.d;
    float* out = centred + std::ptrdiff_t{i} * r.pitch;
    for_each_vector(static_cast<std::size_t>(r.d), [&](std::size_t k, int lanes) {
      store_lanes(out + k, load_lanes(row + k, lanes) - load_lanes(r.mean + k, lanes), lanes);
    });
  }
  squared_norms(kBlock, r.d, centred, r.pitch, r.norms + first);
  for (int row = 0; row < kBlock; row += kWidth) {
    const Panel panel{kLanes, kVectors, row, row + (kVectors - 1) * kLanes, kLanes};
    pack_transposed<Size>(panel, r.d, centred, r.pitch, r.transposed + std::ptrdiff_t{first + row} * r.d);
  }
  for (int i = 0; i < kBlock; ++i) {
    r.label[first + i] = i < rows ? labels[first + i] : 0;
    r.loss[first + i] = r.active[first + i] = r.slope[first + i] = 0;
  }
}

void finish_block(const Rows& r, int block, float* loss, float* active, float* de) {
  const int first = block * kBlock;
  const float others = static_cast<float>(r.n - 1), scale = 2.0f / (static_cast<float>(r.n) * others);
  for (int i = first; i < min(first + kBlock, r.n); ++i) {
    loss[i] = r.loss[i] / others;
    active[i] = r.active[i] / others;
    const float *row = r.centred + std::ptrdiff_t{i} * r.pitch, *pull = r.pull + std::ptrdiff_t{i} * r.pitch;
    const V slope = broadcast(r.slope[i]);
    for_each_vector(static_cast<std::size_t>(r.d), [&](std::size_t k, int lanes) {
      const V gradient = scale * (slope * load_lanes(row + k, lanes) - load_lanes(pull + k, lanes));
      store_lanes(de + std::ptrdiff_t{i} * r.d + k, gradient, lanes);
    });
  }
}

template <Contrastive Variant>
void compare_all(const Rows& r, float* slopes) {
  const auto compare = [&](int a, int b, int slot) {
    const int i = min(a, b), j = max(a, b);
    float* own = slopes + std::ptrdiff_t{slot} * kBlock * kBlock;
    if (i == j || (j + 1) * kBlock > r.n) return compare_blocks<Variant, true>(r, i, j, own);
    compare_blocks<Variant, false>(r, i, j, own);
  };
  parallel(r.blocks,
           [&](std::int64_t item, int slot) { compare(static_cast<int>(item), static_cast<int>(item), slot); });
  // In round t the last of an even number of players meets player t, and t + i meets t - i, modulo the others.
  const int players = round_up(r.blocks, 2), others = players - 1;
  for (int round = 0; r.blocks > 1 && round < others; ++round) {
    parallel(players / 2, [&](std::int64_t item, int slot) {
      const int i = static_cast<int>(item);
      const int a = i == 0 ? players - 1 : (round + i) % others, b = (round + others - i) % others;
      if (a < r.blocks && b < r.blocks) compare(a, b, slot);
    });
  }
}

}  // namespace

void contrastive_all(Queue queue, int n, int d, Contrastive variant, float margin, const float* e,
                     const std::int32_t* labels, float* loss, float* active, float* de) {
  if (n == 0) return;
  if (n == 1) {
    loss[0] = active[0] = 0;
    for (int k = 0; k < d; ++k) de[k] = 0;
    return;
  }
  Carver carver(queue.scratch.data);
  Rows r(n, d, carver);
  float* slopes = carver.take<float>(static_cast<std::size_t>(slots_for(r.blocks)) * kBlock * kBlock);
  require_scratch(queue, carver.used(), "contrastive_all");
  r.e = e;
  r.margin = margin;
  parallel(divide_up(d, kLanes), [&](std::int64_t item, int) {
    const int column = static_cast<int>(item) * kLanes;
    average(r, column, min(kLanes, d - column));
  });
  parallel(r.blocks, [&](std::int64_t item, int) { prepare_block(r, labels, static_cast<int>(item)); });
  if (variant == Contrastive::hadsell) {
    compare_all<Contrastive::hadsell>(r, slopes);
  } else {
    compare_all<Contrastive::caffe_legacy>(r, slopes);
  }
  parallel(r.blocks, [&](std::int64_t item, int) { finish_block(r, static_cast<int>(item), loss, active, de); });
}

std::size_t contrastive_all_scratch(int n, int d) {
  Carver carver(nullptr);
  const Rows r(n, d, carver);
  carver.take<float>(static_cast<std::size_t>(slots_for(r.blocks)) * kBlock * kBlock);
  return carver.used();
}

}  // namespace gemel::GEMEL_DEVICE
