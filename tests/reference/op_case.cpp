// SPDX-License-Identifier: MIT
//
// Inputs and comparison of an OpCase. The random numbers are our own (splitmix64, sums of uniforms instead of a
// library's logarithm and cosine), so a case has the same inputs, to the bit, with every compiler and C library.
#include "tests/reference/op_case.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <sstream>
#include <stdexcept>

namespace gemel::reference {
namespace {

// splitmix64 (Steele, Lea, Flood 2014; Vigna's constants).
class Random {
 public:
  explicit Random(std::uint64_t seed) : state_(seed) {}

  std::uint64_t bits() {
    std::uint64_t z = state_ += 0x9E3779B97F4A7C15u;
    z = (z ^ (z >> 30)) * 0xBF58476D1CE4E5B9u;
    z = (z ^ (z >> 27)) * 0x94D049BB133111EBu;
    return z ^ (z >> 31);
  }

  // [0, 1), a multiple of 2^-53.
  double uniform() { return static_cast<double>(bits() >> 11) * 0x1p-53; }

  // Mean 0, variance 1, within [-6, 6]: the sum of twelve uniforms (Irwin-Hall). Exact: every step is a sum of
  // integers.
  double normal() {
    std::uint64_t sum = 0;
    for (int i = 0; i < 6; ++i) {
      const std::uint64_t two = bits();
      sum += (two >> 32) + (two & 0xFFFFFFFFu);
    }
    return static_cast<double>(sum) * 0x1p-32 - 6;
  }

 private:
  std::uint64_t state_;
};

// FNV-1a: tensors of one case must not share their numbers.
std::uint64_t hash(const std::string& text, std::uint64_t seed) {
  std::uint64_t h = 0xCBF29CE484222325u ^ seed;
  for (const char c : text) h = (h ^ static_cast<unsigned char>(c)) * 0x100000001B3u;
  return Random(h).bits();
}

std::size_t count_of(const TensorSpec& spec) {
  std::size_t count = 1;
  for (const int extent : spec.shape) count *= static_cast<std::size_t>(extent);
  return count;
}

bool fits(double value, double lowest, double highest) {
  return value >= lowest && value <= highest && value == std::floor(value);
}

// The value as `dtype` holds it. Integers out of range are a mistake in the case.
double represent(double value, const TensorSpec& spec) {
  bool ok = true;
  switch (spec.dtype) {
    case Dtype::f32:
      return static_cast<double>(static_cast<float>(value));
    case Dtype::u8:
      ok = fits(value, 0, 255);
      break;
    case Dtype::i32:
      ok = fits(value, std::numeric_limits<std::int32_t>::min(), std::numeric_limits<std::int32_t>::max());
      break;
  }
  if (!ok) throw std::logic_error("fill of " + spec.name + ": " + std::to_string(value) + " does not fit its dtype");
  return value;
}

std::vector<double> filled(const TensorSpec& spec, std::uint64_t seed) {
  std::vector<double> values(count_of(spec));
  Random random(seed);
  const Fill& fill = spec.fill;
  switch (fill.kind) {
    case Fill::Kind::normal:
      for (double& v : values) v = fill.a + fill.b * random.normal();
      break;
    case Fill::Kind::uniform:
      for (double& v : values) v = fill.a + (fill.b - fill.a) * random.uniform();
      break;
    case Fill::Kind::constant:
      std::fill(values.begin(), values.end(), fill.a);
      break;
    case Fill::Kind::integers:
      for (double& v : values) v = std::min(fill.b, fill.a + std::floor((fill.b - fill.a + 1) * random.uniform()));
      break;
    case Fill::Kind::custom:
      if (!fill.custom) throw std::logic_error("fill of " + spec.name + " is custom, but no function is given");
      fill.custom(values, seed);
      break;
  }
  for (double& v : values) v = represent(v, spec);
  return values;
}

bool same(double a, double b) { return a == b || (std::isnan(a) && std::isnan(b)); }

double largest_finite(const std::vector<double>& values) {
  double largest = 0;
  for (const double v : values) {
    if (std::isfinite(v)) largest = std::max(largest, std::abs(v));
  }
  return largest;
}

// "(1, 0, 4)" of element `index`.
std::string coordinates(std::size_t index, const std::vector<int>& shape) {
  std::string text;
  for (auto extent = shape.rbegin(); extent != shape.rend(); ++extent) {
    const auto size = static_cast<std::size_t>(*extent);
    text = std::to_string(index % size) + (text.empty() ? "" : ", ") + text;
    index /= size;
  }
  return "(" + text + ")";
}

}  // namespace

bool close(double got, double want, double tolerance) {
  if (std::isnan(want)) return std::isnan(got);
  if (std::isinf(want) || std::isinf(got)) return got == want;
  return std::abs(got - want) <= tolerance;  // false for a NaN
}

Values make_inputs(const OpCase& c, std::uint64_t seed) {
  Values values;
  for (const TensorSpec& spec : c.tensors) {
    values[spec.name] = spec.role == Role::output ? std::vector<double>{}
                                                  : filled(spec, hash(c.op + "/" + c.shape + "/" + spec.name, seed));
  }
  return values;
}

Mismatch compare(const OpCase& c, const Values& inputs, const Values& got, const Values& want) {
  Mismatch result;
  const auto report = [&](const TensorSpec& spec, std::size_t index, double g, double w, double share) {
    result.worst = std::max(result.worst, share);
    if (!result.tensor.empty()) return;  // the first one is told
    result.tensor = spec.name;
    result.index = index;
    result.got = g;
    result.want = w;
  };
  constexpr double kNan = std::numeric_limits<double>::quiet_NaN();
  constexpr double kInfinity = std::numeric_limits<double>::infinity();

  for (const TensorSpec& spec : c.tensors) {
    const std::vector<double>& g = got.at(spec.name);
    const std::vector<double>& w = spec.role == Role::input ? inputs.at(spec.name) : want.at(spec.name);
    if (g.size() != count_of(spec) || w.size() != count_of(spec)) {
      report(spec, std::min(g.size(), w.size()), kNan, kNan, kInfinity);
      continue;
    }
    const bool exact = spec.role == Role::input || spec.dtype != Dtype::f32;
    const double tolerance = exact ? 0 : c.absolute + c.relative * largest_finite(w);
    for (std::size_t i = 0; i < g.size(); ++i) {
      if (exact ? same(g[i], w[i]) : close(g[i], w[i], tolerance)) {
        if (tolerance > 0 && std::isfinite(w[i])) {
          result.worst = std::max(result.worst, std::abs(g[i] - w[i]) / tolerance);
        }
        continue;
      }
      const double share = std::abs(g[i] - w[i]) / tolerance;
      report(spec, i, g[i], w[i], std::isnan(share) ? kInfinity : share);
    }
  }
  return result;
}

std::string Mismatch::describe(const OpCase& c) const {
  std::ostringstream out;
  out.precision(9);
  out << c.op << " " << c.shape << ": ";
  if (tensor.empty()) {
    out << "agrees, largest error " << worst << " of its tolerance";
    return out.str();
  }
  const auto spec =
      std::find_if(c.tensors.begin(), c.tensors.end(), [&](const TensorSpec& s) { return s.name == tensor; });
  const bool inside = spec != c.tensors.end() && index < count_of(*spec);
  if (!inside) {
    out << tensor << " has the wrong number of elements (one of both has " << index << ")";
  } else if (spec->role == Role::input) {
    out << "input " << tensor << coordinates(index, spec->shape) << " was changed from " << want << " to " << got;
  } else {
    out << tensor << coordinates(index, spec->shape) << " is " << got << ", expected " << want << " (largest error "
        << worst << " of its tolerance)";
  }
  return out.str();
}

std::function<std::size_t(const Kernels&)> with_packed(std::function<std::size_t(const Kernels&)> scratch,
                                                       std::function<std::size_t(const Kernels&)> packed) {
  return [scratch = std::move(scratch), packed = std::move(packed)](const Kernels& kernels) {
    return (scratch(kernels) + 255) / 256 * 256 + packed(kernels);
  };
}

void* take_packed(Queue& queue, std::size_t bytes) {
  if (bytes == 0) return nullptr;
  queue.scratch.bytes -= bytes;
  return static_cast<char*>(queue.scratch.data) + queue.scratch.bytes;
}

}  // namespace gemel::reference
