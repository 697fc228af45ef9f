// SPDX-License-Identifier: MIT
//
// The device's table: each entry points at the rung in use.
#include "kernels/entries.h"

namespace gemel::GEMEL_DEVICE {

#define GEMEL_TEXT_(x) #x
#define GEMEL_TEXT(x) GEMEL_TEXT_(x)

const Kernels& kernels() {
  static constexpr Kernels table{
      .name = GEMEL_TEXT(GEMEL_DEVICE),
      .conv2d_scratch = conv2d_scratch,
      .conv2d_fprop = conv2d_fprop,
      .conv2d_dgrad = conv2d_dgrad,
      .conv2d_wgrad = conv2d_wgrad,
      .conv_block_scratch = conv_block_scratch,
      .conv_block_forward = conv_block_forward,
      .conv_block_backward = conv_block_backward,
      .conv_block_packed_bytes = conv_block_packed_bytes,
      .conv_block_pack = conv_block_pack,
      .local2d_scratch = local2d_scratch,
      .local2d_fprop = local2d_fprop,
      .local2d_dgrad = local2d_dgrad,
      .local2d_wgrad = local2d_wgrad,
      .linear_scratch = linear_scratch,
      .linear_packed_bytes = linear_packed_bytes,
      .linear_pack = linear_pack,
      .linear_fprop = linear_fprop,
      .linear_dgrad = linear_dgrad,
      .linear_wgrad = linear_wgrad,
      .maxpool2d_forward = maxpool2d_forward,
      .maxpool2d_backward = maxpool2d_backward,
      .avgpool2d_forward = avgpool2d_forward,
      .avgpool2d_backward = avgpool2d_backward,
      .activation_forward = activation_forward,
      .activation_backward = activation_backward,
      .dropout = dropout,
      .channel_scratch = channel_scratch,
      .affine_forward = affine_forward,
      .affine_backward = affine_backward,
      .batch_norm_forward = batch_norm_forward,
      .batch_norm_backward = batch_norm_backward,
      .batch_norm_fold = batch_norm_fold,
      .scale_filters = scale_filters,
      .prelu_forward = prelu_forward,
      .prelu_backward = prelu_backward,
      .residual_add = residual_add,
      .residual_split = residual_split,
      .l2_normalize_forward = l2_normalize_forward,
      .l2_normalize_backward = l2_normalize_backward,
      .paired_distance = paired_distance,
      .pairwise_distance = pairwise_distance,
      .nearest_scratch = nearest_scratch,
      .nearest = nearest,
      .weighted_distance = weighted_distance,
      .weighted_pairwise = weighted_pairwise,
      .contrastive = contrastive,
      .contrastive_all_scratch = contrastive_all_scratch,
      .contrastive_all = contrastive_all,
      .triplet = triplet,
      .weighted_cross_entropy_scratch = weighted_cross_entropy_scratch,
      .weighted_cross_entropy = weighted_cross_entropy,
      .similarity_loss = similarity_loss,
      .similarity_backward = similarity_backward,
      .softmax_cross_entropy = softmax_cross_entropy,
      .pairwise_backward = pairwise_backward,
      .loss_reduce = loss_reduce,
      .sgd = sgd,
      .adam = adam,
      .begin_step = begin_step,
      .end_step = end_step,
      .image_to_float = image_to_float,
      .image_augment_scratch = image_augment_scratch,
      .image_augment = image_augment,
      .gather_labels = gather_labels,
      .image_resize = image_resize,
      .image_place = image_place,
      .image_halve = image_halve,
      .image_chips = image_chips,
      .landmarks = landmarks,
  };
  return table;
}

}  // namespace gemel::GEMEL_DEVICE
