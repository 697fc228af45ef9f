// SPDX-License-Identifier: MIT
#include "kernels/simt/check/device_memory.h"

#include <sys/mman.h>

#include <new>
#include <utility>

namespace gemel::instrument {
namespace {

constexpr std::size_t kPage = 4096;  // of the books; a multiple of it on systems with larger pages does no harm
constexpr std::size_t kArenaBytes = std::size_t{64} << 30;

std::size_t pages_of(std::size_t bytes) { return (bytes + kPage - 1) / kPage; }

}  // namespace

ZeroPages::ZeroPages(std::size_t bytes) : bytes_(bytes) {
  if (bytes == 0) return;
  void* memory = mmap(nullptr, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (memory == MAP_FAILED) throw std::bad_alloc();
  data_ = static_cast<char*>(memory);
}

ZeroPages::~ZeroPages() {
  if (data_ != nullptr) munmap(data_, bytes_);
}

ZeroPages::ZeroPages(ZeroPages&& other) noexcept
    : data_(std::exchange(other.data_, nullptr)), bytes_(std::exchange(other.bytes_, 0)) {}

ZeroPages& ZeroPages::operator=(ZeroPages&& other) noexcept {
  std::swap(data_, other.data_);
  std::swap(bytes_, other.bytes_);
  return *this;
}

void ZeroPages::forget(std::size_t from, std::size_t bytes) { madvise(data_ + from, bytes, MADV_DONTNEED); }

void DeviceMemory::start() {
  if (arena_.data() != nullptr) return;
  owner_ = ZeroPages(kArenaBytes / kPage * sizeof(std::uint32_t));
  arena_ = ZeroPages(kArenaBytes);
}

DeviceBuffer& DeviceMemory::allocate(std::size_t bytes) {
  const std::lock_guard lock(busy_);
  start();
  const std::size_t pages = pages_of(bytes) + 2;
  if (bytes > kArenaBytes || used_ + pages * kPage > kArenaBytes) throw std::bad_alloc();
  buffers_.push_back({.begin = arena_.data() + used_ + kPage,
                      .bytes = bytes,
                      .written = ZeroPages(bytes),
                      .cells = ZeroPages((bytes + 3) / 4 * sizeof(Cell)),
                      .loaded = ZeroPages((bytes + 31) / 32 * sizeof(std::uint32_t)),
                      .stored = ZeroPages((bytes + 31) / 32 * sizeof(std::uint32_t))});
  auto* owner = reinterpret_cast<std::uint32_t*>(owner_.data()) + used_ / kPage;
  for (std::size_t page = 0; page < pages; ++page) owner[page] = static_cast<std::uint32_t>(buffers_.size());
  used_ += pages * kPage;
  return buffers_.back();
}

void DeviceMemory::release(void* begin) noexcept {
  const std::lock_guard lock(busy_);
  DeviceBuffer* buffer = at(static_cast<char*>(begin));
  if (buffer == nullptr) return;
  buffer->live = false;
  buffer->written = ZeroPages();
  buffer->cells = ZeroPages();
  buffer->loaded = ZeroPages();
  buffer->stored = ZeroPages();
  arena_.forget(static_cast<std::size_t>(buffer->begin - arena_.data()), pages_of(buffer->bytes) * kPage);
}

DeviceBuffer* DeviceMemory::at(const char* address) {
  if (!holds(address)) return nullptr;
  const std::size_t page = static_cast<std::size_t>(address - arena_.data()) / kPage;
  const std::uint32_t number = reinterpret_cast<const std::uint32_t*>(owner_.data())[page];
  return number == 0 ? nullptr : &buffers_[number - 1];
}

}  // namespace gemel::instrument
