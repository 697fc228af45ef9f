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
Entry<&Kernels::l2_normalize_forward> l2_normalize_forward;
Entry<&Kernels::l2_normalize_backward> l2_normalize_backward;
Entry<&Kernels::paired_distance> paired_distance;
Entry<&Kernels::pairwise_distance> pairwise_distance;
Entry<&Kernels::nearest_scratch> nearest_scratch;
Entry<&Kernels::nearest> nearest;
Entry<&Kernels::contrastive> contrastive;
Entry<&Kernels::contrastive_all_scratch> contrastive_all_scratch;
Entry<&Kernels::contrastive_all> contrastive_all;
Entry<&Kernels::triplet> triplet;
Entry<&Kernels::pairwise_backward> pairwise_backward;
Entry<&Kernels::loss_reduce> loss_reduce;
Entry<&Kernels::sgd> sgd;
Entry<&Kernels::adam> adam;
Entry<&Kernels::begin_step> begin_step;
Entry<&Kernels::end_step> end_step;
Entry<&Kernels::image_to_float> image_to_float;
Entry<&Kernels::gather_labels> gather_labels;

}  // namespace gemel::GEMEL_DEVICE
