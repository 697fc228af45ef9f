// SPDX-License-Identifier: MIT
//
// The device `cuda`: one NVIDIA GPU through the CUDA runtime. With kernels/simt/ the only place that includes it.
//
// Errors: a CUDA call that fails throws DeviceError with the call's purpose, CUDA's name for the error and what to do.
// A kernel that fails while it runs shows at the next wait; the GPU's context is lost then, so that every later call
// fails too, and only a new process helps. Handles free themselves and ignore errors: a destructor has nobody to tell.
#include "engine/cuda_device.h"

#include <cuda_runtime.h>

#include <cstdlib>
#include <type_traits>

#include "engine/recording.h"

namespace gemel {
namespace {

// ---- errors

const char* advice(cudaError_t error) {
  switch (error) {
    case cudaErrorMemoryAllocation:
      return "use a smaller batch or network, or end other programs on the GPU (nvidia-smi lists them)";
    case cudaErrorNoDevice:
      return "no NVIDIA GPU is visible: see nvidia-smi and CUDA_VISIBLE_DEVICES, or use the device cpu";
    case cudaErrorInsufficientDriver:
    case cudaErrorUnsupportedPtxVersion:
      return "the NVIDIA driver is older than the CUDA toolkit of this build: update the driver, or use the device cpu";
    case cudaErrorSystemDriverMismatch:
    case cudaErrorSystemNotReady:
    case cudaErrorInitializationError:
      return "the NVIDIA driver does not work: see nvidia-smi and dmesg; after an update of the driver, restart";
    case cudaErrorNoKernelImageForDevice:
    case cudaErrorInvalidDeviceFunction:
      return "this build has no code for the GPU: build with -DCMAKE_CUDA_ARCHITECTURES=NN, NN its compute capability";
    case cudaErrorDevicesUnavailable:
      return "another program holds the GPU in exclusive mode (nvidia-smi lists it)";
    case cudaErrorIllegalAddress:
    case cudaErrorMisalignedAddress:
    case cudaErrorLaunchFailure:
    case cudaErrorIllegalInstruction:
    case cudaErrorAssert:
      return "a kernel failed: GEMEL_SYNC=1 tells which, compute-sanitizer where";
    case cudaErrorStreamCaptureUnsupported:
    case cudaErrorStreamCaptureInvalidated:
    case cudaErrorStreamCaptureImplicit:
    case cudaErrorStreamCaptureUnjoined:
      return "recorded work may queue kernels, copies and fills on its own stream only";
    default:
      return "see nvidia-smi and dmesg for the state of the GPU";
  }
}

std::string explain(cudaError_t error) {
  return concat(cudaGetErrorName(error), " (", cudaGetErrorString(error), "); ", advice(error));
}

void check(cudaError_t error, std::string_view what) {
  if (error == cudaSuccess) return;
  cudaGetLastError();  // a reported error must not be reported again by the next launch
  throw DeviceError(concat("cuda: ", what, ": ", explain(error)));
}

// ---- handles

template <auto Destroy>
struct Destroyer {
  template <class T>
  void operator()(T* handle) const noexcept {
    Destroy(handle);
  }
};
template <class Handle, auto Destroy>
using UniqueHandle = std::unique_ptr<std::remove_pointer_t<Handle>, Destroyer<Destroy>>;

using StreamHandle = UniqueHandle<cudaStream_t, cudaStreamDestroy>;
using EventHandle = UniqueHandle<cudaEvent_t, cudaEventDestroy>;
using GraphHandle = UniqueHandle<cudaGraph_t, cudaGraphDestroy>;
using GraphExecHandle = UniqueHandle<cudaGraphExec_t, cudaGraphExecDestroy>;

cudaStream_t native(const Stream& stream) { return static_cast<cudaStream_t>(stream.native()); }

class CudaStream final : public Stream::Impl {
 public:
  CudaStream() {  // non-blocking: does not wait for the legacy default stream, which nothing here uses
    cudaStream_t stream;
    check(cudaStreamCreateWithFlags(&stream, cudaStreamNonBlocking), "making a stream");
    stream_.reset(stream);
  }
  void* native() const override { return stream_.get(); }
  void synchronize() override { check(cudaStreamSynchronize(stream_.get()), "waiting for queued work"); }

 private:
  StreamHandle stream_;
};

class CudaEvent final : public Event::Impl {
 public:
  explicit CudaEvent(Counters& counters) : counters_(counters) {
    cudaEvent_t event;
    check(cudaEventCreate(&event), "making an event");
    event_.reset(event);
  }
  void record(Stream& stream) override { check(cudaEventRecord(event_.get(), native(stream)), "recording an event"); }
  void wait() override {
    check(cudaEventSynchronize(event_.get()), "waiting for an event");
    ++counters_.synchronizations;
  }
  double seconds_since(const Event::Impl& earlier) override {
    const auto* start = dynamic_cast<const CudaEvent*>(&earlier);
    if (start == nullptr) throw DeviceError("seconds between events: both must be recorded, on the same device");
    float milliseconds = 0;
    check(cudaEventElapsedTime(&milliseconds, start->event_.get(), event_.get()),
          "seconds between events, which must both be recorded and waited for");
    return milliseconds * 1e-3;
  }

 private:
  Counters& counters_;
  EventHandle event_;
};

class CudaGraph final : public Graph::Impl {
 public:
  CudaGraph(GraphExecHandle graph, Counters& counters) : graph_(std::move(graph)), counters_(counters) {}
  void replay(Stream& stream) override {
    check(cudaGraphLaunch(graph_.get(), native(stream)), "replaying a graph");
    ++counters_.graph_launches;
  }

 private:
  GraphExecHandle graph_;
  Counters& counters_;
};

// From begin to finish the stream records what is queued on it. Left by an exception, what was recorded is dropped.
class Capture {
 public:
  explicit Capture(cudaStream_t stream) : stream_(stream) {
    check(cudaStreamBeginCapture(stream_, cudaStreamCaptureModeThreadLocal), "starting to record");
  }
  ~Capture() {
    if (!active_) return;
    cudaGraph_t graph = nullptr;
    cudaStreamEndCapture(stream_, &graph);
    GraphHandle dropped(graph);
    cudaGetLastError();
  }
  Capture(const Capture&) = delete;
  Capture& operator=(const Capture&) = delete;

  GraphHandle finish() {
    active_ = false;
    cudaGraph_t graph = nullptr;
    check(cudaStreamEndCapture(stream_, &graph), "recording");
    return GraphHandle(graph);
  }

 private:
  cudaStream_t stream_;
  bool active_ = true;
};

// ---- the GPU

// GEMEL_SYNC=1 waits for every kernel, so that an error names its kernel. One cannot wait inside a capture.
bool waits_for_every_kernel() {
  const char* value = std::getenv("GEMEL_SYNC");
  return value != nullptr && std::string_view(value) != "0" && std::string_view(value) != "";
}

// How many GPUs there are. Throws DeviceError when there is none.
int gpu_count() {
  int driver = 0;
  if (cudaDriverGetVersion(&driver) != cudaSuccess || driver == 0) {
    throw DeviceError("cuda: no NVIDIA driver is installed; install it, or use the device cpu");
  }
  int count = 0;
  check(cudaGetDeviceCount(&count), "looking for GPUs");
  if (count == 0) check(cudaErrorNoDevice, "looking for GPUs");
  return count;
}

// "NVIDIA H100 80GB HBM3, sm_90, 79 GiB".
std::string describe_gpu(int index) {
  cudaDeviceProp gpu{};
  check(cudaGetDeviceProperties(&gpu, index), "asking for a GPU's properties");
  return concat(gpu.name, ", sm_", gpu.major, gpu.minor, ", ", gpu.totalGlobalMem >> 30, " GiB");
}

class CudaDevice final : public Device {
 public:
  explicit CudaDevice(int index) : index_(index) {
    if (const int count = gpu_count(); index >= count) {
      throw DeviceError(concat(name(), ": no such GPU; there are ", count, ", counted from 0"));
    }
    check(cudaSetDevice(index_), name());
    description_ = describe_gpu(index_);
    check(cudaDeviceGetAttribute(&host_page_tables_, cudaDevAttrPageableMemoryAccessUsesHostPageTables, index_),
          "asking for a GPU's properties");
    try_a_kernel();
    counters_ = {};
  }

  std::string name() const override { return concat("cuda:", index_); }
  std::string description() const override { return description_; }
  bool on_host() const override { return false; }
  const Kernels& kernels() const override { return cuda::kernels(); }

  void* allocate(std::size_t bytes) override {
    refuse_while_recording("allocate");
    if (bytes == 0) return nullptr;
    activate();
    void* memory = nullptr;
    if (const cudaError_t error = cudaMalloc(&memory, bytes); error != cudaSuccess) {
      std::size_t free = 0, total = 0;
      cudaMemGetInfo(&free, &total);
      check(error, concat("no memory for ", bytes, " bytes (", bytes >> 20, " MiB; free are ", free >> 20, " of ",
                          total >> 20, " MiB)"));
    }
    ++counters_.allocations;
    return memory;
  }
  void free(void* memory) noexcept override {
    if (memory == nullptr) return;
    cudaSetDevice(index_);
    cudaFree(memory);
    ++counters_.frees;
  }

  Stream make_stream() override {
    activate();
    return {*this, std::make_unique<CudaStream>()};
  }
  Event make_event() override {
    activate();
    return Event(std::make_unique<CudaEvent>(counters_));
  }

  void upload(Stream& stream, void* to, const void* from, std::size_t bytes) override {
    refuse_while_recording("upload");
    if (bytes == 0) return;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyHostToDevice, native(stream)), "upload");
    // Ordinary memory has been copied to the driver's staging buffer by now; where the GPU reads it in place, wait.
    if (!staged_by_driver(from)) check(cudaStreamSynchronize(native(stream)), "upload");
    ++counters_.uploads;
  }
  void download(Stream& stream, void* to, const void* from, std::size_t bytes) override {
    refuse_while_recording("download");
    if (bytes == 0) return;
    check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToHost, native(stream)), "download");
    check(cudaStreamSynchronize(native(stream)), "download");
    ++counters_.downloads;
    ++counters_.synchronizations;
  }
  void copy(Stream& stream, void* to, const void* from, std::size_t bytes) override {
    if (bytes != 0) check(cudaMemcpyAsync(to, from, bytes, cudaMemcpyDeviceToDevice, native(stream)), "copy");
  }
  void fill_zero(Stream& stream, void* memory, std::size_t bytes) override {
    if (bytes != 0) check(cudaMemsetAsync(memory, 0, bytes, native(stream)), "fill_zero");
  }

  Graph record(Stream& stream, std::function<void()> work) override {
    refuse_while_recording("record");
    activate();
    if (waits_for_every_kernel()) return Graph(std::make_unique<KeptGraph>(recording_, counters_, std::move(work)));
    GraphHandle graph;
    {
      const RecordingScope scope(recording_, counters_);
      Capture capture(native(stream));
      work();
      graph = capture.finish();
    }
    cudaGraphExec_t native_exec = nullptr;
    check(cudaGraphInstantiateWithFlags(&native_exec, graph.get(), 0), "making a graph");
    GraphExecHandle exec(native_exec);
    check(cudaGraphUpload(exec.get(), native(stream)), "making a graph");
    return Graph(std::make_unique<CudaGraph>(std::move(exec), counters_));
  }

 private:
  void activate() override { check(cudaSetDevice(index_), name()); }

  bool staged_by_driver(const void* from) const {
    cudaPointerAttributes attributes{};
    check(cudaPointerGetAttributes(&attributes, from), "upload");
    return attributes.type == cudaMemoryTypeUnregistered && host_page_tables_ == 0;
  }

  // A GPU that is found need not work: this build may lack code for it. Runs the smallest kernel and looks at the
  // result.
  void try_a_kernel() {
    constexpr float kRate = 0.5f;
    Stream stream = make_stream();
    const auto free_state = [this](void* memory) { free(memory); };
    const std::unique_ptr<StepState, decltype(free_state)> state(static_cast<StepState*>(allocate(sizeof(StepState))),
                                                                 free_state);
    fill_zero(stream, state.get(), sizeof(StepState));
    const Schedule schedule{.base = kRate};
    StepState result{};
    try {
      kernels().begin_step(queue(stream), schedule, state.get());
      download(stream, &result, state.get(), sizeof(result));
    } catch (const std::exception& error) {
      throw DeviceError(concat(name(), " (", description_, ") does not run this build's kernels: ", error.what(), "; ",
                               advice(cudaErrorNoKernelImageForDevice)));
    }
    if (result.learning_rate != kRate) {
      throw DeviceError(
          concat(name(), " (", description_, "): a first kernel gave a wrong result; ", advice(cudaErrorUnknown)));
    }
  }

  int index_;
  int host_page_tables_ = 0;  // 1: the GPU reads ordinary host memory in place (Grace Hopper)
  std::string description_;
};

}  // namespace

std::unique_ptr<Device> open_cuda_device(int index) { return std::make_unique<CudaDevice>(index); }

std::vector<DeviceReport> list_cuda_devices() {
  std::vector<DeviceReport> reports;
  try {
    const int count = gpu_count();
    for (int index = 0; index < count; ++index) {
      try {
        const CudaDevice device(index);
        reports.push_back({device.name(), device.description(), true});
      } catch (const DeviceError& error) {
        reports.push_back({concat("cuda:", index), error.what(), false});
      }
    }
  } catch (const DeviceError& error) {
    reports.push_back({"cuda", error.what(), false});
  }
  return reports;
}

}  // namespace gemel
