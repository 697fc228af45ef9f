// SPDX-License-Identifier: MIT
//
// Copies from global to shared memory that do not wait: cp.async (sm_80 and later), by groups.
//
//   AsyncCopies<6, 2> copies;           at most 6 copies a group, at most 2 groups on their way; one a thread
//   copies.copy<16>(to, from);          4, 8 or 16 bytes, both addresses multiples of that; `from` null: zeros
//   copies.commit();                    ends the group, which may be empty
//   copies.wait<1>();                   all groups but the newest 1 have arrived
//
// A thread waits for its own copies alone: a barrier follows, before others read what it copied.
//
// On the host nothing is copied before wait demands it, the latest moment the PTX manual allows: whoever reads without
// waiting finds old values. With `async_copies_early` (a test's to set) all is copied at once, the earliest: whoever
// starts a copy into what others still read overwrites it. A kernel that is right computes the same bits either way.
#pragma once

#include <cstring>
#include <stdexcept>

#include "kernels/simt/simt.h"

namespace gemel::GEMEL_DEVICE {

#if defined(__CUDACC__)

template <int kCopies, int kGroups>
class AsyncCopies {
 public:
  template <int kBytes>
  __device__ __forceinline__ void copy(void* to, const void* from) {
    static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
    const auto at = static_cast<unsigned>(__cvta_generic_to_shared(to));
    const int bytes = from != nullptr ? kBytes : 0;  // the rest is filled with zeros
    const void* source = from != nullptr ? from : zeros();
    if constexpr (kBytes == 16) {
      asm volatile("cp.async.cg.shared.global [%0], [%1], 16, %2;" ::"r"(at), "l"(source), "r"(bytes) : "memory");
    } else {
      asm volatile("cp.async.ca.shared.global [%0], [%1], %2, %3;" ::"r"(at), "l"(source), "n"(kBytes), "r"(bytes)
                   : "memory");
    }
  }
  __device__ __forceinline__ void commit() { asm volatile("cp.async.commit_group;" ::: "memory"); }
  template <int kPending>
  __device__ __forceinline__ void wait() {
    static_assert(kPending < kGroups);
    asm volatile("cp.async.wait_group %0;" ::"n"(kPending) : "memory");
  }

 private:
  // An address of global memory: 0 bytes are read from it.
  static __device__ __forceinline__ const void* zeros() {
    static const float nothing[4] = {};
    return nothing;
  }
};

#else

inline bool async_copies_early = false;

template <int kCopies, int kGroups>
class AsyncCopies {
 public:
  template <int kBytes>
  SIMT_INLINE void copy(void* to, const void* from) {
    static_assert(kBytes == 4 || kBytes == 8 || kBytes == 16);
    if (async_copies_early) return perform({to, from, kBytes});
    Group& group = groups_[newest_ % kGroups];
    if (group.count == kCopies) throw std::logic_error("more asynchronous copies in a group than it has room for");
    group.copies[group.count++] = {to, from, kBytes};
  }
  SIMT_INLINE void commit() {
    ++newest_;
    if (newest_ - oldest_ >= kGroups) throw std::logic_error("more groups of asynchronous copies than were declared");
  }
  template <int kPending>
  SIMT_INLINE void wait() {
    static_assert(kPending < kGroups);
    for (; newest_ - oldest_ > kPending; ++oldest_) {
      Group& group = groups_[oldest_ % kGroups];
      for (int i = 0; i < group.count; ++i) perform(group.copies[i]);
      group.count = 0;
    }
  }

 private:
  struct Copy {
    void* to;
    const void* from;
    int bytes;
  };
  struct Group {
    int count = 0;
    Copy copies[kCopies];
  };
  static void perform(const Copy& copy) {
    if (copy.from != nullptr) {
      std::memcpy(copy.to, copy.from, static_cast<std::size_t>(copy.bytes));
    } else {
      std::memset(copy.to, 0, static_cast<std::size_t>(copy.bytes));
    }
  }

  Group groups_[kGroups];  // from oldest_ on those committed, then the one that is being filled
  int oldest_ = 0, newest_ = 0;
};

#endif

}  // namespace gemel::GEMEL_DEVICE
