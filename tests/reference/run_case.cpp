// SPDX-License-Identifier: MIT
//
// Every buffer of a case lies between two guards of 64 bytes. The guards, and what an output holds before the call,
// are NaN as floats: a kernel that reads past its operand, or leaves an element unwritten, shows in the result.
#include "tests/reference/run_case.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <limits>
#include <new>
#include <sstream>
#include <stdexcept>
#include <utility>

namespace gemel::reference {
namespace {

constexpr std::size_t kGuard = 64;
constexpr std::size_t kAlignment = 256;
constexpr std::array<std::uint8_t, 4> kGuardPattern{0xB5, 0xA7, 0xFF, 0x7F};  // a NaN, low byte first

using Bytes = std::vector<std::uint8_t>;

void fill_guard(std::uint8_t* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) from[i] = kGuardPattern[i % kGuardPattern.size()];
}

bool guard_intact(const std::uint8_t* from, std::size_t count) {
  for (std::size_t i = 0; i < count; ++i) {
    if (from[i] != kGuardPattern[i % kGuardPattern.size()]) return false;
  }
  return true;
}

std::size_t element_bytes(Dtype dtype) { return dtype == Dtype::u8 ? 1 : 4; }

std::size_t count_of(const TensorSpec& spec) {
  std::size_t count = 1;
  for (const int extent : spec.shape) count *= static_cast<std::size_t>(extent);
  return count;
}

template <class T>
void encode_as(const std::vector<double>& values, std::uint8_t* to) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    const T value = static_cast<T>(values[i]);
    std::memcpy(to + i * sizeof(T), &value, sizeof(T));
  }
}

template <class T>
std::vector<double> decode_as(const std::uint8_t* from, std::size_t count) {
  std::vector<double> values(count);
  for (std::size_t i = 0; i < count; ++i) {
    T value;
    std::memcpy(&value, from + i * sizeof(T), sizeof(T));
    values[i] = static_cast<double>(value);
  }
  return values;
}

void encode(const TensorSpec& spec, const std::vector<double>& values, std::uint8_t* to) {
  switch (spec.dtype) {
    case Dtype::f32:
      return encode_as<float>(values, to);
    case Dtype::u8:
      return encode_as<std::uint8_t>(values, to);
    case Dtype::i32:
      return encode_as<std::int32_t>(values, to);
  }
}

std::vector<double> decode(const TensorSpec& spec, const std::uint8_t* from) {
  switch (spec.dtype) {
    case Dtype::u8:
      return decode_as<std::uint8_t>(from, count_of(spec));
    case Dtype::i32:
      return decode_as<std::int32_t>(from, count_of(spec));
    case Dtype::f32:
      break;
  }
  return decode_as<float>(from, count_of(spec));
}

// Device bytes between their guards.
class GuardedBuffer {
 public:
  // `contents` is what lies between the guards at first.
  GuardedBuffer(const Memory& memory, const Bytes& contents, bool guard_in_front)
      : memory_(&memory),
        guard_(memory.watched ? 0 : kGuard),
        front_(guard_in_front ? guard_ : 0),
        bytes_(contents.size()) {
    Bytes all(front_ + bytes_ + guard_);
    fill_guard(all.data(), front_);
    std::copy(contents.begin(), contents.end(), all.begin() + static_cast<std::ptrdiff_t>(front_));
    fill_guard(all.data() + front_ + bytes_, guard_);
    base_ = memory.allocate(all.size());
    memory.upload(base_, all.data(), all.size());
  }
  // Contents as they come.
  GuardedBuffer(const Memory& memory, std::size_t bytes)
      : memory_(&memory), base_(memory.allocate(bytes)), guard_(0), front_(0), bytes_(bytes) {}
  ~GuardedBuffer() {
    if (base_ != nullptr) memory_->free(base_);
  }
  GuardedBuffer(GuardedBuffer&& other) noexcept
      : memory_(other.memory_),
        base_(std::exchange(other.base_, nullptr)),
        guard_(other.guard_),
        front_(other.front_),
        bytes_(other.bytes_) {}
  GuardedBuffer& operator=(GuardedBuffer&&) = delete;

  void* data() const { return static_cast<std::uint8_t*>(base_) + front_; }
  std::size_t bytes() const { return bytes_; }

  // The contents; `intact` tells whether both guards still are.
  Bytes read(bool* intact) const {
    Bytes all(front_ + bytes_ + guard_);
    memory_->download(all.data(), base_, all.size());
    *intact = guard_intact(all.data(), front_) && guard_intact(all.data() + front_ + bytes_, guard_);
    const auto begin = all.begin() + static_cast<std::ptrdiff_t>(front_);
    return Bytes(begin, begin + static_cast<std::ptrdiff_t>(bytes_));
  }

 private:
  const Memory* memory_;
  void* base_ = nullptr;
  std::size_t guard_, front_, bytes_;
};

class Buffers final : public DeviceTensors {
 public:
  void add(const std::string& name, GuardedBuffer buffer) { buffers_.emplace(name, std::move(buffer)); }
  const GuardedBuffer& at(const std::string& name) const { return buffers_.at(name); }
  void* raw(const std::string& name) override { return at(name).data(); }

 private:
  std::map<std::string, GuardedBuffer> buffers_;
};

Bytes before_call(const TensorSpec& spec, const std::vector<double>& values) {
  Bytes bytes(count_of(spec) * element_bytes(spec.dtype), 0xA5);
  if (spec.role != Role::output) {
    encode(spec, values, bytes.data());
  } else if (spec.dtype == Dtype::f32) {
    fill_guard(bytes.data(), bytes.size());
  }
  return bytes;
}

// Outputs get their size before the reference runs, so that it may index them.
Values evaluate(const OpCase& c, const Values& inputs) {
  Values values = inputs;
  for (const TensorSpec& spec : c.tensors) {
    if (spec.role == Role::output) values[spec.name].assign(count_of(spec), std::numeric_limits<double>::quiet_NaN());
  }
  c.reference(values);
  return values;
}

}  // namespace

Memory host_memory() {
  return {.allocate = [](std::size_t bytes) { return ::operator new (bytes, std::align_val_t{kAlignment}); },
          .free = [](void* p) { ::operator delete (p, std::align_val_t{kAlignment}); },
          .upload = [](void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); },
          .download = [](void* to, const void* from, std::size_t bytes) { std::memcpy(to, from, bytes); }};
}

Outcome run_case(const OpCase& c, const Kernels& kernels, Queue queue, const Memory& memory, std::uint64_t seed) {
  const Values inputs = make_inputs(c, seed);
  Buffers buffers;
  for (const TensorSpec& spec : c.tensors) {
    buffers.add(spec.name, GuardedBuffer(memory, before_call(spec, inputs.at(spec.name)), true));
  }
  // No guard in front of the scratch: it is aligned like the memory itself.
  Bytes scratch_contents(c.scratch ? c.scratch(kernels) : 0);
  fill_guard(scratch_contents.data(), scratch_contents.size());
  const GuardedBuffer scratch =
      memory.watched ? GuardedBuffer(memory, scratch_contents.size()) : GuardedBuffer(memory, scratch_contents, false);
  queue.scratch = {scratch.data(), scratch.bytes()};

  c.run(kernels, queue, buffers);

  Outcome outcome;
  for (const TensorSpec& spec : c.tensors) {
    bool intact = false;
    outcome.got[spec.name] = decode(spec, buffers.at(spec.name).read(&intact).data());
    if (!intact && outcome.overwritten.empty()) outcome.overwritten = spec.name;
  }
  bool intact = false;
  scratch.read(&intact);
  if (!intact && outcome.overwritten.empty()) outcome.overwritten = "scratch";
  outcome.mismatch = compare(c, inputs, outcome.got, evaluate(c, inputs));
  return outcome;
}

std::string check_gradient(const OpCase& c, std::uint64_t seed) {
  constexpr double kStep = 1e-4;
  constexpr std::size_t kMostElements = 400;  // of one tensor; more are sampled evenly

  if (!c.objective || c.gradients.empty()) throw std::logic_error(c.op + " " + c.shape + ": no objective");
  const Values inputs = make_inputs(c, seed);
  const Values values = evaluate(c, inputs);
  for (const auto& [input, gradient] : c.gradients) {
    std::vector<double> analytic = values.at(gradient);
    if (const std::vector<double>& before = inputs.at(gradient); !before.empty()) {  // accumulated into
      for (std::size_t i = 0; i < analytic.size(); ++i) analytic[i] -= before[i];
    }
    if (analytic.size() != inputs.at(input).size()) {
      return c.op + " " + c.shape + ": " + gradient + " and " + input + " differ in size";
    }
    double scale = 0;
    for (const double g : analytic) scale = std::max(scale, std::abs(g));

    Values moved = inputs;
    std::vector<double>& x = moved.at(input);
    const std::size_t every = (x.size() + kMostElements - 1) / kMostElements;
    for (std::size_t i = 0; i < x.size(); i += std::max<std::size_t>(every, 1)) {
      const double at = x[i];
      x[i] = at + kStep;
      const double above = c.objective(moved);
      x[i] = at - kStep;
      const double below = c.objective(moved);
      x[i] = at;
      const double numeric = (above - below) / (2 * kStep);
      // The truncation error is of order kStep^2; the rounding error that of the objective over kStep.
      const double tolerance = 1e-5 * scale + 1e-9 * (1 + std::abs(above));
      if (!close(analytic[i], numeric, tolerance)) {
        std::ostringstream out;
        out.precision(9);
        out << c.op << " " << c.shape << ": " << gradient << "[" << i << "] is " << analytic[i]
            << ", the central difference is " << numeric;
        return out.str();
      }
    }
  }
  return {};
}

}  // namespace gemel::reference
