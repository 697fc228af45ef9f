// SPDX-License-Identifier: MIT
//
// Lays out an entry's scratch memory. The same code counts the bytes (no memory given) and hands out the pointers.
#pragma once

#include <cstddef>
#include <cstdint>

#include "kernels/kernels.h"

namespace gemel::cpu {

namespace {

class Carver {
 public:
  explicit Carver(void* base) : base_(reinterpret_cast<std::uintptr_t>(base)) {}

  // `count` Ts, aligned to 256 bytes as scratch is.
  template <class T>
  T* take(std::size_t count) {
    const std::uintptr_t at = base_ + used_;
    used_ += (count * sizeof(T) + 255) / 256 * 256;
    return reinterpret_cast<T*>(at);
  }
  std::size_t used() const { return used_; }

 private:
  std::uintptr_t base_;
  std::size_t used_ = 0;
};

}  // namespace
}  // namespace gemel::cpu
