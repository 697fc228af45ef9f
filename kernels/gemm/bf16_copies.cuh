// SPDX-License-Identifier: MIT
//
// Factors as BF16 in memory, for products on tensor cores. bf16_copies.cu has formulas and shapes.
#pragma once

#include <cstddef>

#include "kernels/gemm/operands.cuh"
#include "kernels/queue.h"

namespace gemel::GEMEL_DEVICE::gemm {

// Of a row of a copy: the next multiple of 8, so that every row is a whole number of 16-byte accesses.
constexpr int bf16_pitch(int columns) { return (columns + 7) / 8 * 8; }

// A matrix to copy. rows_to: rows of the copy, at least `rows`.
struct Bf16Source {
  const float* from;
  int rows, columns, rows_to;
};

// Of the copy.
inline std::size_t bf16_bytes(const Bf16Source& source) {
  const auto rows = static_cast<std::size_t>(source.rows_to);
  const std::size_t bytes = rows * static_cast<std::size_t>(bf16_pitch(source.columns)) * sizeof(Bf16);
  return (bytes + 255) / 256 * 256;  // what comes after it is aligned
}

// Both factors as BF16 at the front of the queue's scratch, of which `queue` keeps what is left.
struct Bf16Factors {
  const Bf16 *a, *b;

  Bf16Factors(Queue& queue, const Bf16Source& left, const Bf16Source& right);
};

}  // namespace gemel::GEMEL_DEVICE::gemm
