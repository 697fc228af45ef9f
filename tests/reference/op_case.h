// SPDX-License-Identifier: MIT
//
// One case, four uses. An OpCase is one call of one table entry on one shape: how its tensors are filled, how the
// device computes it, what the double-precision plain-loop reference says, and what it costs. From the same list come
// the tests (every device against the reference, gradients against numerical differences), `gemel check`, and the
// benchmarks (which print no speed for a wrong result).
//
// A new operation adds a function `std::vector<OpCase> NAME_cases()` beside its reference in tests/reference/NAME.cpp
// and one line in all_cases() (tests/reference/all_cases.cpp).
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "kernels/kernels.h"

namespace gemel::reference {

enum class Dtype { f32, u8, i32 };
enum class Role {
  input,   // filled before the call, must not change
  output,  // NaN (f32) or 0xA5 bytes before the call: whatever is not written shows
  inout    // filled before the call and changed by it (parameter gradients accumulate)
};

// What a device tensor is filled with; values are exactly representable in its dtype.
struct Fill {
  enum class Kind { normal, uniform, constant, integers, custom } kind = Kind::normal;
  double a = 0, b = 1;  // normal: mean, deviation; uniform, integers: lowest, highest; constant: a
  std::function<void(std::vector<double>&, std::uint64_t seed)> custom{};
};

struct TensorSpec {
  std::string name;
  std::vector<int> shape;
  Role role = Role::input;
  Fill fill{};
  Dtype dtype = Dtype::f32;
};

// The tensors of a case as doubles, by name: what the reference reads and writes.
using Values = std::map<std::string, std::vector<double>>;

// The tensors of a case on a device, by name. Pointers carry no dtype: the case knows.
class DeviceTensors {
 public:
  virtual ~DeviceTensors() = default;
  virtual void* raw(const std::string& name) = 0;  // throws std::out_of_range for an unknown name
  float* f32(const std::string& name) { return static_cast<float*>(raw(name)); }
  std::uint8_t* u8(const std::string& name) { return static_cast<std::uint8_t*>(raw(name)); }
  std::int32_t* i32(const std::string& name) { return static_cast<std::int32_t*>(raw(name)); }
};

// d objective / d values[input] must be values[gradient], as computed by the case's reference.
struct GradientSpec {
  std::string input, gradient;
};

struct Cost {
  double flops = 0,
         bytes = 0;  // arithmetic of the formula; least memory traffic (each input read, each output written once)
};

struct OpCase {
  std::string op;     // the entry's name in struct Kernels
  std::string shape;  // "n=2 7x5x3 -> 4 @3x3 stride 2 pad 1"
  std::vector<TensorSpec> tensors;
  std::function<std::size_t(const Kernels&)> scratch;  // empty: none
  std::function<void(const Kernels&, Queue, DeviceTensors&)> run;
  std::function<void(Values&)> reference;  // fills outputs and updates inouts from inputs, in double

  // Backward entries: the forward pass as a scalar of the inputs, e.g. sum(y * dy), for central differences in double.
  // `kinks` names inputs whose elements closer than the step to a kink are skipped by the case's own fill (keep inputs
  // away from kinks instead where possible).
  std::function<double(const Values&)> objective;
  std::vector<GradientSpec> gradients;

  // |got - want| <= absolute + relative * scale, scale the largest |want| of the tensor. Integers must be equal.
  double relative = 1e-5, absolute = 1e-6;
  Cost cost;
  int channels = 0;    // of a convolution's image, which a rung may ask for
  bool bench = false;  // a shape worth timing; small awkward ones are for tests alone
};

// For cases that pass an entry its weights packed: scratch with room for them behind it, and that room, taken off the
// end of the queue's scratch (null for 0 bytes: this device does not pack).
std::function<std::size_t(const Kernels&)> with_packed(std::function<std::size_t(const Kernels&)> scratch,
                                                       std::function<std::size_t(const Kernels&)> packed);
void* take_packed(Queue& queue, std::size_t bytes);

// ---- comparison
struct Mismatch {
  std::string tensor;  // empty: all close
  std::size_t index = 0;
  double got = 0, want = 0;
  double worst = 0;  // largest error of all tensors, as a share of its tolerance
  std::string describe(const OpCase& c) const;
};

// NaN in `got` is close only to NaN in `want`; infinities only to themselves.
bool close(double got, double want, double tolerance);

// Seeded inputs; the same for every device. Outputs are left empty.
Values make_inputs(const OpCase& c, std::uint64_t seed);

// Compares outputs and inouts with the reference, inputs with what they were.
Mismatch compare(const OpCase& c, const Values& inputs, const Values& got, const Values& want);

// Memory of a device for DeviceTensors: host devices (simt, cpu) use aligned host memory, cuda its own; see
// engine-based runner in tests/reference/run_case.h.

// ---- every case of every entry; `large` adds the shapes that only native devices finish quickly.
enum class Depth { quick, full };
std::vector<OpCase> all_cases(Depth depth);

// One function an operation, each in its own file beside its plain loops.
std::vector<OpCase> conv2d_cases(Depth);
std::vector<OpCase> conv_block_cases(Depth);
std::vector<OpCase> local2d_cases(Depth);
std::vector<OpCase> linear_cases(Depth);
std::vector<OpCase> pool2d_cases(Depth);
std::vector<OpCase> activation_cases(Depth);
std::vector<OpCase> dropout_cases(Depth);
std::vector<OpCase> channel_cases(Depth);
std::vector<OpCase> residual_cases(Depth);
std::vector<OpCase> normalize_cases(Depth);
std::vector<OpCase> distance_cases(Depth);
std::vector<OpCase> loss_cases(Depth);
std::vector<OpCase> optimizer_cases(Depth);
std::vector<OpCase> image_cases(Depth);
std::vector<OpCase> photograph_cases(Depth);
std::vector<OpCase> face_cases(Depth);

}  // namespace gemel::reference
