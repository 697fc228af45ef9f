// SPDX-License-Identifier: MIT
//
// The memory of a worker: stacks and shared memory.
#include "kernels/simt/worker.h"

#include <sys/mman.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <new>
#include <string>

#include "kernels/simt/check/events.h"

#if defined(GEMEL_SIMT_ASAN)
#include <sanitizer/asan_interface.h>
#define SIMT_FORBID(address, bytes) __asan_poison_memory_region(address, bytes)
#define SIMT_ALLOW(address, bytes) __asan_unpoison_memory_region(address, bytes)
#else
#define SIMT_FORBID(address, bytes) static_cast<void>(0)
#define SIMT_ALLOW(address, bytes) static_cast<void>(0)
#endif
#if defined(GEMEL_SIMT_TSAN)
#include <sanitizer/tsan_interface.h>
#endif

namespace gemel::GEMEL_EXECUTOR::detail {
namespace {

constexpr std::size_t kStackBytes = 64 * 1024;
constexpr std::size_t kStacksBytes = kStackBytes * kMaxThreadsPerBlock;
constexpr std::size_t kArenaBytes = 2 * kMaxSharedBytes;  // room for gaps
constexpr std::size_t kArenaAlignment = 1024;
#if defined(GEMEL_SIMT_ASAN)
constexpr std::size_t kGap = 64;  // forbidden bytes after each piece of shared memory
#else
constexpr std::size_t kGap = kChecked ? 128 : 0;  // all banks once: the next piece begins at the bank it would
#endif

std::size_t round_up(std::size_t x, std::size_t multiple) { return (x + multiple - 1) / multiple * multiple; }

}  // namespace

// ---- stacks ----

Stacks::Stacks() {
  void* memory =
      mmap(nullptr, kStacksBytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  memory_ = static_cast<char*>(memory);
  const auto page = static_cast<std::size_t>(sysconf(_SC_PAGESIZE));
  for (unsigned fiber = 0; fiber < kMaxThreadsPerBlock; ++fiber) {
    mprotect(memory_ + fiber * kStackBytes, page, PROT_NONE);
  }
}

Stacks::~Stacks() { munmap(memory_, kStacksBytes); }

char* Stacks::bottom(int fiber) const { return memory_ + static_cast<std::size_t>(fiber) * kStackBytes; }

// The tops are not all the same distance apart from a multiple of the stack's size: at 64 KB apart the lines in use
// would share a few sets of the first-level cache.
char* Stacks::top(int fiber) const {
  return bottom(fiber) + kStackBytes - static_cast<std::size_t>(fiber) * 1088 % 8192;
}

std::size_t Stacks::usable_bytes() const { return kStackBytes; }

// ---- shared memory ----

void SharedMemory::Free::operator()(unsigned char* p) const {
  SIMT_ALLOW(p, kArenaBytes);
  std::free(p);
}

SharedMemory::SharedMemory()
    : memory_(
          static_cast<unsigned char*>(std::aligned_alloc(kArenaAlignment, round_up(kArenaBytes, kArenaAlignment)))) {
  if (memory_ == nullptr) throw std::bad_alloc();
}

unsigned char* SharedMemory::begin_block(std::size_t dynamic_bytes) {
  SIMT_FORBID(memory_.get(), kArenaBytes);
  if constexpr (kChecked) instrument::begin_shared(memory_.get(), kArenaBytes);
  pieces_.clear();
  used_ = 0;
  static_bytes_ = 0;
  dynamic_bytes_ = dynamic_bytes;
  return static_cast<unsigned char*>(take(dynamic_bytes, 128));
}

void* SharedMemory::get(const void* declaration, std::size_t bytes, std::size_t alignment, std::string_view kernel) {
  for (const Piece& piece : pieces_) {
    if (piece.declaration == declaration) return piece.address;
  }
  static_bytes_ = round_up(static_bytes_, alignment) + bytes;
  if (static_bytes_ > kMaxStaticSharedBytes) {
    throw LaunchError(kernel_name(kernel) + ": " + std::to_string(static_bytes_) +
                      " bytes of static shared memory; the limit is " + std::to_string(kMaxStaticSharedBytes));
  }
  if (static_bytes_ + dynamic_bytes_ > kMaxSharedBytes) {
    throw LaunchError(kernel_name(kernel) + ": " + std::to_string(static_bytes_) + " bytes of static and " +
                      std::to_string(dynamic_bytes_) + " of dynamic shared memory; the limit is " +
                      std::to_string(kMaxSharedBytes) + " together");
  }
  void* address = take(bytes, alignment);
  pieces_.push_back({declaration, address});
  return address;
}

// Fresh memory is all ones, a NaN in every floating-point type and -1 in the integers, so that a read of what
// nobody wrote shows.
void* SharedMemory::take(std::size_t bytes, std::size_t alignment) {
  const std::size_t at = round_up(used_, alignment);
  used_ = at + bytes + kGap;
  void* address = memory_.get() + at;
  SIMT_ALLOW(address, bytes);
  std::memset(address, 0xff, bytes);
  if constexpr (kChecked) instrument::shared_piece(address, bytes);
  return address;
}

// ---- worker ----

Worker::Worker() {
#if defined(GEMEL_SIMT_TSAN)
  device_fiber = __tsan_create_fiber(0);
#endif
}

Worker::~Worker() {
#if defined(GEMEL_SIMT_TSAN)
  __tsan_destroy_fiber(device_fiber);
#endif
}

}  // namespace gemel::GEMEL_EXECUTOR::detail
