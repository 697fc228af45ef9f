// SPDX-License-Identifier: MIT
//
// dlib: training steps and embeddings of `lenet` and `small`. Its losses are its own, so the losses of peer.h stand on
// its networks; the optimizer is dlib's Adam.
//   g++ -std=c++20 -O3 -march=native -fopenmp dlib_peer.cpp -ldlib -lopenblas -llapack
//   Debian: libdlib-dev libopenblas-dev
#include <cblas.h>
#include <dlib/dnn.h>
#include <dlib/revision.h>

#include "peer.h"

namespace {

using dlib::con_, dlib::fc, dlib::max_pool, dlib::relu;

template <int k, class Below>
using conv5 = dlib::add_layer<con_<k, 5, 5, 1, 1, 0, 0>, Below>;
template <int k, class Below>
using conv3_relu = relu<dlib::con<k, 3, 3, 1, 1, Below>>;  // padded by 1
template <class Below>
using pool = max_pool<2, 2, 2, 2, Below>;
using Images = dlib::input<dlib::matrix<float>>;

using Lenet = fc<128, relu<fc<500, pool<conv5<50, pool<conv5<20, Images>>>>>>>;
using Small =
    dlib::l2normalize<fc<128, pool<conv3_relu<64, conv3_relu<64, pool<conv3_relu<32, conv3_relu<32, Images>>>>>>>>;

// A network runs only on tensors that its own to_tensor made.
template <class Net>
dlib::resizable_tensor random_images(Net& net, int n, unsigned seed) {
  std::vector<dlib::matrix<float>> images;
  for (int i = 0; i < n; ++i) {
    const std::vector<float> values = peer::normal(28 * 28, seed * 1000 + i);
    images.push_back(dlib::reshape(dlib::mat(values), 28, 28));
  }
  dlib::resizable_tensor x;
  net.to_tensor(images.begin(), images.end(), x);
  return x;
}

// One of four batches after the other. `loss`: rows of embeddings (n,128) -> mean, and their gradient.
template <class Net>
void train(peer::Results& results, const std::string& name,
           const std::function<float(const float* e, float* de)>& loss) {
  if (!results.wants(name)) return;
  Net net;
  std::vector<dlib::resizable_tensor> batches;
  for (unsigned seed = 1; seed <= 4; ++seed) batches.push_back(random_images(net, 128, seed));
  std::vector<dlib::adam> solvers(net.num_computational_layers, dlib::adam(0, 0.9f, 0.999f));
  std::size_t steps = 0;
  results.add_training(name, [&] {
    const dlib::tensor& x = batches[steps++ % batches.size()];
    const float* e = net.forward(x).host();
    const float mean = loss(e, net.get_gradient_input().host());
    net.back_propagate_error(x);
    net.update_parameters(solvers, 1e-4);
    return mean;
  });
}

template <class Net>
void embed(peer::Results& results, const std::string& net_name) {
  for (const int n : {64, 1}) {
    const std::string name = "embed/" + net_name + "/" + std::to_string(n);
    if (!results.wants(name)) continue;
    Net net;
    const dlib::resizable_tensor x = random_images(net, n, 1);
    results.add(name, "", [&] { net.forward(x); });
  }
}

}  // namespace

int main(int argc, char** argv) {
  peer::Results results(argc, argv,
                        "dlib " + std::to_string(DLIB_MAJOR_VERSION) + "." + std::to_string(DLIB_MINOR_VERSION));
  std::vector<bool> same(64);
  for (std::size_t i = 0; i < same.size(); ++i) same[i] = i % 2 == 0;
  train<Lenet>(results, "train/lenet/128",
               [&](const float* e, float* de) { return peer::contrastive(128, 128, e, same, de); });
  std::vector<float> gram(128 * 128);
  train<Small>(results, "train/small/128", [&](const float* e, float* de) {
    cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, 128, 128, 128, 1, e, 128, e, 128, 0, gram.data(), 128);
    return peer::batch_hard(128, 128, 16, e, gram.data(), de);
  });
  embed<Lenet>(results, "lenet");
  embed<Small>(results, "small");
  return results.print();
}
