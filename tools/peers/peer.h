// SPDX-License-Identifier: MIT
//
// What the C++ peers share: the command line, timing as `bench/` times Gemel, the losses, and the results as JSON.
//   PROGRAM SECONDS [WORKLOAD...]     without names: every workload that the program knows
#pragma once

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <functional>
#include <random>
#include <string>
#include <vector>

namespace peer {

inline std::vector<float> normal(std::size_t count, unsigned seed) {
  std::mt19937 generator(seed);
  std::normal_distribution<float> distribution;
  std::vector<float> values(count);
  for (float& value : values) value = distribution(generator);
  return values;
}

// Seconds a call: the median of nine batches of calls that take about `at_least` together; three where one call takes
// longer than that.
inline double seconds_per_call(double at_least, const std::function<void()>& call) {
  constexpr int kBatches = 9;
  auto time = [&](int calls) {
    const auto start = std::chrono::steady_clock::now();
    for (int i = 0; i < calls; ++i) call();
    return std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  };
  time(1);
  int calls = 1;
  double seconds = time(calls);
  while (seconds < at_least / kBatches && calls < 1 << 20) {
    const double wanted = 1.2 * calls * at_least / kBatches / std::max(seconds, 1e-9);
    calls = static_cast<int>(std::clamp(wanted, 2.0 * calls, 10.0 * calls));
    seconds = time(calls);
  }
  std::vector<double> batches{seconds};
  while (static_cast<int>(batches.size()) < (seconds > at_least ? 3 : kBatches)) batches.push_back(time(calls));
  std::sort(batches.begin(), batches.end());
  return batches[batches.size() / 2] / calls;
}

// Collects the figures of one program and prints them at the end.
class Results {
 public:
  Results(int argc, char** argv, std::string version) : version_(std::move(version)) {
    if (argc < 2 || !(std::atof(argv[1]) > 0)) {
      std::fprintf(stderr, "usage: %s SECONDS [WORKLOAD...]\n", argv[0]);
      std::exit(2);
    }
    seconds_ = std::atof(argv[1]);
    wanted_.assign(argv + 2, argv + argc);
  }
  bool wants(const std::string& name) const {
    return wanted_.empty() || std::find(wanted_.begin(), wanted_.end(), name) != wanted_.end();
  }
  // `problem`: what is wrong with the workload's result; then it has no speed.
  void add(const std::string& name, const std::string& problem, const std::function<void()>& call) {
    std::string figure = "\"problem\": \"" + problem + "\"";
    if (problem.empty()) {
      char text[64];
      std::snprintf(text, sizeof text, "\"seconds\": %.6e", seconds_per_call(seconds_, call));
      figure = text;
    }
    rows_ += (rows_.empty() ? "" : ",\n") + ("    {\"name\": \"" + name + "\", ") + figure + "}";
  }
  // A training step over four batches in turn that returns its loss: on the third time over them it must be lower.
  void add_training(const std::string& name, const std::function<float()>& step) {
    auto mean_loss = [&](int steps) {
      float sum = 0;
      for (int i = 0; i < steps; ++i) sum += step();
      return sum / static_cast<float>(steps);
    };
    const float first = mean_loss(4);
    mean_loss(4);
    const float last = mean_loss(4);
    const bool falls = last < first;
    add(name, falls ? "" : "the loss does not fall: " + std::to_string(first) + ", then " + std::to_string(last),
        [&] { step(); });
  }
  int print() const {
    std::printf("{\n  \"version\": \"%s\",\n  \"results\": [\n%s\n  ]\n}\n", version_.c_str(), rows_.c_str());
    return 0;
  }

 private:
  std::string version_, rows_;
  double seconds_ = 0;
  std::vector<std::string> wanted_;
};

// ---- losses: rows of e (n,d) -> mean loss and its gradient de (n,d), as kernels/kernels.h defines them.

// Rows i and i + n/2 are a pair, of the same identity where `same` says so; margin 1 (Hadsell, Chopra, LeCun 2006).
inline float contrastive(int n, int d, const float* e, const std::vector<bool>& same, float* de) {
  const int pairs = n / 2;
  float loss = 0;
  for (int i = 0; i < pairs; ++i) {
    const float *a = e + i * d, *b = e + (i + pairs) * d;
    float d2 = 0;
    for (int k = 0; k < d; ++k) d2 += (a[k] - b[k]) * (a[k] - b[k]);
    const float distance = std::sqrt(d2), gap = std::max(0.0f, 1 - distance);
    loss += same[i] ? d2 / 2 : gap * gap / 2;
    float scale = 1;
    if (!same[i]) scale = distance > 0 ? -gap / distance : 0;
    for (int k = 0; k < d; ++k) {
      de[i * d + k] = scale * (a[k] - b[k]) / static_cast<float>(pairs);
      de[(i + pairs) * d + k] = -de[i * d + k];
    }
  }
  return loss / static_cast<float>(pairs);
}

// Batch-hard triplets with margin 0.2 (Hermans, Beyer, Leibe 2017, eq. 5). Rows of one identity follow each other, `k`
// of them; gram (n,n): e e^T.
inline float batch_hard(int n, int d, int k, const float* e, const float* gram, float* de) {
  std::fill(de, de + n * d, 0.0f);
  auto distance2 = [&](int i, int j) { return gram[i * n + i] + gram[j * n + j] - 2 * gram[i * n + j]; };
  float loss = 0;
  for (int i = 0; i < n; ++i) {
    int positive = i, negative = (i / k * k + k) % n;
    for (int j = 0; j < n; ++j) {
      if (j / k == i / k) {
        if (distance2(i, j) > distance2(i, positive)) positive = j;
      } else if (distance2(i, j) < distance2(i, negative)) {
        negative = j;
      }
    }
    const float far = std::sqrt(std::max(0.0f, distance2(i, positive)));
    const float near = std::sqrt(std::max(0.0f, distance2(i, negative)));
    if (far - near + 0.2f <= 0) continue;
    loss += far - near + 0.2f;
    const float to_far = far > 0 ? 1 / (far * static_cast<float>(n)) : 0;
    const float to_near = near > 0 ? 1 / (near * static_cast<float>(n)) : 0;
    for (int c = 0; c < d; ++c) {
      const float u = (e[i * d + c] - e[positive * d + c]) * to_far;
      const float v = (e[i * d + c] - e[negative * d + c]) * to_near;
      de[i * d + c] += u - v;
      de[positive * d + c] -= u;
      de[negative * d + c] += v;
    }
  }
  return loss / static_cast<float>(n);
}

}  // namespace peer
