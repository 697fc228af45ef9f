// SPDX-License-Identifier: MIT
//
// For tests of the executor: settings that outlive no test, and what a launch complained of.
#pragma once

#include <gtest/gtest.h>

#include <string>

#include "kernels/simt/simt.h"
#include "kernels/simt/thread_pool.h"

namespace gemel::simt {

class Executor : public testing::Test {
 protected:
  Executor() : threads_(ThreadPool::instance().threads()), order_(thread_order()) {
    set_thread_order({ThreadOrder::Kind::forward});
  }
  ~Executor() override {
    ThreadPool::instance().set_threads(threads_);
    set_thread_order(order_);
  }

 private:
  int threads_;
  ThreadOrder order_;
};

inline constexpr ThreadOrder kOrders[] = {{ThreadOrder::Kind::forward},
                                          {ThreadOrder::Kind::reverse},
                                          {ThreadOrder::Kind::shuffle, 1},
                                          {ThreadOrder::Kind::shuffle, 31}};

// The message of the E that `action` throws; empty, and a failure, when it throws none.
template <class E, class Action>
std::string message_of(Action action) {
  try {
    action();
  } catch (const E& error) {
    return error.what();
  }
  ADD_FAILURE() << "nothing was thrown";
  return {};
}

inline bool contains(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

}  // namespace gemel::simt

#define EXPECT_CONTAINS(text, part) EXPECT_PRED2(::gemel::simt::contains, text, part)
