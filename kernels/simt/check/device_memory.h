// SPDX-License-Identifier: MIT
//
// The device memory of `check`: one range of addresses, in which each buffer lies alone on its pages with pages of nobody
// on either side. Addresses are not used twice, so that a freed buffer is known for one. Private to the instrument.
#pragma once

#include <cstddef>
#include <cstdint>
#include <deque>
#include <mutex>

#include "kernels/simt/check/shadow.h"

namespace gemel::instrument {

// Zeros, taken from the system as they are touched.
class ZeroPages {
 public:
  ZeroPages() = default;
  explicit ZeroPages(std::size_t bytes);  // throws std::bad_alloc
  ~ZeroPages();
  ZeroPages(ZeroPages&& other) noexcept;
  ZeroPages& operator=(ZeroPages&& other) noexcept;

  char* data() const { return data_; }
  bool holds(const char* address) const {
    return static_cast<std::size_t>(reinterpret_cast<std::uintptr_t>(address) -
                                    reinterpret_cast<std::uintptr_t>(data_)) < bytes_;
  }
  void forget(std::size_t from, std::size_t bytes);  // both multiples of the page size: zeros again

 private:
  char* data_ = nullptr;
  std::size_t bytes_ = 0;
};

struct DeviceBuffer {
  char* begin;
  std::size_t bytes;
  bool live = true;
  ZeroPages written;         // a byte each: 1 once written
  ZeroPages cells;           // a Cell for every 4 bytes
  ZeroPages loaded, stored;  // of every 32 bytes the number of the launch that did so last (counters.h)
};

class DeviceMemory {
 public:
  DeviceBuffer& allocate(std::size_t bytes);
  void release(void* begin) noexcept;

  bool holds(const char* address) const { return arena_.holds(address); }
  // Whose pages hold the address, those on either side of the buffer counted; null: nobody's.
  DeviceBuffer* at(const char* address);

 private:
  void start();
  std::mutex busy_;
  ZeroPages arena_;
  ZeroPages owner_;  // of each page, the number of its buffer, counted from 1
  std::size_t used_ = 0;
  std::deque<DeviceBuffer> buffers_;
};

}  // namespace gemel::instrument
