// SPDX-License-Identifier: MIT
//
// What a call of a kernel is given besides its operands: where to run, with which arithmetic, and working memory.
#pragma once

#include <cstddef>
#include <cstdint>

namespace gemel {

// Arithmetic of the matrix products: `fp32` everywhere; the others are tensor-core modes of a device.
enum class Math : std::uint8_t { fp32, tf32, tf32x3, bf16 };

// Device memory a kernel may write to freely during one call; its contents mean nothing before or after.
struct Scratch {
  void* data = nullptr;
  std::size_t bytes = 0;
};

// A borrowed stream and what a kernel call may use.  On a CPU `stream` is ignored: a call returns when its work is done.
struct Queue {
  void* stream = nullptr;
  Math math = Math::fp32;
  Scratch scratch;
  std::uint64_t* launches = nullptr;  // when set, every launch adds one
};

}  // namespace gemel
