// SPDX-License-Identifier: MIT
//
// The entries that have native code, for one instruction set. Everything else of the table stays the executor's.
#include "kernels/cpu/isa.h"

namespace gemel::GEMEL_DEVICE {

void replace_entries(Kernels& table) {
  table.conv2d_scratch = conv2d_scratch;
  table.conv2d_fprop = conv2d_fprop;
  table.conv2d_dgrad = conv2d_dgrad;
  table.conv2d_wgrad = conv2d_wgrad;
  table.conv_block_scratch = conv_block_scratch;
  table.conv_block_forward = conv_block_forward;
  table.conv_block_backward = conv_block_backward;
  table.conv_block_packed_bytes = conv_block_packed_bytes;
  table.conv_block_pack = conv_block_pack;
  table.local2d_scratch = local2d_scratch;
  table.local2d_fprop = local2d_fprop;
  table.local2d_dgrad = local2d_dgrad;
  table.local2d_wgrad = local2d_wgrad;
  table.linear_packed_bytes = linear_packed_bytes;
  table.linear_pack = linear_pack;
  table.linear_scratch = linear_scratch;
  table.linear_fprop = linear_fprop;
  table.linear_dgrad = linear_dgrad;
  table.linear_wgrad = linear_wgrad;
  table.maxpool2d_forward = maxpool2d_forward;
  table.maxpool2d_backward = maxpool2d_backward;
  table.avgpool2d_forward = avgpool2d_forward;
  table.avgpool2d_backward = avgpool2d_backward;
  table.activation_forward = activation_forward;
  table.activation_backward = activation_backward;
  table.dropout = dropout;
  table.channel_scratch = channel_scratch;
  table.affine_forward = affine_forward;
  table.affine_backward = affine_backward;
  table.batch_norm_forward = batch_norm_forward;
  table.batch_norm_backward = batch_norm_backward;
  table.prelu_forward = prelu_forward;
  table.prelu_backward = prelu_backward;
  table.residual_add = residual_add;
  table.residual_split = residual_split;
  table.l2_normalize_forward = l2_normalize_forward;
  table.l2_normalize_backward = l2_normalize_backward;
  table.paired_distance = paired_distance;
  table.pairwise_distance = pairwise_distance;
  table.nearest_scratch = nearest_scratch;
  table.nearest = nearest;
  table.weighted_distance = weighted_distance;
  table.weighted_pairwise = weighted_pairwise;
  table.contrastive = contrastive;
  table.triplet = triplet;
  table.mined_triplet_scratch = mined_triplet_scratch;
  table.mined_triplet = mined_triplet;
  table.mined_triplet_backward = mined_triplet_backward;
  table.contrastive_all_scratch = contrastive_all_scratch;
  table.contrastive_all = contrastive_all;
  table.weighted_cross_entropy_scratch = weighted_cross_entropy_scratch;
  table.weighted_cross_entropy = weighted_cross_entropy;
  table.similarity_loss = similarity_loss;
  table.similarity_backward = similarity_backward;
  table.softmax_cross_entropy = softmax_cross_entropy;
  table.pairwise_backward = pairwise_backward;
  table.loss_reduce = loss_reduce;
  table.sgd = sgd;
  table.adam = adam;
  table.image_to_float = image_to_float;
  table.image_resize = image_resize;
  table.image_place = image_place;
  table.image_halve = image_halve;
}

}  // namespace gemel::GEMEL_DEVICE
