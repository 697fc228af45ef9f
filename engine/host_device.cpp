// SPDX-License-Identifier: MIT
//
// `cpu` and `simt` differ in their kernel table and in how they describe themselves.
#include "engine/host_device.h"

#include <sys/utsname.h>

#include <chrono>
#include <cstring>
#include <fstream>
#include <new>
#include <optional>
#include <stdexcept>

#include "engine/recording.h"
#include "kernels/cpu/cpu.h"
#include "kernels/simt/thread_pool.h"

namespace gemel {
namespace {

constexpr std::align_val_t kAlignment{256};

class HostStream final : public Stream::Impl {
 public:
  void* native() const override { return nullptr; }
  void synchronize() override {}
};

class HostEvent final : public Event::Impl {
 public:
  explicit HostEvent(Counters& counters) : counters_(counters) {}
  void record(Stream&) override { reached_ = Clock::now(); }
  void wait() override { ++counters_.synchronizations; }
  double seconds_since(const Event::Impl& earlier) override {
    const auto* start = dynamic_cast<const HostEvent*>(&earlier);
    if (start == nullptr || !start->reached_ || !reached_) {
      throw DeviceError("seconds between events: both must be recorded, on the same device");
    }
    return std::chrono::duration<double>(*reached_ - *start->reached_).count();
  }

 private:
  using Clock = std::chrono::steady_clock;
  Counters& counters_;
  std::optional<Clock::time_point> reached_;
};

// "AMD EPYC 9B45", or the architecture where the system does not tell (most of arm64).
std::string processor_model() {
  std::ifstream cpuinfo("/proc/cpuinfo");
  for (std::string line; std::getline(cpuinfo, line);) {
    const auto colon = line.find(": ");
    if (line.starts_with("model name") && colon != std::string::npos) return line.substr(colon + 2);
  }
  utsname system{};
  return uname(&system) == 0 ? concat(system.machine, " processor") : "unknown processor";
}

// The environment's settings (GEMEL_THREADS, GEMEL_CPU_ISA) are read at first use; a bad one is a user's to mend.
template <class F>
auto with_settings(F&& f) {
  try {
    return f();
  } catch (const std::invalid_argument& error) {
    throw InputError(error.what());
  }
}

std::string processor_and_threads() {
  return concat(processor_model(), ", ", ThreadPool::instance().threads(), " threads");
}

class HostDevice final : public Device {
 public:
  HostDevice(std::string name, std::string description, const Kernels& kernels)
      : name_(std::move(name)), description_(std::move(description)), kernels_(kernels) {}

  std::string name() const override { return name_; }
  std::string description() const override { return description_; }
  bool on_host() const override { return true; }
  const Kernels& kernels() const override { return kernels_; }

  void* allocate(std::size_t bytes) override {
    refuse_while_recording("allocate");
    if (bytes == 0) return nullptr;
    void* memory = ::operator new(bytes, kAlignment, std::nothrow);
    if (memory == nullptr) {
      throw DeviceError(
          concat(name_, ": no memory for ", bytes, " bytes (", bytes >> 20, " MiB); use a smaller batch or network"));
    }
    ++counters_.allocations;
    return memory;
  }
  void free(void* memory) noexcept override {
    if (memory == nullptr) return;
    ::operator delete(memory, kAlignment);
    ++counters_.frees;
  }

  Stream make_stream() override { return {*this, std::make_unique<HostStream>()}; }
  Event make_event() override { return Event(std::make_unique<HostEvent>(counters_)); }

  void upload(Stream&, void* to, const void* from, std::size_t bytes) override {
    refuse_while_recording("upload");
    if (bytes == 0) return;
    std::memcpy(to, from, bytes);
    ++counters_.uploads;
  }
  void download(Stream&, void* to, const void* from, std::size_t bytes) override {
    refuse_while_recording("download");
    if (bytes == 0) return;
    std::memcpy(to, from, bytes);
    ++counters_.downloads;
    ++counters_.synchronizations;
  }
  void copy(Stream&, void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) std::memcpy(to, from, bytes);
  }
  void fill_zero(Stream&, void* memory, std::size_t bytes) override {
    if (bytes != 0) std::memset(memory, 0, bytes);
  }

  Graph record(Stream&, std::function<void()> work) override {
    refuse_while_recording("record");
    return Graph(std::make_unique<KeptGraph>(recording_, counters_, std::move(work)));
  }

 private:
  std::string name_, description_;
  const Kernels& kernels_;
};

}  // namespace

std::unique_ptr<Device> open_cpu_device() {
  return with_settings([] {
    return std::make_unique<HostDevice>("cpu", concat(processor_and_threads(), ", ", cpu::isa_name()), cpu::kernels());
  });
}

std::unique_ptr<Device> open_simt_device() {
  return with_settings([] {
    return std::make_unique<HostDevice>("simt", "GPU threads as fibers on " + processor_and_threads(), simt::kernels());
  });
}

}  // namespace gemel
