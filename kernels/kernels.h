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
#include "kernels/shapes.h"

namespace gemel {

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
  // All pairs: (N,M), squared or not. No distance suffers from cancellation: each squared one is within (1.25 D + 16) 2^-21
  // of the true one, relatively, and symmetric to the bit; on tensor cores (Math) within (D / 16 + 54) 2^-19.
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
  // Every triplet (params.mining: all), from squared distances (n,n) and labels (n): coefficients g (n,n) = dL/d(d2), row
  // a holding anchor a's terms, unscaled, and per anchor the sum of losses, and in both
  // count and active the number of triplets with a non-zero loss (n each): the mean is over these.
  void (*triplet)(Queue, int n, const TripletParams&, const float* distance2, const std::int32_t* labels, float* g,
                  float* loss, float* count, float* active);
  // The triplets of rows e (n,D) that params.mining chooses (semi_hard, batch_hard), found as the distances are made:
  // nothing of size (n,n) is written (n times at most 256 on `cpu`). Squared distances as of pairwise_distance; ties go to
  // the lowest row; NaN is mined before any other distance. triplets: `most` >= 1 an anchor at most (batch_hard has one).
  // loss, count, active (n): per anchor the sum of losses, the number of triplets and the number of those with a non-zero
  // loss. An anchor with more than `most` triplets keeps the first `most`, and its loss and their slopes are NaN.
  std::size_t (*mined_triplet_scratch)(int n, int d, const TripletParams&, int most);  // enough for both
  void (*mined_triplet)(Queue, int n, int d, const TripletParams&, int most, const float* e, const std::int32_t* labels,
                        const MinedTriplets&, float* loss, float* count, float* active);
  // de (n,D): the gradient of *scale times the sum of the triplets' losses.
  void (*mined_triplet_backward)(Queue, int n, int d, int most, const float* e, const MinedTriplets&,
                                 const float* scale, float* de);
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

  // ---- photographs, one at a time. y (out_h,out_w,C) as ResizeShape says.
  void (*image_resize)(Queue, const ResizeShape&, const std::uint8_t* image, std::uint8_t* y);
  // Writes the picture's pixels that lie on the canvas y, normalised; the rest of y stays as it is.
  void (*image_place)(Queue, const PlaceShape&, const std::uint8_t* image, float* y);

  // ---- faces in one photograph of bytes (H,W,C). y, chips as their shapes say; what lies outside of a picture is 0.
  void (*image_halve)(Queue, const HalveShape&, const std::uint8_t* image, std::uint8_t* y);
  // maps (n,2,3) -> chips (n,out_h,out_w,C)
  void (*image_chips)(Queue, const ChipShape&, const float* maps, const std::uint8_t* image, std::uint8_t* chips);
  // boxes (n,4): left, top, right, bottom -> y (n,points,2): x, y in pixels. C 1, or 3: grey is their mean, rounded
  // down. Boxes and places may lie outside. At most 8192 features and 2048 trees a stage, 256 points.
  void (*landmarks)(Queue, const Cascade&, int n, int h, int w, int c, const float* boxes, const std::uint8_t* image,
                    float* y);
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
