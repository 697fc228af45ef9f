// SPDX-License-Identifier: MIT
//
// Batch normalisation (Ioffe & Szegedy 2015, algorithm 1, and the gradients of section 3).
//
//   forward    mean = sum x / M     variance = sum (x - mean)^2 / M     y = gamma (x - mean) inverse + beta,
//              inverse = 1 / sqrt(variance + epsilon); the running averages move by `momentum` towards mean and
//              sum (x - mean)^2 / (M - 1)
//   backward   dbeta += sum dy     dgamma += sum dy xhat, xhat = (x - mean) inverse
//              dx = gamma inverse (dy - (sum dy + xhat sum dy xhat) / M), the sums of this batch alone
//   fold       scale = gamma / sqrt(running_variance + epsilon)     shift = beta - running_mean scale
//
// Shapes     x, y, dy, dx (M,C); all others (C).
// Mapping    kernels/channels/channels.cuh. The statistics of a slice are taken in two passes over it, the second of
//            which finds it in the second-level cache.
// Shared     forward: 8 x 32 floats, 3 barriers.
// Traffic    forward 16 bytes an element, backward 20: bound by memory.
// Numerics   a slice's mean is that of the differences from its first row, its squares are taken about that mean, and
//            slices are merged in double by the parallel formula of Chan, Golub, LeVeque 1983: no difference of two
//            large sums, so channels far from 0 keep their variance.
// Edges      M = 1: variance 0, y = beta, dx = 0, and the running variance moves towards 0. M = 0 changes nothing.
//            y may be x (not where backward follows), dx may be dy.
#include <cmath>

#include "kernels/channels/channels.cuh"

namespace gemel::GEMEL_DEVICE {
namespace {

using namespace channels;

// Sum of `value` over the block's warps, lane by lane, in ascending order; every warp gets it.
__device__ __forceinline__ float sum_of_warps(float (&of_warps)[kWarps][kLanes], int warp, int lane, float value) {
  of_warps[warp][lane] = value;
  __syncthreads();
  float sum = 0;
  for (int w = 0; w < kWarps; ++w) sum += of_warps[w][lane];
  return sum;
}

// partial: `a` the mean of the slice, `b` the sum of squares about it.
__global__ void __launch_bounds__(kThreads)
    statistics_kernel(std::size_t m, int c, const float* __restrict__ x, float* __restrict__ partial) {
  SIMT_SHARED(float, of_warps, [kWarps][kLanes]);
  const int lane = threadIdx.x % kLanes, warp = threadIdx.x / kLanes;
  const int channel = static_cast<int>(blockIdx.y) * kLanes + lane;
  const Rows rows = rows_of(m, blockIdx.x, gridDim.x);
  const bool works = channel < c && rows.begin < rows.end;
  const float origin = works ? x[rows.begin * c + channel] : 0.0f;
  float differences = 0;
  if (works) {
    for (std::size_t row = rows.begin + warp; row < rows.end; row += kWarps) {
      differences += x[row * c + channel] - origin;
    }
  }
  const float sum = sum_of_warps(of_warps, warp, lane, differences);
  const float mean = works ? origin + sum / static_cast<float>(rows.end - rows.begin) : 0.0f;
  float squares = 0;
  if (works) {
    for (std::size_t row = rows.begin + warp; row < rows.end; row += kWarps) {
      const float deviation = x[row * c + channel] - mean;
      squares += deviation * deviation;
    }
  }
  __syncthreads();  // the first sums have been read
  const float total = sum_of_warps(of_warps, warp, lane, squares);
  if (warp == 0 && channel < c) {
    partial[std::size_t{2} * blockIdx.x * c + channel] = mean;
    partial[(std::size_t{2} * blockIdx.x + 1) * c + channel] = total;
  }
}
SIMT_CONTRACT(statistics_kernel, .loads = 2.2);

struct Statistics {
  float *mean, *inverse_deviation, *running_mean, *running_variance;
};

__global__ void merge_kernel(int slices, std::size_t m, int c, BatchNormParams params,
                             const float* __restrict__ partial, Statistics out) {
  const int channel = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (channel >= c) return;
  const double count = static_cast<double>(m);
  double sum = 0;
  for (int slice = 0; slice < slices; ++slice) {
    const Rows rows = rows_of(m, slice, slices);
    sum += static_cast<double>(rows.end - rows.begin) * partial[std::size_t{2} * slice * c + channel];
  }
  const double mean = sum / count;
  double squares = 0;
  for (int slice = 0; slice < slices; ++slice) {
    const Rows rows = rows_of(m, slice, slices);
    const float* from = partial + std::size_t{2} * slice * c + channel;
    const double shift = from[0] - mean;
    squares += from[c] + static_cast<double>(rows.end - rows.begin) * shift * shift;
  }
  out.mean[channel] = static_cast<float>(mean);
  out.inverse_deviation[channel] = static_cast<float>(1 / sqrt(squares / count + double{params.epsilon}));
  const float unbiased = static_cast<float>(m > 1 ? squares / (count - 1) : 0.0);
  out.running_mean[channel] += params.momentum * (static_cast<float>(mean) - out.running_mean[channel]);
  out.running_variance[channel] += params.momentum * (unbiased - out.running_variance[channel]);
}
SIMT_CONTRACT(merge_kernel, .loads = 1.55);

struct Normalize {
  const float *x, *gamma, *beta, *mean, *inverse;
  float* y;
  __device__ __forceinline__ void apply(std::size_t i, int c) const {
    y[i] = (x[i] - mean[c]) * (gamma[c] * inverse[c]) + beta[c];
  }
};

struct Terms {
  const float *x, *dy, *mean, *inverse;
  __device__ __forceinline__ void add(std::size_t i, int c, float& a, float& b) const {
    a += dy[i];
    b += dy[i] * ((x[i] - mean[c]) * inverse[c]);
  }
};

// Leaves the batch's sums over M for dx, and adds the sums to the parameters' gradients.
struct Totals {
  double m;
  float *mean_a, *mean_b, *dgamma, *dbeta;
  __device__ __forceinline__ void put(int c, double a, double b) const {
    mean_a[c] = static_cast<float>(a / m);
    mean_b[c] = static_cast<float>(b / m);
    dgamma[c] += static_cast<float>(b);
    dbeta[c] += static_cast<float>(a);
  }
};

struct InputGradient {
  const float *x, *dy, *gamma, *mean, *inverse, *mean_a, *mean_b;
  float* dx;
  __device__ __forceinline__ void apply(std::size_t i, int c) const {
    const float xhat = (x[i] - mean[c]) * inverse[c];
    dx[i] = gamma[c] * inverse[c] * (dy[i] - mean_a[c] - xhat * mean_b[c]);
  }
};

__global__ void fold_kernel(int c, float epsilon, const float* gamma, const float* beta, const float* running_mean,
                            const float* running_variance, float* scale, float* shift) {
  const int i = static_cast<int>(blockIdx.x * kThreads + threadIdx.x);
  if (i >= c) return;
  const float factor = gamma[i] / sqrtf(running_variance[i] + epsilon);
  scale[i] = factor;
  shift[i] = beta[i] - running_mean[i] * factor;
}
SIMT_CONTRACT(fold_kernel);

}  // namespace

void batch_norm_forward(Queue queue, std::size_t m, int c, const BatchNormParams& params, const float* x,
                        const float* gamma, const float* beta, float* y, float* mean, float* inverse_deviation,
                        float* running_mean, float* running_variance) {
  if (m == 0) return;
  float* partial = gemm::scratch_floats(queue, channel_scratch(m, c));
  launch<statistics_kernel>(slice_grid(queue, m, c), m, c, x, partial);
  launch_flat<merge_kernel>(channel_grid(queue, c), slices(m), m, c, params, partial,
                            Statistics{mean, inverse_deviation, running_mean, running_variance});
  map(queue, m, c, Normalize{x, gamma, beta, mean, inverse_deviation, y});
}

void batch_norm_backward(Queue queue, std::size_t m, int c, const float* x, const float* gamma, const float* mean,
                         const float* inverse_deviation, const float* dy, float* dx, float* dgamma, float* dbeta) {
  if (m == 0) return;
  float* means = gemm::scratch_floats(queue, channel_scratch(m, c)) + partial_floats(m, c);  // 2 x C
  sums(queue, m, c, Terms{x, dy, mean, inverse_deviation},
       Totals{static_cast<double>(m), means, means + c, dgamma, dbeta});
  if (dx != nullptr) {
    map(queue, m, c, InputGradient{x, dy, gamma, mean, inverse_deviation, means, means + c, dx});
  }
}

void batch_norm_fold(Queue queue, int c, float epsilon, const float* gamma, const float* beta,
                     const float* running_mean, const float* running_variance, float* scale, float* shift) {
  launch_flat<fold_kernel>(channel_grid(queue, c), c, epsilon, gamma, beta, running_mean, running_variance, scale,
                           shift);
}

}  // namespace gemel::GEMEL_DEVICE
