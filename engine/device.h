// SPDX-License-Identifier: MIT
//
// Device: memory, copies, streams, graphs and the kernel table of one of `cuda`, `cpu`, `simt`. The rest of the engine
// and all layers see devices through this page alone.
#pragma once

#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "engine/error.h"
#include "kernels/kernels.h"

namespace gemel {

// What a device was asked to do since it was opened. Tests read it: a warmed-up training step must not move the first
// five.
struct Counters {
  std::uint64_t allocations = 0, frees = 0;
  std::uint64_t downloads = 0;         // device -> host copies; each waits for the stream
  std::uint64_t synchronizations = 0;  // waits of the host, those of downloads included
  std::uint64_t uploads = 0;           // host -> device copies
  std::uint64_t launches = 0;          // kernels launched one by one; not a graph's, nor `cpu`'s native code
  std::uint64_t graph_launches = 0;    // captured graphs replayed
};

class Device;

// An ordered queue of work. Moves, never copies; made by Device::make_stream, must not outlive its device.
class Stream {
 public:
  struct Impl {
    virtual ~Impl() = default;
    virtual void* native() const = 0;  // cudaStream_t, or null on host devices
    virtual void synchronize() = 0;
  };
  Stream(Device& device, std::unique_ptr<Impl> impl) : device_(&device), impl_(std::move(impl)) {}
  Device& device() const { return *device_; }
  void* native() const { return impl_->native(); }
  void synchronize();  // waits until all queued work is done; throws DeviceError if any of it failed

 private:
  Device* device_;
  std::unique_ptr<Impl> impl_;
};

// A point in a stream, for timing and waiting.
class Event {
 public:
  struct Impl {
    virtual ~Impl() = default;
    virtual void record(Stream&) = 0;
    virtual void wait() = 0;                                // host waits
    virtual double seconds_since(const Impl& earlier) = 0;  // both recorded and reached
  };
  explicit Event(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
  void record(Stream& stream) { impl_->record(stream); }
  void wait() { impl_->wait(); }
  double seconds_since(const Event& earlier) const { return impl_->seconds_since(*earlier.impl_); }

 private:
  std::unique_ptr<Impl> impl_;
};

// A recorded sequence of kernel calls on fixed addresses: a CUDA graph on `cuda`, the recorded function itself on host
// devices.
class Graph {
 public:
  struct Impl {
    virtual ~Impl() = default;
    virtual void replay(Stream&) = 0;
  };
  Graph() = default;
  explicit Graph(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
  explicit operator bool() const { return impl_ != nullptr; }
  void replay(Stream& stream) { impl_->replay(stream); }

 private:
  std::unique_ptr<Impl> impl_;
};

// A device and all that it made belong to one thread at a time.
class Device {
 public:
  virtual ~Device() = default;
  Device(const Device&) = delete;
  Device& operator=(const Device&) = delete;

  virtual std::string name() const = 0;         // "cuda:0", "cpu", "simt"
  virtual std::string description() const = 0;  // "NVIDIA H100 80GB HBM3, sm_90, 79 GiB" / "AMD EPYC, 2 threads, avx2"
  virtual bool on_host() const = 0;             // device memory can be read by the host
  virtual const Kernels& kernels() const = 0;

  // 256-byte aligned. allocate(0) gives null. Throws DeviceError naming the size when memory is short.
  virtual void* allocate(std::size_t bytes) = 0;
  virtual void free(void* memory) noexcept = 0;

  virtual Stream make_stream() = 0;
  virtual Event make_event() = 0;

  // Copies in stream order. upload: `from` may be reused on return. download: waits, the data is there on return.
  // 0 bytes do nothing.
  virtual void upload(Stream&, void* to, const void* from, std::size_t bytes) = 0;
  virtual void download(Stream&, void* to, const void* from, std::size_t bytes) = 0;
  virtual void copy(Stream&, void* to, const void* from, std::size_t bytes) = 0;
  virtual void fill_zero(Stream&, void* memory, std::size_t bytes) = 0;

  // Calls `work` once to record it (on `cuda` it is captured, not run; elsewhere it is neither run nor copied: kept,
  // for replay to call). `work` may queue kernels, copy and fill_zero; what else it tries (allocate, upload,
  // download, synchronize) throws DeviceError, on every device. Run it once directly before: a GPU loads kernels at
  // first use.
  virtual Graph record(Stream&, std::function<void()> work) = 0;

  Counters& counters() { return counters_; }
  Queue queue(const Stream& stream, Scratch scratch = {}) {
    activate();
    return {.stream = stream.native(), .math = math, .scratch = scratch, .launches = &counters_.launches};
  }
  Math math = Math::fp32;
  bool fuse = true;  // plans merge layers that the device computes in one pass (layers/conv_block.h)

 protected:
  friend class Stream;
  Device() = default;
  virtual void activate() {}  // makes it the calling thread's current device
  void refuse_while_recording(const char* what) const;
  Counters counters_;
  bool recording_ = false;  // inside `work` of record, or of a replay that calls it
};

// "cpu", "simt", "cuda", "cuda:1", or "auto": cuda where a GPU works, else cpu. Throws DeviceError that says why not
// ("built without CUDA", "no GPU: driver ..."), InputError for another name; never falls back silently from cuda.
std::unique_ptr<Device> open_device(std::string_view name);

// One line a device that this build and machine offer or lack, for `gemel devices`.
struct DeviceReport {
  std::string name, description;
  bool available;
};
std::vector<DeviceReport> list_devices();

}  // namespace gemel
