// SPDX-License-Identifier: MIT
//
// The functions that code compiled with g++ -fsanitize=thread calls, ours in place of the sanitizer's library; and what the kernels' calls of memcpy, memset and memmove are renamed to
// (CMakeLists.txt): those the sanitizer's library would have replaced by itself.
#include <cstddef>
#include <cstdint>
#include <cstring>

#include "kernels/simt/check/checker.h"

using gemel::instrument::access;
using gemel::instrument::access_range;
using gemel::instrument::Act;

#define CALLER __builtin_return_address(0)

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void*) {}
void __tsan_func_exit() {}
void __tsan_vptr_update(void**, void*) {}
void __tsan_vptr_read(void**) {}

#define HOOKS(N)                                                                               \
  void __tsan_read##N(void* p) { access(p, N, Act::read, CALLER); }                            \
  void __tsan_write##N(void* p) { access(p, N, Act::write, CALLER); }                          \
  void __tsan_unaligned_read##N(void* p) { access_range(p, N, Act::read, CALLER); }            \
  void __tsan_unaligned_write##N(void* p) { access_range(p, N, Act::write, CALLER); }          \
  void __tsan_volatile_read##N(void* p) { access(p, N, Act::read, CALLER); }                   \
  void __tsan_volatile_write##N(void* p) { access(p, N, Act::write, CALLER); }                 \
  void __tsan_unaligned_volatile_read##N(void* p) { access_range(p, N, Act::read, CALLER); }   \
  void __tsan_unaligned_volatile_write##N(void* p) { access_range(p, N, Act::write, CALLER); } \
  void __tsan_read_write##N(void* p) {                                                         \
    access(p, N, Act::read, CALLER);                                                           \
    access(p, N, Act::write, CALLER);                                                          \
  }                                                                                            \
  void __tsan_unaligned_read_write##N(void* p) {                                               \
    access_range(p, N, Act::read, CALLER);                                                     \
    access_range(p, N, Act::write, CALLER);                                                    \
  }
HOOKS(1)
HOOKS(2)
HOOKS(4)
HOOKS(8)
HOOKS(16)

void __tsan_read_range(void* p, std::size_t bytes) { access_range(p, bytes, Act::read, CALLER); }
void __tsan_write_range(void* p, std::size_t bytes) { access_range(p, bytes, Act::write, CALLER); }

#define ATOMICS(BITS, T)                                                                           \
  T __tsan_atomic##BITS##_load(const volatile T* p, int) {                                         \
    access(const_cast<const T*>(p), sizeof(T), Act::atomic, CALLER);                               \
    return __atomic_load_n(p, __ATOMIC_SEQ_CST);                                                   \
  }                                                                                                \
  void __tsan_atomic##BITS##_store(volatile T* p, T v, int) {                                      \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    __atomic_store_n(p, v, __ATOMIC_SEQ_CST);                                                      \
  }                                                                                                \
  T __tsan_atomic##BITS##_exchange(volatile T* p, T v, int) {                                      \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    return __atomic_exchange_n(p, v, __ATOMIC_SEQ_CST);                                            \
  }                                                                                                \
  T __tsan_atomic##BITS##_fetch_add(volatile T* p, T v, int) {                                     \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    return __atomic_fetch_add(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  T __tsan_atomic##BITS##_fetch_sub(volatile T* p, T v, int) {                                     \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    return __atomic_fetch_sub(p, v, __ATOMIC_SEQ_CST);                                             \
  }                                                                                                \
  int __tsan_atomic##BITS##_compare_exchange_strong(volatile T* p, T* expected, T v, int, int) {   \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    return __atomic_compare_exchange_n(p, expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST); \
  }                                                                                                \
  int __tsan_atomic##BITS##_compare_exchange_weak(volatile T* p, T* expected, T v, int, int) {     \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    return __atomic_compare_exchange_n(p, expected, v, true, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);  \
  }                                                                                                \
  T __tsan_atomic##BITS##_compare_exchange_val(volatile T* p, T expected, T v, int, int) {         \
    access(const_cast<T*>(p), sizeof(T), Act::atomic, CALLER);                                     \
    __atomic_compare_exchange_n(p, &expected, v, false, __ATOMIC_SEQ_CST, __ATOMIC_SEQ_CST);       \
    return expected;                                                                               \
  }
ATOMICS(8, std::uint8_t)
ATOMICS(16, std::uint16_t)
ATOMICS(32, std::uint32_t)
ATOMICS(64, std::uint64_t)

void __tsan_atomic_thread_fence(int) { __atomic_thread_fence(__ATOMIC_SEQ_CST); }
void __tsan_atomic_signal_fence(int) { __atomic_signal_fence(__ATOMIC_SEQ_CST); }

void* gemel_check_memcpy(void* to, const void* from, std::size_t bytes) {
  access_range(from, bytes, Act::read, CALLER);
  access_range(to, bytes, Act::write, CALLER);
  return std::memcpy(to, from, bytes);
}
void* gemel_check_memmove(void* to, const void* from, std::size_t bytes) {
  access_range(from, bytes, Act::read, CALLER);
  access_range(to, bytes, Act::write, CALLER);
  return std::memmove(to, from, bytes);
}
void* gemel_check_memset(void* to, int value, std::size_t bytes) {
  access_range(to, bytes, Act::write, CALLER);
  return std::memset(to, value, bytes);
}

}  // extern "C"
