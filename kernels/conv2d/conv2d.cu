// SPDX-License-Identifier: MIT
//
// conv2d, as the table has it: which rung computes a shape in the queue's arithmetic.
#include <algorithm>

#include "kernels/conv2d/first_layer.cuh"
#include "kernels/conv2d/implicit_gemm.h"
#include "kernels/conv2d/passes.cuh"
#include "kernels/conv2d/rung_of.h"
#include "kernels/conv2d/rungs.h"

namespace gemel::GEMEL_DEVICE {

// Enough for every rung from 02 on.
std::size_t conv2d_scratch(const Conv2dShape& s) {
  return std::max({conv2d_passes::scratch(s), first_layer::scratch(s), Conv2dBf16Rung::passes_scratch(s)});
}

void conv2d_fprop(Queue queue, const Conv2dShape& s, const float* x, const float* w, const float* bias, float* y) {
  conv2d_rung_for(queue.math, s).fprop(queue, s, x, w, bias, y);
}

void conv2d_dgrad(Queue queue, const Conv2dShape& s, const float* dy, const float* w, float* dx) {
  conv2d_rung_for(queue.math, s).dgrad(queue, s, dy, w, dx);
}

void conv2d_wgrad(Queue queue, const Conv2dShape& s, const float* x, const float* dy, float* dw, float* db) {
  conv2d_rung_for(queue.math, s).wgrad(queue, s, x, dy, dw, db);
}

}  // namespace gemel::GEMEL_DEVICE
