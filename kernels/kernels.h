// SPDX-License-Identifier: MIT
//
// Everything a device can compute: `struct Kernels`, one table of function pointers a device.
//
// Conventions, for every entry:
//   memory     pointers are device memory, f32 row-major contiguous unless the type says otherwise; activations NHWC,
//              filters KRSC; buffers are 16-byte aligned at least. Outputs never alias inputs unless an entry says so.
//   gradients  input gradients (dx) are overwritten, parameter gradients (dw, db) are accumulated into.
//   order      work is queued on `queue.stream`; entries never allocate, never synchronise. Results are bit-identical
//              from run to run and, per row or image, do not depend on the batch size.
//   sizes      0 rows launch nothing. Shapes are checked by the layers; a launch that cannot be made throws
//              LaunchError.
//   scratch    an entry that needs temporary memory has a `*_scratch` twin that tells the bytes; the caller leaves at
//              least that in `queue.scratch` (256-byte aligned, contents undefined before and after).
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/queue.h"

namespace gemel {

// Output length of a sliding window (convolution arithmetic, Dumoulin & Visin 2016, relationship 6).
constexpr int window_count(int size, int window, int stride, int padding) {
  return (size + 2 * padding - window) / stride + 1;
}

// y(N,P,Q,K) = x(N,H,W,C) * w(K,R,S,C), a cross-correlation as in every deep-learning library.
struct Conv2dShape {
  int n, h, w, c;  // input
  int k, r, s;     // filters
  int stride_h = 1, stride_w = 1, pad_h = 0, pad_w = 0;
  constexpr int p() const { return window_count(h, r, stride_h, pad_h); }
  constexpr int q() const { return window_count(w, s, stride_w, pad_w); }
};

// A convolution and what follows it, computed in one pass over the image: y = pool(relu(conv(x) + bias)), each of the
// two optional. The pool is the maximum of 2x2 windows, stride 2; a last odd row or column of the convolution is
// dropped, as by a maxpool layer.
struct ConvBlock {
  Conv2dShape conv;
  bool relu = false, pool = false;
  constexpr int out_h() const { return pool ? conv.p() / 2 : conv.p(); }
  constexpr int out_w() const { return pool ? conv.q() / 2 : conv.q(); }
};

// Windows of r x s over x(N,H,W,C) -> y(N,P,Q,C). With `ceil_mode` a last, partly covered window counts, if it starts
// inside the image or its leading padding (Caffe, and DeepFace's 142 -> 71).
struct Pool2dShape {
  int n, h, w, c;
  int r, s;
  int stride_h, stride_w, pad_h = 0, pad_w = 0;
  bool ceil_mode = false;
  constexpr int p() const { return count(h, r, stride_h, pad_h); }
  constexpr int q() const { return count(w, s, stride_w, pad_w); }

 private:
  constexpr int count(int size, int window, int stride, int pad) const {
    if (!ceil_mode) return window_count(size, window, stride, pad);
    int n_windows = (size + 2 * pad - window + stride - 1) / stride + 1;
    if ((n_windows - 1) * stride >= size + pad) --n_windows;
    return n_windows;
  }
};

// y(N,Out) = x(N,In) w(Out,In)^T + b(Out).
struct LinearShape {
  int n, in, out;
};

enum class Activation : std::uint8_t { none, relu, sigmoid };

// Average pooling divides by r*s always, or by the taps that lie inside the image.
enum class PadCount : std::uint8_t { include, exclude };

// Contrastive losses over n pairs, d = ||a - b||, y = 1 for the same identity. Per pair:
//   hadsell       y d^2/2 + (1-y) max(0, m - d)^2 / 2                  Hadsell, Chopra, LeCun 2006, eq. 4
//   caffe         the same function; the name people know from Caffe's ContrastiveLoss (legacy_version: false)
//   caffe_legacy  y d^2/2 + (1-y) max(0, m - d^2) / 2                  Caffe, legacy_version: true: margin on d^2
// The loss is their mean over the pairs. The gradient at d = 0 is 0 for dissimilar pairs (a sub-gradient).
enum class Contrastive : std::uint8_t { hadsell, caffe_legacy };

inline constexpr int kMostNearest = 128;

enum class Mining : std::uint8_t {
  all,        // every (anchor, positive, negative)
  semi_hard,  // per (a, p): the nearest negative farther than p; if there is none, the farthest negative (FaceNet 2015,
              // sec. 3.2)
  batch_hard  // per anchor: farthest positive, nearest negative (Hermans, Beyer, Leibe 2017, eq. 5)
};

// Triplet losses over a batch of rows with labels, from their squared distances.
struct TripletParams {
  float margin = 0.2f;
  Mining mining = Mining::semi_hard;
  bool squared = true;       // margin between d^2 (FaceNet) or between d (Hermans)
  bool soft_margin = false;  // ln(1 + exp(.)) instead of max(0, margin + .)
};

// Learning rate at step t (0-based): linear warm-up over `warmup` steps, then the decay over the rest up to `total`
// steps.
struct Schedule {
  enum class Kind : std::uint8_t { constant, cosine, linear, step, inverse } kind = Kind::constant;
  float base = 1e-3f;
  int warmup = 0, total = 0;
  float floor = 0;                     // lowest rate of cosine and linear
  int every = 0;                       // step: rate *= gamma every `every` steps
  float gamma = 1e-4f, power = 0.75f;  // inverse: base (1 + gamma t)^-power (Caffe's "inv")
};

// Where a training run stands, on the device, so that a captured step needs no host.
struct StepState {
  float learning_rate;  // of the current step
  float loss_sum;       // of the steps since the host last read and zeroed it
  float active_sum;     // share of pairs or triplets with a non-zero loss, summed likewise
  std::int32_t steps;   // summed into loss_sum
  std::int32_t step;    // 0-based
  std::int32_t cursor;  // batch to take next from the uploaded plan of batches
};

struct SgdParams {
  float momentum = 0.9f, weight_decay = 0;
  bool nesterov = false;
};
struct AdamParams {
  float beta1 = 0.9f, beta2 = 0.999f, epsilon = 1e-8f;
  float weight_decay = 0;  // decoupled (AdamW, Loshchilov & Hutter 2019)
};

// Bytes -> normalised floats: y = (x / 255 - mean[c]) / deviation[c].
struct ImageShape {
  int n, h, w, c;  // c: 1..4
  float mean[4] = {0, 0, 0, 0};
  float deviation[4] = {1, 1, 1, 1};
};

struct Kernels {
  const char* name;

  // ---- convolution. bias, db may be null.
  std::size_t (*conv2d_scratch)(const Conv2dShape&);  // enough for each of the three passes
  void (*conv2d_fprop)(Queue, const Conv2dShape&, const float* x, const float* w, const float* bias, float* y);
  void (*conv2d_dgrad)(Queue, const Conv2dShape&, const float* dy, const float* w, float* dx);
  void (*conv2d_wgrad)(Queue, const Conv2dShape&, const float* x, const float* dy, float* dw, float* db);

  // ---- convolution with ReLU and 2x2 max-pool. bias, db, dx may be null. y: (N,out_h,out_w,K); argmax, of the same
  // shape: the tap 2r + s of the first maximum of the window's sums before the ReLU (NaN is a maximum); null without
  // pool. Backward reads the y and argmax that forward left: no gradient passes where y <= 0 under a ReLU.
  std::size_t (*conv_block_scratch)(const ConvBlock&);  // enough for both passes and for packing
  void (*conv_block_forward)(Queue, const ConvBlock&, const float* x, const float* w, const void* packed,
                             const float* bias, float* y, std::uint8_t* argmax);
  void (*conv_block_backward)(Queue, const ConvBlock&, const float* x, const float* w, const float* y,
                              const std::uint8_t* argmax, const float* dy, float* dx, float* dw, float* db);

  // Filters in the form that forward works on, for networks that do not change from call to call: pack writes
  // conv_block_packed_bytes bytes, of which forward is given the address; else it is given null, and packs w itself. 0
  // bytes: this device works on w as it is. Neither form nor size depends on n.
  std::size_t (*conv_block_packed_bytes)(const ConvBlock&);
  void (*conv_block_pack)(Queue, const ConvBlock&, const float* w, void* packed);

  // ---- fully connected. bias, db may be null; packed as for conv_block_forward.
  std::size_t (*linear_scratch)(const LinearShape&);
  std::size_t (*linear_packed_bytes)(const LinearShape&);
  void (*linear_pack)(Queue, const LinearShape&, const float* w, void* packed);
  void (*linear_fprop)(Queue, const LinearShape&, const float* x, const float* w, const void* packed, const float* bias,
                       float* y);
  void (*linear_dgrad)(Queue, const LinearShape&, const float* dy, const float* w, float* dx);
  void (*linear_wgrad)(Queue, const LinearShape&, const float* x, const float* dy, float* dw, float* db);

  // ---- pooling. argmax: (N,P,Q,C), the tap r*S + s of the first maximum; windows have at most 256 taps. NaN is a
  // maximum.
  void (*maxpool2d_forward)(Queue, const Pool2dShape&, const float* x, float* y, std::uint8_t* argmax);
  void (*maxpool2d_backward)(Queue, const Pool2dShape&, const float* dy, const std::uint8_t* argmax, float* dx);
  void (*avgpool2d_forward)(Queue, const Pool2dShape&, PadCount, const float* x, float* y);
  void (*avgpool2d_backward)(Queue, const Pool2dShape&, PadCount, const float* dy, float* dx);

  // ---- element-wise over `count` floats; y may alias x, dx may alias dy. Both gradients are computed from the output
  // y.
  void (*activation_forward)(Queue, Activation, std::size_t count, const float* x, float* y);
  void (*activation_backward)(Queue, Activation, std::size_t count, const float* y, const float* dy, float* dx);

  // ---- rows of (N,D): y = x / max(||x||, epsilon); inverse_norm (N) is what backward needs.
  void (*l2_normalize_forward)(Queue, int n, int d, float epsilon, const float* x, float* y, float* inverse_norm);
  void (*l2_normalize_backward)(Queue, int n, int d, const float* y, const float* inverse_norm, const float* dy,
                                float* dx);

  // ---- distances. Self-distances are exactly 0.
  // Row i of a with row i of b: distance (N). By direct differences.
  void (*paired_distance)(Queue, int n, int d, const float* a, const float* b, float* distance);
  // All pairs: (N,M), squared or not. No distance suffers from cancellation: each is within (1.25 D + 16) 2^-21 of the
  // true one, relatively. Symmetric to the bit.
  void (*pairwise_distance)(Queue, int n, int m, int d, const float* a, const float* b, bool squared, float* distance);
  // The k nearest of the m rows of b to each of the n rows of a, 1 <= k <= min(m, kMostNearest): distance and index
  // (n,k), nearest first, equal distances by ascending index. The (n,m) matrix is never written.
  std::size_t (*nearest_scratch)(int n, int m, int d, int k);
  void (*nearest)(Queue, int n, int m, int d, int k, const float* a, const float* b, bool squared, float* distance,
                  std::int32_t* index);

  // ---- losses. Rows i and i + n of e (2n,D) are a pair, of the same identity where their labels (2n) are equal.
  // One kernel: distance (n), loss (n, per pair), active (n: 1 where the loss is not 0) and de (2n,D), scaled by 1/n.
  void (*contrastive)(Queue, int n, int d, Contrastive, float margin, const float* e, const std::int32_t* labels,
                      float* distance, float* loss, float* active, float* de);
  // The same loss over all pairs of the rows of e (n,D), same identity where labels (n) are equal; nothing of size
  // (n,n) is written. loss (n): row i's mean over all j != i; active (n): the share of them whose loss is not 0; de
  // (n,D): the gradient of the mean of `loss`. One row: all 0.
  std::size_t (*contrastive_all_scratch)(int n, int d);
  void (*contrastive_all)(Queue, int n, int d, Contrastive, float margin, const float* e, const std::int32_t* labels,
                          float* loss, float* active, float* de);
  // From squared distances (n,n) and labels (n): coefficients g (n,n) = dL/d(d2), row a holding anchor a's terms,
  // unscaled, and per anchor the sum of losses, the number of triplets and the number of those with a non-zero loss (n
  // each). With Mining::all the mean is over active triplets, else over all mined ones: `count` holds the number to
  // divide by.
  void (*triplet)(Queue, int n, const TripletParams&, const float* distance2, const std::int32_t* labels, float* g,
                  float* loss, float* count, float* active);
  // de (n,D): de_i = scale * sum_j (g_ij + g_ji) 2 (e_i - e_j); scale is one float in device memory.
  void (*pairwise_backward)(Queue, int n, int d, const float* e, const float* g, const float* scale, float* de);
  // Adds mean loss sum(loss)/sum(count) and the active share sum(active)/sum(total) to `state`, in a fixed order, and
  // leaves 1/sum(count) (0 if that is 0) in *scale. count null: n; scale may be null.
  void (*loss_reduce)(Queue, int n, const float* loss, const float* count, const float* active, StepState* state,
                      float* scale);

  // ---- optimizer, over the flat parameter block of `count` floats; the gradient is zeroed for the next step.
  void (*sgd)(Queue, std::size_t count, const SgdParams&, const StepState*, float* value, float* gradient,
              float* momentum);
  void (*adam)(Queue, std::size_t count, const AdamParams&, const StepState*, float* value, float* gradient, float* m,
               float* v);
  // Starts step `state->step`: writes its learning rate. Ends it: advances step and cursor.
  void (*begin_step)(Queue, const Schedule&, StepState*);
  void (*end_step)(Queue, StepState*);

  // ---- images. index null: rows 0..n-1. Else row i is index[cursor * n + i] of the data set (cursor null: 0).
  void (*image_to_float)(Queue, const ImageShape&, const std::uint8_t* images, const std::int32_t* index,
                         const std::int32_t* cursor, float* y);
  void (*gather_labels)(Queue, int n, const std::int32_t* labels, const std::int32_t* index, const std::int32_t* cursor,
                        std::int32_t* y);
};

namespace simt {
const Kernels& kernels();
}
namespace cpu {
const Kernels& kernels();
}
namespace cuda {
const Kernels& kernels();
}

}  // namespace gemel
