// SPDX-License-Identifier: MIT
//
// dropout for the CPU: the formula is in kernels/dropout/.
//
// Replaces the executor's flat loop: 2^22 floats take 22 ms instead of 106. Figures here, in channels.cpp and in
// residual.cpp: EPYC with AVX2, one thread, g++ 12, both devices by `gemel bench --threads 1` on a machine with other
// work, so that the ratios mean more than the times.
//
// Work     an item is a piece of 64 Philox blocks, 256 floats; the compiler draws as many blocks at once as a register
//          has lanes, which the executor's build for every processor has few of.
// Traffic  8 bytes an element; bound by the multiplications of Philox.
#include "kernels/cpu/elementwise.h"
#include "kernels/philox.h"

namespace gemel::GEMEL_DEVICE {
namespace {

constexpr int kBlocks = 64;
constexpr std::size_t kPiece = 4 * kBlocks;  // floats

struct Words {
  std::uint32_t word[kPiece];
};

GEMEL_INLINE void draw(std::uint64_t seed, std::uint64_t stream, std::uint64_t counter, Words& words) {
  for (int i = 0; i < kBlocks; ++i) {
    const PhiloxBlock block = philox_block(seed, stream, counter + static_cast<std::uint64_t>(i));
    for (int j = 0; j < 4; ++j) words.word[4 * i + j] = block.word[j];
  }
}

// unit_uniform of the lanes.
GEMEL_INLINE Vec<kLanes> uniform(const std::uint32_t* words) {
  IntVec<kLanes> bits;
  __builtin_memcpy(&bits, words, sizeof bits);
  return __builtin_convertvector((bits >> 8) & 0xFFFFFF, Vec<kLanes>) * 0x1p-24f;
}

}  // namespace

void dropout(Queue, std::size_t count, float rate, std::uint64_t seed, std::uint32_t stream, const StepState* step,
             const float* x, float* y) {
  const float scale = static_cast<float>(1 / (1 - double{rate}));
  const std::uint64_t t = step == nullptr ? 0 : static_cast<std::uint32_t>(step->step);
  for_each_block(count, [&](std::size_t first, std::size_t size) {
    for (std::size_t piece = 0; piece < size; piece += kPiece) {
      const std::size_t begin = first + piece;
      Words words;
      draw(seed, stream, t << 32 | begin / 4, words);
      for_each_vector(size - piece < kPiece ? size - piece : kPiece, [&](std::size_t i, int lanes) {
        const Vec<kLanes> v = load_lanes(x + begin + i, lanes) * scale;
        store_lanes(y + begin + i, uniform(words.word + i) >= rate ? v : Vec<kLanes>{}, lanes);
      });
    }
  });
}

}  // namespace gemel::GEMEL_DEVICE
