// SPDX-License-Identifier: MIT
//
// Affine, batch normalisation and PReLU for the CPU: the formulas and edge cases are in kernels/channels/.
//
// Replaces the executor's kernels: over 9216 x 128 affine_forward takes 0.7 ms instead of 5.4, batch_norm_forward 1.9
// instead of 57, batch_norm_backward 6.3 instead of 92, prelu_forward 0.8 instead of 20, prelu_backward 2.1 instead of 71
// (measured as dropout.cpp says).
//
// Traffic  as there; a chunk's second pass over its rows finds them in the second-level cache.
#include "kernels/cpu/channels.h"

namespace gemel::GEMEL_DEVICE {
namespace {

using V = Vec<kLanes>;

struct ChannelScratch {
  ChannelScratch(std::size_t m, int c, Carver& carver)
      : partial(carver.take<float>(partial_floats(RowChunks(m, c).count(), c))),
        means(carver.take<float>(2 * static_cast<std::size_t>(c))) {}
  float *partial, *means;  // means: what batch norm's backward subtracts, 2 x C
};

ChannelScratch take_scratch(const Queue& queue, std::size_t m, int c, const char* entry) {
  Carver carver(queue.scratch.data);
  const ChannelScratch scratch(m, c, carver);
  require_scratch(queue, carver.used(), entry);
  return scratch;
}

}  // namespace

std::size_t channel_scratch(std::size_t m, int c) {
  Carver carver(nullptr);
  const ChannelScratch scratch(m, c, carver);
  return carver.used();
}

// ---- affine
void affine_forward(Queue, std::size_t m, int c, const float* x, const float* scale, const float* shift, float* y) {
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    store_lanes(y + i, load_lanes(x + i, lanes) * load_lanes(scale + k, lanes) + load_lanes(shift + k, lanes), lanes);
  });
}

void affine_backward(Queue queue, std::size_t m, int c, const float* x, const float* scale, const float* dy, float* dx,
                     float* dscale, float* dshift) {
  if (m == 0) return;
  if (dscale != nullptr) {
    const auto add = [&](std::size_t i, std::size_t, int lanes, SumPair& sums) {
      const V g = load_lanes(dy + i, lanes);
      sums.a += g * load_lanes(x + i, lanes);
      sums.b += g;
    };
    sum_channels(m, c, take_scratch(queue, m, c, "affine_backward").partial, add, [&](int k, double a, double b) {
      dscale[k] += static_cast<float>(a);
      dshift[k] += static_cast<float>(b);
    });
  }
  if (dx == nullptr) return;
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    store_lanes(dx + i, load_lanes(dy + i, lanes) * load_lanes(scale + k, lanes), lanes);
  });
}

// ---- batch normalisation
void batch_norm_forward(Queue queue, std::size_t m, int c, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* y, float* mean, float* inverse_deviation,
                        float* running_mean, float* running_variance) {
  if (m == 0) return;
  float* const partial = take_scratch(queue, m, c, "batch_norm_forward").partial;
  const RowChunks chunks(m, c);
  for_each_chunk_pair(chunks, c, partial, [&](std::size_t begin, std::size_t end, std::size_t k, int lanes) {
    const V origin = load_lanes(x + begin * static_cast<std::size_t>(c) + k, lanes);
    const V differences = sum_rows(begin, end, c, k, lanes, [&](std::size_t i, int l, SumPair& sums) {
                            sums.a += load_lanes(x + i, l) - origin;
                          }).a;
    const V average = origin + differences / static_cast<float>(end - begin);
    const V squares = sum_rows(begin, end, c, k, lanes, [&](std::size_t i, int l, SumPair& sums) {
                        const V deviation = load_lanes(x + i, l) - average;
                        sums.a += deviation * deviation;
                      }).a;
    return SumPair{average, squares};
  });
  const double count = static_cast<double>(m);
  for (int k = 0; k < c; ++k) {
    const auto rows = [&](std::int64_t chunk) { return static_cast<double>(chunks.end(chunk) - chunks.begin(chunk)); };
    double sum = 0, squares = 0;
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      sum += rows(chunk) * partial[partial_floats(chunk, c) + k];
    }
    const double average = sum / count;
    for (std::int64_t chunk = 0; chunk < chunks.count(); ++chunk) {
      const float* from = partial + partial_floats(chunk, c) + k;
      const double shift = from[0] - average;
      squares += from[c] + rows(chunk) * shift * shift;
    }
    mean[k] = static_cast<float>(average);
    inverse_deviation[k] = static_cast<float>(1 / __builtin_sqrt(squares / count + double{params.epsilon}));
    const float unbiased = static_cast<float>(m > 1 ? squares / (count - 1) : 0.0);
    running_mean[k] += params.momentum * (mean[k] - running_mean[k]);
    running_variance[k] += params.momentum * (unbiased - running_variance[k]);
  }
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    const V factor = load_lanes(gamma + k, lanes) * load_lanes(inverse_deviation + k, lanes);
    const V deviation = load_lanes(x + i, lanes) - load_lanes(mean + k, lanes);
    store_lanes(y + i, deviation * factor + load_lanes(beta + k, lanes), lanes);
  });
}

void batch_norm_backward(Queue queue, std::size_t m, int c, const float* x, const float* gamma, const float* mean,
                         const float* inverse_deviation, const float* dy, float* dx, float* dgamma, float* dbeta) {
  if (m == 0) return;
  const ChannelScratch scratch = take_scratch(queue, m, c, "batch_norm_backward");
  float *const mean_a = scratch.means, *const mean_b = mean_a + c;
  const auto xhat = [&](std::size_t i, std::size_t k, int lanes) {
    return (load_lanes(x + i, lanes) - load_lanes(mean + k, lanes)) * load_lanes(inverse_deviation + k, lanes);
  };
  const auto add = [&](std::size_t i, std::size_t k, int lanes, SumPair& sums) {
    const V g = load_lanes(dy + i, lanes);
    sums.a += g;
    sums.b += g * xhat(i, k, lanes);
  };
  sum_channels(m, c, scratch.partial, add, [&](int k, double a, double b) {
    mean_a[k] = static_cast<float>(a / static_cast<double>(m));
    mean_b[k] = static_cast<float>(b / static_cast<double>(m));
    dgamma[k] += static_cast<float>(b);
    dbeta[k] += static_cast<float>(a);
  });
  if (dx == nullptr) return;
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    const V factor = load_lanes(gamma + k, lanes) * load_lanes(inverse_deviation + k, lanes);
    const V across =
        load_lanes(dy + i, lanes) - load_lanes(mean_a + k, lanes) - xhat(i, k, lanes) * load_lanes(mean_b + k, lanes);
    store_lanes(dx + i, factor * across, lanes);
  });
}

// ---- PReLU
void prelu_forward(Queue, std::size_t m, int c, const float* x, const float* slope, float* y) {
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    const V v = load_lanes(x + i, lanes);
    store_lanes(y + i, v > V{} ? v : load_lanes(slope + k, lanes) * v, lanes);
  });
}

void prelu_backward(Queue queue, std::size_t m, int c, const float* x, const float* slope, const float* dy, float* dx,
                    float* dslope) {
  if (m == 0) return;
  if (dslope != nullptr) {
    const auto add = [&](std::size_t i, std::size_t, int lanes, SumPair& sums) {
      const V v = load_lanes(x + i, lanes);
      sums.a += v > V{} ? V{} : load_lanes(dy + i, lanes) * v;
    };
    sum_channels(m, c, take_scratch(queue, m, c, "prelu_backward").partial, add,
                 [&](int k, double a, double) { dslope[k] += static_cast<float>(a); });
  }
  if (dx == nullptr) return;
  for_each_channel_vector(m, c, [&](std::size_t i, std::size_t k, int lanes) {
    const V g = load_lanes(dy + i, lanes);
    store_lanes(dx + i, load_lanes(x + i, lanes) > V{} ? g : load_lanes(slope + k, lanes) * g, lanes);
  });
}

}  // namespace gemel::GEMEL_DEVICE
