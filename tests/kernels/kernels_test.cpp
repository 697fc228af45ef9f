// SPDX-License-Identifier: MIT
//
// Every case of every operation, on the tables that run in host memory and on every rung of the ladders; the gradient
// of every backward reference; and the same bits twice.
#include <gtest/gtest.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <cstdint>
#include <cstring>
#include <functional>
#include <set>
#include <string>
#include <vector>

#include "tests/kernels/tables.h"
#include "tests/reference/run_case.h"

namespace gemel::reference {
namespace {

const std::vector<OpCase>& cases() {
  static const std::vector<OpCase> all = all_cases(Depth::quick);
  return all;
}

// A name GoogleTest accepts: "conv2d_fprop_n_2_7x5x3_to_4_3x3".
std::string identifier(const std::string& text) {
  std::string name;
  for (std::size_t i = 0; i < text.size(); ++i) {
    if (text.compare(i, 2, "->") == 0) {
      name += "to";
      ++i;
    } else if (std::isalnum(static_cast<unsigned char>(text[i])) != 0) {
      name += text[i];
    } else if (!name.empty() && name.back() != '_') {
      name += '_';
    }
  }
  return name;
}

struct Subject {
  const Table* table;  // null: the reference alone
  const OpCase* op_case;
  std::string name;
};

// So that a failure prints a name instead of bytes.
void PrintTo(const Subject& subject, std::ostream* out) { *out << subject.name; }

std::string name_of(const testing::TestParamInfo<Subject>& info) { return info.param.name; }

std::vector<Subject> subjects(const std::function<bool(const Table*, const OpCase&)>& wanted,
                              const std::vector<const Table*>& among) {
  std::vector<Subject> result;
  std::set<std::string> names;
  for (const Table* table : among) {
    for (const OpCase& c : cases()) {
      if (!wanted(table, c)) continue;
      const std::string base = (table != nullptr ? table->name + "_" : "") + identifier(c.op + " " + c.shape);
      std::string name = base;
      for (int copy = 2; !names.insert(name).second; ++copy) name = base + "_" + std::to_string(copy);
      result.push_back({table, &c, name});
    }
  }
  return result;
}

// ---- every case on every table
class EveryCase : public testing::TestWithParam<Subject> {};

bool same_bits(const Values& a, const Values& b) {
  for (const auto& [name, values] : a) {
    const std::vector<double>& others = b.at(name);
    if (values.size() != others.size()) return false;
    for (std::size_t i = 0; i < values.size(); ++i) {
      const bool both_nan = std::isnan(values[i]) && std::isnan(others[i]);
      if (!both_nan && std::memcmp(&values[i], &others[i], sizeof(double)) != 0) return false;
    }
  }
  return true;
}

TEST_P(EveryCase, AgreesWithTheReferenceWithTheSameBitsTwice) {
  const Table& table = *GetParam().table;
  const OpCase c = in_math(*GetParam().op_case, table.math);
  const Outcome first = run_case(c, table.kernels, Queue{}, host_memory());
  EXPECT_TRUE(first.mismatch.tensor.empty()) << first.mismatch.describe(c);
  EXPECT_EQ(first.overwritten, "");
  const Outcome second = run_case(c, table.kernels, Queue{}, host_memory());
  EXPECT_TRUE(same_bits(first.got, second.got));
}

std::vector<Subject> every_case() {
  std::vector<const Table*> among;
  for (const Table& table : tables()) among.push_back(&table);
  return subjects([](const Table* table, const OpCase& c) { return table->runs(c); }, among);
}

INSTANTIATE_TEST_SUITE_P(Kernels, EveryCase, testing::ValuesIn(every_case()), name_of);

// ---- the backward references against central differences
class EveryGradient : public testing::TestWithParam<Subject> {};

TEST_P(EveryGradient, IsThatOfTheObjective) { EXPECT_EQ(check_gradient(*GetParam().op_case), ""); }

INSTANTIATE_TEST_SUITE_P(Reference, EveryGradient,
                         testing::ValuesIn(subjects([](const Table*, const OpCase& c) { return bool(c.objective); },
                                                    {nullptr})),
                         name_of);

// ---- tables
TEST(Tables, HaveEveryEntryAndTheirName) {
  for (const Table& table : tables()) {
    const Kernels& kernels = table.kernels;
    EXPECT_EQ(table.name.rfind(kernels.name, 0), 0u);
    // An all-pointers struct: look at each as a word.
    constexpr std::size_t kEntries = sizeof(Kernels) / sizeof(void*);
    void* words[kEntries];
    static_assert(sizeof(words) == sizeof(Kernels));
    std::memcpy(words, &kernels, sizeof(words));
    for (std::size_t i = 0; i < kEntries; ++i) EXPECT_NE(words[i], nullptr) << table.name << ", entry " << i;
  }
}

TEST(Tables, EveryEntryThatComputesHasACase) {
  std::set<std::string> ops;
  for (const OpCase& c : cases()) ops.insert(c.op);
  // Entries that size scratch or packed weights, or pack them: the cases of what they serve call them.
  constexpr std::size_t kHelpers = 14, kName = 1;
  EXPECT_EQ(ops.size(), sizeof(Kernels) / sizeof(void*) - kHelpers - kName);
}

}  // namespace
}  // namespace gemel::reference
