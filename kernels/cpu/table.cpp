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
  table.pairwise_distance = pairwise_distance;
  table.contrastive = contrastive;
  table.pairwise_backward = pairwise_backward;
  table.sgd = sgd;
  table.adam = adam;
  table.image_to_float = image_to_float;
}

}  // namespace gemel::GEMEL_DEVICE
