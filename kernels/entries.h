// SPDX-License-Identifier: MIT
//
// Declares each entry of `struct Kernels` as a function of this device's namespace, with the table's own signature: a
// kernel file that defines an entry with another one does not compile.
#pragma once

#include <type_traits>

#include "kernels/kernels.h"

namespace gemel::GEMEL_DEVICE {

template <auto Member>
struct EntryOf;
template <class T, T Kernels::*Member>
struct EntryOf<Member> {
  using type = std::remove_pointer_t<T>;
};
template <auto Member>
using Entry = typename EntryOf<Member>::type;

Entry<&Kernels::conv2d_scratch> conv2d_scratch;
Entry<&Kernels::conv2d_fprop> conv2d_fprop;
Entry<&Kernels::conv2d_dgrad> conv2d_dgrad;
Entry<&Kernels::conv2d_wgrad> conv2d_wgrad;
Entry<&Kernels::conv_block_scratch> conv_block_scratch;
Entry<&Kernels::conv_block_forward> conv_block_forward;
Entry<&Kernels::conv_block_backward> conv_block_backward;
Entry<&Kernels::conv_block_packed_bytes> conv_block_packed_bytes;
Entry<&Kernels::conv_block_pack> conv_block_pack;
Entry<&Kernels::local2d_scratch> local2d_scratch;
Entry<&Kernels::local2d_fprop> local2d_fprop;
Entry<&Kernels::local2d_dgrad> local2d_dgrad;
Entry<&Kernels::local2d_wgrad> local2d_wgrad;
Entry<&Kernels::linear_scratch> linear_scratch;
Entry<&Kernels::linear_packed_bytes> linear_packed_bytes;
Entry<&Kernels::linear_pack> linear_pack;
Entry<&Kernels::linear_fprop> linear_fprop;
Entry<&Kernels::linear_dgrad> linear_dgrad;
Entry<&Kernels::linear_wgrad> linear_wgrad;
Entry<&Kernels::maxpool2d_forward> maxpool2d_forward;
Entry<&Kernels::maxpool2d_backward> maxpool2d_backward;
Entry<&Kernels::avgpool2d_forward> avgpool2d_forward;
Entry<&Kernels::avgpool2d_backward> avgpool2d_backward;
Entry<&Kernels::activation_forward> activation_forward;
Entry<&Kernels::activation_backward> activation_backward;
Entry<&Kernels::dropout> dropout;
Entry<&Kernels::channel_scratch> channel_scratch;
Entry<&Kernels::affine_forward> affine_forward;
Entry<&Kernels::affine_backward> affine_backward;
Entry<&Kernels::batch_norm_forward> batch_norm_forward;
Entry<&Kernels::batch_norm_backward> batch_norm_backward;
Entry<&Kernels::batch_norm_fold> batch_norm_fold;
Entry<&Kernels::scale_filters> scale_filters;
Entry<&Kernels::prelu_forward> prelu_forward;
Entry<&Kernels::prelu_backward> prelu_backward;
Entry<&Kernels::residual_add> residual_add;
Entry<&Kernels::residual_split> residual_split;
Entry<&Kernels::l2_normalize_forward> l2_normalize_forward;
Entry<&Kernels::l2_normalize_backward> l2_normalize_backward;
Entry<&Kernels::paired_distance> paired_distance;
Entry<&Kernels::pairwise_distance> pairwise_distance;
Entry<&Kernels::nearest_scratch> nearest_scratch;
Entry<&Kernels::nearest> nearest;
Entry<&Kernels::weighted_distance> weighted_distance;
Entry<&Kernels::weighted_pairwise> weighted_pairwise;
Entry<&Kernels::contrastive> contrastive;
Entry<&Kernels::contrastive_all_scratch> contrastive_all_scratch;
Entry<&Kernels::contrastive_all> contrastive_all;
Entry<&Kernels::triplet> triplet;
Entry<&Kernels::mined_triplet_scratch> mined_triplet_scratch;
Entry<&Kernels::mined_triplet> mined_triplet;
Entry<&Kernels::mined_triplet_backward> mined_triplet_backward;
Entry<&Kernels::weighted_cross_entropy_scratch> weighted_cross_entropy_scratch;
Entry<&Kernels::weighted_cross_entropy> weighted_cross_entropy;
Entry<&Kernels::similarity_loss> similarity_loss;
Entry<&Kernels::similarity_backward> similarity_backward;
Entry<&Kernels::softmax_cross_entropy> softmax_cross_entropy;
Entry<&Kernels::pairwise_backward> pairwise_backward;
Entry<&Kernels::loss_reduce> loss_reduce;
Entry<&Kernels::sgd> sgd;
Entry<&Kernels::adam> adam;
Entry<&Kernels::begin_step> begin_step;
Entry<&Kernels::end_step> end_step;
Entry<&Kernels::image_to_float> image_to_float;
Entry<&Kernels::image_augment_scratch> image_augment_scratch;
Entry<&Kernels::image_augment> image_augment;
Entry<&Kernels::gather_labels> gather_labels;
Entry<&Kernels::image_resize> image_resize;
Entry<&Kernels::image_place> image_place;
Entry<&Kernels::image_halve> image_halve;
Entry<&Kernels::image_chips> image_chips;
Entry<&Kernels::landmarks> landmarks;

}  // namespace gemel::GEMEL_DEVICE
