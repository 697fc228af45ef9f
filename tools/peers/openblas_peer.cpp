// SPDX-License-Identifier: MIT
//
// OpenBLAS: a matrix product, and pairwise distances as people build them on one (||a||^2 + ||b||^2 - 2ab).
//   g++ -std=c++20 -O3 -march=native -fopenmp -I../.. openblas_peer.cpp -lopenblas        Debian: libopenblas-dev
#include <cblas.h>

#include "bench/spot_check.h"
#include "peer.h"

namespace {

// y (n,m) = alpha * a (n,d) b (m,d)^T
void product(int n, int m, int d, float alpha, const float* a, const float* b, float* y) {
  cblas_sgemm(CblasRowMajor, CblasNoTrans, CblasTrans, n, m, d, alpha, a, d, b, d, 0, y, m);
}

std::vector<float> squared_norms(const std::vector<float>& x, int d) {
  std::vector<float> norms(x.size() / d);
  for (std::size_t i = 0; i < norms.size(); ++i) norms[i] = cblas_sdot(d, &x[i * d], 1, &x[i * d], 1);
  return norms;
}

void distances(int n, int m, int d, const std::vector<float>& a, const std::vector<float>& b, std::vector<float>& y) {
  product(n, m, d, -2, a.data(), b.data(), y.data());
  const std::vector<float> a2 = squared_norms(a, d), b2 = squared_norms(b, d);
#pragma omp parallel for
  for (int i = 0; i < n; ++i) {
    float* row = &y[static_cast<std::size_t>(i) * m];
    for (int j = 0; j < m; ++j) row[j] = std::sqrt(std::max(0.0f, row[j] + a2[i] + b2[j]));
  }
}

}  // namespace

int main(int argc, char** argv) {
  std::string version = openblas_get_config();
  version = version.substr(0, version.find(' ', version.find(' ') + 1));  // "OpenBLAS 0.3.21"
  peer::Results results(argc, argv, version + ", kernels " + openblas_get_corename());
  if (results.wants("pairwise/4096x4096x128")) {
    constexpr int kRows = 4096, kDim = 128;
    const std::vector<float> a = peer::normal(kRows * kDim, 1), b = peer::normal(kRows * kDim, 2);
    std::vector<float> y(kRows * kRows);
    auto call = [&] { distances(kRows, kRows, kDim, a, b, y); };
    call();
    results.add("pairwise/4096x4096x128",
                gemel::bench::spot_check(y.data(), a.data(), b.data(), kRows, kRows, kDim, gemel::bench::distance),
                call);
  }
  if (results.wants("sgemm/2048")) {
    constexpr int kSize = 2048;
    const std::vector<float> a = peer::normal(kSize * kSize, 1), b = peer::normal(kSize * kSize, 2);
    std::vector<float> y(kSize * kSize);
    auto call = [&] { product(kSize, kSize, kSize, 1, a.data(), b.data(), y.data()); };
    call();
    results.add("sgemm/2048",
                gemel::bench::spot_check(y.data(), a.data(), b.data(), kSize, kSize, kSize, gemel::bench::dot), call);
  }
  return results.print();
}
