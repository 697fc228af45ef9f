// SPDX-License-Identifier: MIT
//
// oneDNN called directly: training steps (forward, loss, backward, Adam) and embeddings of `lenet` and `small`, and the
// stack of 3x3 convolutions.
//   g++ -std=c++20 -O3 -march=native -fopenmp onednn_peer.cpp -ldnnl        Debian 12: libdnnl-dev (oneDNN 2's API)
#include "onednn_net.h"
#include "peer.h"

namespace {

using peer::Net;

void build_lenet(Net& net) {
  net.conv(20, 5, 0, false);
  net.max_pool();
  net.conv(50, 5, 0, false);
  net.max_pool();
  net.linear(500, true);
  net.linear(128, false);
  net.finish();
}

// Without the last normalisation, which the caller does.
void build_small(Net& net) {
  net.conv(32, 3, 1, true);
  net.conv(32, 3, 1, true);
  net.max_pool();
  net.conv(64, 3, 1, true);
  net.conv(64, 3, 1, true);
  net.max_pool();
  net.linear(128, false);
  net.finish();
}

// Rows of x (n,d) divided by their lengths -> y, lengths (n).
void normalize(int n, int d, const float* x, float* y, float* lengths) {
  for (int i = 0; i < n; ++i) {
    float sum = 0;
    for (int k = 0; k < d; ++k) sum += x[i * d + k] * x[i * d + k];
    lengths[i] = std::sqrt(sum) + 1e-12f;
    for (int k = 0; k < d; ++k) y[i * d + k] = x[i * d + k] / lengths[i];
  }
}

void normalize_gradient(int n, int d, const float* y, const float* lengths, const float* dy, float* dx) {
  for (int i = 0; i < n; ++i) {
    float dot = 0;
    for (int k = 0; k < d; ++k) dot += dy[i * d + k] * y[i * d + k];
    for (int k = 0; k < d; ++k) dx[i * d + k] = (dy[i * d + k] - dot * y[i * d + k]) / lengths[i];
  }
}

void train(peer::Results& results, const std::string& name, const std::function<void(Net&)>& build,
           const std::function<float(const float* e, float* de)>& loss) {
  if (!results.wants(name)) return;
  Net net({128, 1, 28, 28}, true);
  build(net);
  std::vector<std::vector<float>> batches;
  for (unsigned seed = 1; seed <= 4; ++seed) batches.push_back(peer::normal(128 * 28 * 28, seed));
  std::size_t steps = 0;
  results.add_training(name, [&] {
    const std::vector<float>& x = batches[steps++ % batches.size()];
    std::copy(x.begin(), x.end(), net.input());
    net.forward();
    const float mean = loss(net.output(), net.output_gradient());
    net.backward();
    net.adam(1e-4f);
    return mean;
  });
}

void train_lenet(peer::Results& results) {
  std::vector<bool> same(64);
  for (std::size_t i = 0; i < same.size(); ++i) same[i] = i % 2 == 0;
  train(results, "train/lenet/128", build_lenet,
        [&](const float* e, float* de) { return peer::contrastive(128, 128, e, same, de); });
}

void train_small(peer::Results& results) {
  constexpr int kN = 128, kD = 128;
  std::vector<float> e(kN * kD), de(kN * kD), gram(kN * kN), lengths(kN);
  train(results, "train/small/128", build_small, [&](const float* x, float* dx) {
    normalize(kN, kD, x, e.data(), lengths.data());
    dnnl_sgemm('N', 'T', kN, kN, kD, 1, e.data(), kD, e.data(), kD, 0, gram.data(), kN);
    const float mean = peer::batch_hard(kN, kD, 16, e.data(), gram.data(), de.data());
    normalize_gradient(kN, kD, e.data(), lengths.data(), de.data(), dx);
    return mean;
  });
}

std::string check_output(Net& net) {
  net.forward();
  bool any = false;
  for (std::size_t i = 0; i < net.output_size(); ++i) {
    if (!std::isfinite(net.output()[i])) return "the output is not finite";
    any = any || net.output()[i] != 0;
  }
  return any ? "" : "the output is 0 everywhere";
}

void embed(peer::Results& results) {
  for (const bool small : {false, true}) {
    for (const int n : {64, 1}) {
      const std::string name = std::string("embed/") + (small ? "small" : "lenet") + "/" + std::to_string(n);
      if (!results.wants(name)) continue;
      Net net({n, 1, 28, 28}, false);
      small ? build_small(net) : build_lenet(net);
      std::vector<float> e(net.output_size()), lengths(n);
      results.add(name, check_output(net), [&] {
        net.forward();
        if (small) normalize(n, 128, net.output(), e.data(), lengths.data());
      });
    }
  }
}

void stack(peer::Results& results) {
  if (!results.wants("stack3x3/64")) return;
  Net net({64, 64, 14, 14}, true);
  for (int i = 0; i < 8; ++i) net.conv(64, 3, 1, true);
  net.finish();
  results.add("stack3x3/64", check_output(net), [&] {
    net.forward();
    net.backward();
  });
}

}  // namespace

int main(int argc, char** argv) {
  const dnnl_version_t* v = dnnl_version();
  peer::Results results(
      argc, argv,
      "oneDNN " + std::to_string(v->major) + "." + std::to_string(v->minor) + "." + std::to_string(v->patch));
  train_lenet(results);
  train_small(results);
  embed(results);
  stack(results);
  return results.print();
}
