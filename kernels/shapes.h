// SPDX-License-Identifier: MIT
//
// What the entries of `struct Kernels` (kernels.h) are told besides pointers: shapes, and the numbers that define a loss,
// an optimizer or an augmentation, each with its source.
#pragma once

#include <cstdint>

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

// Mined triplets, at most `most` an anchor: triplet q of anchor a is at [q * n + a], those of an anchor stand from q = 0
// on. Behind its last: rows -1, slopes 0.
struct MinedTriplets {
  std::int32_t *positive, *negative;  // rows
  float *pull, *push;                 // dL/d(d2) at (a, positive); less dL/d(d2) at (a, negative)
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

// A picture (H,W,C) of bytes to another size, corners on corners: y(i, j) is read bilinearly at row i (h-1)/(out_h-1)
// and column j (w-1)/(out_w-1), each rounded to the nearest 1/kResizeSteps, halves up, an only row or column at 0; the
// sum is rounded to the nearest integer, halves up. So the bytes are the same on every device.
struct ResizeShape {
  int h, w, c;  // each side, and each of the output's, at most 65535
  int out_h, out_w;
};
inline constexpr int kResizeSteps = 2048;

// Where a picture lies on a canvas of floats (out_h,out_w,C): its first pixel at row `top`, column `left`. It may reach
// beyond the canvas on any side, or not meet it.
struct PlaceShape {
  ImageShape image;  // n = 1
  int out_h, out_w;
  int top, left;
};

// A part of a picture (H,W,C) of bytes at half its size: out(i, j) is the 5x5 binomial sum
// (1 4 6 4 1)^T (1 4 6 4 1) / 256 of the part's pixels (2i .. 2i+4, 2j .. 2j+4), rounded down: dlib's pyramid_down<2>
// (dlib/image_transforms/image_pyramid.h). The part's pixel p is out's pixel (p - 2) / 2.
struct HalveShape {
  int h, w, c;                   // c: 1..4
  int top, left, rows, columns;  // the part, inside of the picture; at least 5x5
  constexpr int out_h() const { return (rows - 3) / 2; }
  constexpr int out_w() const { return (columns - 3) / 2; }
};

// n chips (out_h,out_w,C) out of one picture (H,W,C), both of bytes. A chip's map, 2x3: the pixel at column q, row p is
// read at x = m00 q + m01 p + m02, y = m10 q + m11 p + m12, all of them below 2^29. Entries are taken to 2^-32, places
// to 2^-16 of a pixel (rounded down), the bilinear sum is rounded down: the bytes are the same on every device.
struct ChipShape {
  int n, out_h, out_w;
  int h, w, c;
};

// A cascade of regression trees (Kazemi, Sullivan 2014, sec. 2), in device memory. The trees of a stage are complete,
// their nodes in breadth-first order, and go left where the grey value at the pair's first place exceeds that at its
// second by more than the threshold. Shapes are f32, rounded after each step; leaves are added in their order.
struct Cascade {
  int points, stages, trees, depth, features;
  const float* mean_shape;      // (points,2): x, y in the box, whose corners are (0,0) and (1,1)
  const std::int32_t* anchors;  // (stages,features): a point's index
  const float* offsets;         // (stages,features,2): from that point of the mean shape
  const std::int32_t* pairs;    // (stages,trees,2^depth - 1,2): two of the stage's features
  const float* thresholds;      // (stages,trees,2^depth - 1)
  const float* leaves;          // (stages,trees,2^depth,points,2)
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

}  // namespace gemel
