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

// Batch normalisation's numbers. The running averages move by `momentum` towards a batch's mean and unbiased variance.
struct BatchNormParams {
  float epsilon = 1e-5f, momentum = 0.1f;
};

// y (N,H,W,C) = main (N,main_h,main_w,main_c) + skip (N,skip_h,skip_w,skip_c). Each side of y is the larger of the two;
// what an operand lacks counts as 0 (dlib's add_prev).
struct ResidualShape {
  int n;
  int main_h, main_w, main_c;
  int skip_h, skip_w, skip_c;
  constexpr int h() const { return main_h > skip_h ? main_h : skip_h; }
  constexpr int w() const { return main_w > skip_w ? main_w : skip_w; }
  constexpr int c() const { return main_c > skip_c ? main_c : skip_c; }
};

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

// Losses over all pairs of a batch from similarities s (cosines, or dot products). P(i): the other rows of i's label,
// A(i): all other rows, N(i) = A(i) - P(i). Rows whose P(i) is empty do not count.
//   nt_xent           per i and p in P(i): -log(e^{s_ip/t} / (e^{s_ip/t} + sum_{n in N(i)} e^{s_in/t})), the mean over
//                     all (i, p)                       Sohn 2016 eq. 6 (N-pair: dot products, t = 1), Chen et al. 2020
//                                                      (cosines)
//   supcon            per i: -1/|P(i)| sum_{p in P(i)} log(e^{s_ip/t} / sum_{a in A(i)} e^{s_ia/t})
//                                                      Khosla et al. 2020, eq. 2
//   multi_similarity  per i: log(1 + sum_{p in P'(i)} e^{-alpha (s_ip - lambda)}) / alpha
//                          + log(1 + sum_{n in N'(i)} e^{beta (s_in - lambda)}) / beta, where P' holds the positives
//                     with s_ip - epsilon < max_N s_in and N' the negatives with s_in + epsilon > min_P s_ip; rows
//                     without negatives do not count       Wang et al. 2019, eqs. 10 to 15
enum class Similarity : std::uint8_t { nt_xent, supcon, multi_similarity };
struct SimilarityParams {
  Similarity kind = Similarity::nt_xent;
  float temperature = 0.1f;
  float alpha = 2, beta = 50, lambda = 0.5f, epsilon = 0.1f;
};

// Softmax cross-entropy on logits z_j = scale * s_j, for the true class y of
//   none     scale * s_y
//   arcface  scale * cos(theta_y + margin), s_y = cos theta_y; past pi: scale * (s_y - margin sin(margin))
//            Deng et al. 2019, eq. 3
//   cosface  scale * (s_y - margin)                    Wang et al. 2018, eq. 4
enum class SoftmaxMargin : std::uint8_t { none, arcface, cosface };
struct SoftmaxParams {
  SoftmaxMargin kind = SoftmaxMargin::none;
  float scale = 1, margin = 0;
};

// Distances with a learnt weight w_i a dimension: sum_i w_i t(a_i, b_i).
//   l1    t = |a - b|                                  Koch, Zemel, Salakhutdinov 2015, sec. 3.1
//   chi2  t = (a - b)^2 / (|a| + |b|), 0 where a = b = 0   Taigman et al. 2014, sec. 4.1 (features that are not negative)
enum class Weighted : std::uint8_t { l1, chi2 };

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

// What happens to each picture of a batch before it is normalised: an affine map about its centre, mirroring, changes of
// light, noise; drawn anew for every row of every step. Numbers are uniform in their ranges; each number of the affine
// map (one angle, two shears, two scales, two shifts) is drawn with `probability`, else it changes nothing.
struct Augmentation {
  float rotate = 0;                     // degrees to either side
  float shear = 0;                      // to either side, along x and along y: (x, y) -> (x + a y, y + b x)
  float scale_low = 1, scale_high = 1;  // above 0
  bool one_scale = true;                // both axes by the same factor
  float shift = 0;                      // pixels to either side, along x and along y
  float probability = 1;
  float flip = 0;                      // probability of mirroring left and right
  float brightness = 0, contrast = 0;  // v = pixel / 255 -> (v - 0.5) (1 + U(contrast)) + 0.5 + U(brightness), U(a) in
                                       // [-a, a); then clamped to [0, 1]
  float noise = 0;                     // deviation of the normal noise added to v before clamping
  constexpr bool any() const {
    return rotate != 0 || shear != 0 || scale_low != 1 || scale_high != 1 || shift != 0 || flip != 0 ||
           brightness != 0 || contrast != 0 || noise != 0;
  }
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

  // ---- locally connected: a convolution whose filters are each place's own. w, dw (P,Q,K,R,S,C); bias, db (P,Q,K) may
  // be null.
  std::size_t (*local2d_scratch)(const Conv2dShape&);  // enough for each of the three passes
  void (*local2d_fprop)(Queue, const Conv2dShape&, const float* x, const float* w, const float* bias, float* y);
  void (*local2d_dgrad)(Queue, const Conv2dShape&, const float* dy, const float* w, float* dx);
  void (*local2d_wgrad)(Queue, const Conv2dShape&, const float* x, const float* dy, float* dw, float* db);

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

  // Dropout (Srivastava et al. 2014), forward and, on dy, backward: each element is 0 with probability `rate`, else
  // x / (1 - rate). Element i of step t is decided by Philox (key: seed, counter: (i / 4, t), stream) alone. step null:
  // step 0. y may alias x; count <= 2^34.
  void (*dropout)(Queue, std::size_t count, float rate, std::uint64_t seed, std::uint32_t stream, const StepState* step,
                  const float* x, float* y);

  // ---- per channel, over M rows of C (M = N*H*W). y may alias x, dx may alias dy, unless backward reads x.
  // y = x * scale[c] + shift[c]. dx, or dscale and dshift together, may be null.
  std::size_t (*channel_scratch)(std::size_t m, int c);  // enough for each backward below and batch_norm_forward
  void (*affine_forward)(Queue, std::size_t m, int c, const float* x, const float* scale, const float* shift, float* y);
  void (*affine_backward)(Queue, std::size_t m, int c, const float* x, const float* scale, const float* dy, float* dx,
                          float* dscale, float* dshift);
  // y = gamma (x - mean) / sqrt(variance + epsilon) + beta over the batch (Ioffe & Szegedy 2015, algorithm 1). mean and
  // inverse_deviation (C) are what backward needs; the running averages are updated. Both twins are in the batch: each
  // row's output depends on all others. dx may be null.
  void (*batch_norm_forward)(Queue, std::size_t m, int c, const BatchNormParams&, const float* x, const float* gamma,
                             const float* beta, float* y, float* mean, float* inverse_deviation, float* running_mean,
                             float* running_variance);
  void (*batch_norm_backward)(Queue, std::size_t m, int c, const float* x, const float* gamma, const float* mean,
                              const float* inverse_deviation, const float* dy, float* dx, float* dgamma, float* dbeta);
  // What it is once trained, as an affine: scale = gamma / sqrt(running_variance + epsilon), shift = beta -
  // running_mean * scale.
  void (*batch_norm_fold)(Queue, int c, float epsilon, const float* gamma, const float* beta, const float* running_mean,
                          const float* running_variance, float* scale, float* shift);
  // A convolution with the affine behind it as one convolution: w_out[k,i] = w[k,i] * scale[k] over (K,row),
  // bias_out[k] = bias[k] * scale[k] + shift[k]; bias may be null.
  void (*scale_filters)(Queue, int k, int row, const float* w, const float* bias, const float* scale,
                        const float* shift, float* w_out, float* bias_out);
  // y = x > 0 ? x : slope[c] * x (He et al. 2015, eq. 1). dx or dslope may be null.
  void (*prelu_forward)(Queue, std::size_t m, int c, const float* x, const float* slope, float* y);
  void (*prelu_backward)(Queue, std::size_t m, int c, const float* x, const float* slope, const float* dy, float* dx,
                         float* dslope);

  // ---- residual sums. y may be main or skip, where that one has y's shape. Backward: dmain and dskip are dy's parts
  // that lie inside them; either may be null.
  void (*residual_add)(Queue, const ResidualShape&, const float* main, const float* skip, float* y);
  void (*residual_split)(Queue, const ResidualShape&, const float* dy, float* dmain, float* dskip);

  // ---- rows of (N,D): y = x / max(||x||, epsilon); inverse_norm (N) is what backward needs. dx may
  // alias dy.
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

  // Row i of a with row i of b: distance (N); and all pairs: distance (N,M). Weights w (D). Equal rows: exactly 0.
  void (*weighted_distance)(Queue, int n, int d, Weighted, const float* w, const float* a, const float* b,
                            float* distance);
  void (*weighted_pairwise)(Queue, int n, int m, int d, Weighted, const float* w, const float* a, const float* b,
                            float* distance);

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
  // Over pairs as `contrastive`: P(different) = 1 / (1 + e^{-(distance - t)}), cross-entropy, t one float, weights w (D).
  // distance (n), loss (n), active (n: 1 where the answer is wrong), de (2n,D), and dw (D), dt (1), which accumulate; all
  // scaled by 1/n.
  std::size_t (*weighted_cross_entropy_scratch)(int n, int d);
  void (*weighted_cross_entropy)(Queue, int n, int d, Weighted, const float* w, const float* t, const float* e,
                                 const std::int32_t* labels, float* distance, float* loss, float* active, float* de,
                                 float* dw, float* dt);
  // From similarities (n,n), whose diagonal is not read, and labels (n), as `triplet`: coefficients g (n,n) = dL/ds,
  // unscaled, and per row the sum of losses, what it counts for, and how much of that is active: nt_xent counts (i, p),
  // active where p is not the most similar of {p} and N(i); the others count rows, active where the loss is not 0
  // (multi_similarity) or the most similar row is none of P(i) (supcon).
  void (*similarity_loss)(Queue, int n, const SimilarityParams&, const float* similarity, const std::int32_t* labels,
                          float* g, float* loss, float* count, float* active);
  // de (n,D): de_i = scale * sum_j (g_ij + g_ji) e_j, g_ii = 0: the gradient of dot products.
  void (*similarity_backward)(Queue, int n, int d, const float* e, const float* g, const float* scale, float* de);
  // similarity (n,classes), labels (n) in [0, classes) -> loss (n), active (n: 1 where another class has a logit at least
  // as large), dsimilarity (n,classes), scaled by 1/n.
  void (*softmax_cross_entropy)(Queue, int n, int classes, const SoftmaxParams&, const float* similarity,
                                const std::int32_t* labels, float* loss, float* active, float* dsimilarity);
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
  // The same for training, each picture augmented first; row i is index[step->cursor * n + i]. Draws are Philox's, by
  // (seed, step->step, i). Bilinear sampling; outside of a picture lies its nearest border pixel. step null: step and
  // cursor 0. Nothing to augment: image_to_float.
  std::size_t (*image_augment_scratch)(const ImageShape&);
  void (*image_augment)(Queue, const ImageShape&, const Augmentation&, std::uint64_t seed, const std::uint8_t* images,
                        const std::int32_t* index, const StepState* step, float* y);
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
