// SPDX-License-Identifier: MIT
//
// What Gemel is compared with other libraries on (tools/peers): whole training steps, embeddings, and the large matrix
// products behind them. A peer's program measures the same under the same name.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "engine/device.h"

namespace gemel::bench {

// Ready to be timed; holds all its memory.
struct PreparedWorkload {
  std::string problem;         // what is wrong with its result; empty: right
  std::function<void()> call;  // queues one on `stream`
  Stream* stream = nullptr;    // kept by `call`
};

struct Workload {
  std::string name;  // "train/small/128"
  int images = 0;    // a call works through; 0: does not count in images
  std::function<PreparedWorkload(Device&)> prepare;
};

// train/NET/128                a training step of 128 images: `lenet` contrastive on 64 pairs, `small` batch-hard on 8 x 16
// embed/NET/N                  a forward pass of N images that are floats on the device already
// stack3x3/64                  eight 3x3 convolutions 64 -> 64 with ReLU on 64 images of 14x14, forward and backward
// pairwise/4096x4096x128       Euclidean distances
// contrastive_all/4096x128     the contrastive loss of all pairs of 4096 embeddings, and its gradient
// sgemm/2048                   a linear layer without bias, 2048 in every direction
std::vector<Workload> workloads();

}  // namespace gemel::bench
