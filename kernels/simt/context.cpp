// SPDX-License-Identifier: MIT
//
// How a fiber begins, and the portable switch.
#include "kernels/simt/context.h"

#include <cstdint>

namespace gemel::GEMEL_EXECUTOR::detail {

#if defined(GEMEL_SIMT_UCONTEXT)

// The thread sanitizer must not count it among the callers: it is entered on one stack and left on another.
__attribute__((no_sanitize("thread"))) void switch_context(Context* from, Context* to) {
  swapcontext(&from->state, &to->state);
}

void make_context(Context& context, char* bottom, char* top, void (*entry)()) {
  getcontext(&context.state);
  context.state.uc_stack.ss_sp = bottom;
  context.state.uc_stack.ss_size = static_cast<std::size_t>(top - bottom);
  context.state.uc_link = nullptr;
  makecontext(&context.state, entry, 0);
}

#else

void make_context(Context& context, char* /*bottom*/, char* top, void (*entry)()) {
  // `entry` expects the stack as a call leaves it.  The zeros end a debugger's walk up the stack.
  auto* stack = reinterpret_cast<void**>(reinterpret_cast<std::uintptr_t>(top) & ~std::uintptr_t{15});
  *--stack = nullptr;
  *--stack = nullptr;
#if defined(__x86_64__)
  *--stack = nullptr;  // the return address
#endif
  context = {stack, nullptr, nullptr, reinterpret_cast<void*>(entry)};
}

#endif

}  // namespace gemel::GEMEL_EXECUTOR::detail
