// SPDX-License-Identifier: MIT
//
// Switching stacks.  A context is where a suspended fiber goes on: three registers and an address.
//
// The switch is inline assembly that says it changes every register, so the compiler saves what is live there and
// no more.  It is inlined into the kernel because a function that is entered on one stack and returned from on
// another makes the processor mispredict the return, which costs more than the whole switch.
#pragma once

#include <cstddef>

#include "kernels/simt/build.h"

#if defined(GEMEL_SIMT_PORTABLE_SWITCH) || !(defined(__x86_64__) || defined(__aarch64__))
#define GEMEL_SIMT_UCONTEXT 1
#include <ucontext.h>
#endif

namespace gemel::GEMEL_EXECUTOR::detail {

#if defined(GEMEL_SIMT_UCONTEXT)

struct Context {
  ucontext_t state;
};

void switch_context(Context* from, Context* to);

#else

struct alignas(32) Context {
  void* stack_pointer;
  void* frame_pointer;
  void* base_pointer;  // rbx, x19: where compilers keep the frame's base when the stack pointer varies
  void* resume;
};

// Leaves the running fiber in `from` and goes on at `to`; returns when someone switches to `from`.
__attribute__((always_inline)) inline void switch_context(Context* from, Context* to) {
#if defined(__x86_64__)
  asm volatile(
      "leaq 1f(%%rip), %%rdx\n\t"
      "movq %%rsp, 0(%%rdi)\n\t"
      "movq %%rbp, 8(%%rdi)\n\t"
      "movq %%rbx, 16(%%rdi)\n\t"
      "movq %%rdx, 24(%%rdi)\n\t"
      "movq 24(%%rsi), %%rdx\n\t"
      "movq 0(%%rsi), %%rsp\n\t"
      "movq 8(%%rsi), %%rbp\n\t"
      "movq 16(%%rsi), %%rbx\n\t"
      "jmpq *%%rdx\n"
      "1:\n\t"
      : "+D"(from), "+S"(to)
      :
      : "rax", "rcx", "rdx", "r8", "r9", "r10", "r11", "r12", "r13", "r14", "r15", "xmm0", "xmm1", "xmm2", "xmm3",
        "xmm4", "xmm5", "xmm6", "xmm7", "xmm8", "xmm9", "xmm10", "xmm11", "xmm12", "xmm13", "xmm14", "xmm15",
#if defined(__AVX512F__)
        "xmm16", "xmm17", "xmm18", "xmm19", "xmm20", "xmm21", "xmm22", "xmm23", "xmm24", "xmm25", "xmm26", "xmm27",
        "xmm28", "xmm29", "xmm30", "xmm31", "k1", "k2", "k3", "k4", "k5", "k6", "k7",
#endif
        "memory", "cc");
#else
  register Context* source asm("x0") = from;
  register Context* target asm("x1") = to;
  asm volatile(
      "adr x9, 1f\n\t"
      "mov x10, sp\n\t"
      "stp x10, x29, [x0]\n\t"
      "stp x19, x9, [x0, #16]\n\t"
      "ldp x10, x29, [x1]\n\t"
      "ldp x19, x9, [x1, #16]\n\t"
      "mov sp, x10\n\t"
      "br x9\n"
      "1:\n\t"
      "hint #36\n\t"  // bti j: an indirect branch may land here
      : "+r"(source), "+r"(target)
      :
      : "x2", "x3", "x4", "x5", "x6", "x7", "x8", "x9", "x10", "x11", "x12", "x13", "x14", "x15", "x16", "x17", "x18",
        "x20", "x21", "x22", "x23", "x24", "x25", "x26", "x27", "x28", "x30", "v0", "v1", "v2", "v3", "v4", "v5", "v6",
        "v7", "v8", "v9", "v10", "v11", "v12", "v13", "v14", "v15", "v16", "v17", "v18", "v19", "v20", "v21", "v22",
        "v23", "v24", "v25", "v26", "v27", "v28", "v29", "v30", "v31",
#if defined(__ARM_FEATURE_SVE)
        "p0", "p1", "p2", "p3", "p4", "p5", "p6", "p7", "p8", "p9", "p10", "p11", "p12", "p13", "p14", "p15",
#endif
        "memory", "cc");
#endif
}

#endif

// Asks for the top of the stack on which `context` goes on, so that it is in the cache by then.
inline void prefetch_stack([[maybe_unused]] const Context& context) {
#if !defined(GEMEL_SIMT_UCONTEXT)
  __builtin_prefetch(context.stack_pointer, 1);
#endif
}

// Makes `context` a fiber that calls `entry` on the stack [bottom, top); `entry` never returns.
void make_context(Context& context, char* bottom, char* top, void (*entry)());

}  // namespace gemel::GEMEL_EXECUTOR::detail
