// SPDX-License-Identifier: MIT
//
// Metric: names, parameters, and which kernel computes it.
#include "siamese/metric.h"

#include <array>
#include <utility>

#include "engine/error.h"

namespace gemel {
namespace {

constexpr const char* kWeight = "metric.weight";
constexpr const char* kThreshold = "metric.threshold";

constexpr std::array<std::pair<Metric::Kind, const char*>, 3> kNames{{{Metric::Kind::euclidean, "l2"},
                                                                      {Metric::Kind::weighted_l1, "weighted-l1"},
                                                                      {Metric::Kind::weighted_chi2, "weighted-chi2"}}};

}  // namespace

Metric::Metric(Kind kind, const Parameters& parameters) : kind_(kind) {
  if (kind == Kind::euclidean) return;
  parameters_ = &parameters;
  weight_ = parameters.id(kWeight);
  threshold_ = parameters.id(kThreshold);
}

void Metric::declare(Kind kind, int d, Parameters& parameters) {
  if (kind == Kind::euclidean) return;
  parameters.declare(kWeight, {d}, {.kind = Initializer::Kind::constant, .value = 1});
  parameters.declare(kThreshold, {1}, {.kind = Initializer::Kind::constant, .value = 1});
}

std::string Metric::name(Kind kind) {
  for (const auto& [known, its_name] : kNames) {
    if (known == kind) return its_name;
  }
  throw Error("unknown metric");
}

Metric::Kind Metric::parse(const std::string& name) {
  std::string all;
  for (const auto& [kind, known] : kNames) {
    if (name == known) return kind;
    all += concat(all.empty() ? "" : ", ", known);
  }
  throw InputError(concat("unknown metric '", name, "'; known: ", all));
}

float Metric::read_threshold(Device& device, Stream& stream) const {
  if (kind_ == Kind::euclidean) throw Error("metric l2: has no threshold of its own");
  return download(device, stream, parameters_->value(threshold_), 1).front();
}

void Metric::paired(const Kernels& kernels, Queue queue, int n, int d, const float* a, const float* b,
                    float* distance) const {
  if (kind_ == Kind::euclidean) return kernels.paired_distance(queue, n, d, a, b, distance);
  kernels.weighted_distance(queue, n, d, weighted(), parameters_->value(weight_), a, b, distance);
}

void Metric::pairwise(const Kernels& kernels, Queue queue, int n, int m, int d, const float* a, const float* b,
                      float* distance) const {
  if (kind_ == Kind::euclidean) return kernels.pairwise_distance(queue, n, m, d, a, b, false, distance);
  kernels.weighted_pairwise(queue, n, m, d, weighted(), parameters_->value(weight_), a, b, distance);
}

}  // namespace gemel
