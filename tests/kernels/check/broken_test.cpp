// SPDX-License-Identifier: MIT
//
// Each fault of the collection is reported, as what it is, at its lines and at no others, whatever the order of the
// threads; and nothing is where it is mended.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

#include "kernels/simt/executor.h"
#include "tests/kernels/check/broken.h"

namespace gemel::check {

// So that a failure prints a name instead of bytes.
void PrintTo(const Broken& broken, std::ostream* out) { *out << broken.name; }

namespace {

constexpr std::string_view kFile = "tests/kernels/check/broken.cu";
constexpr std::size_t kBytes = kElements * sizeof(float);

constexpr ThreadOrder kOrders[] = {{ThreadOrder::Kind::forward},
                                   {ThreadOrder::Kind::reverse},
                                   {ThreadOrder::Kind::shuffle, 1},
                                   {ThreadOrder::Kind::shuffle, 31}};

// The lines that end in "<- name".
std::vector<int> marked_lines(std::string_view name) {
  std::ifstream file(GEMEL_BROKEN_KERNELS);
  const std::string mark = "// <- " + std::string(name);
  std::vector<int> lines;
  int number = 1;
  for (std::string line; std::getline(file, line); ++number) {
    if (line.size() > mark.size() && line.compare(line.size() - mark.size(), mark.size(), mark) == 0) {
      lines.push_back(number);
    }
  }
  return lines;
}

class Buffer {
 public:
  explicit Buffer(bool written) : memory_(static_cast<float*>(instrument::allocate(kBytes))) {
    if (!written) return;
    std::fill(memory_, memory_ + kElements, 0.0f);
    instrument::written(memory_, kBytes);
  }
  ~Buffer() { instrument::release(memory_); }
  Buffer(const Buffer&) = delete;
  Buffer& operator=(const Buffer&) = delete;
  float* get() const { return memory_; }

 private:
  float* memory_;
};

// What the instrument says of a run.
std::vector<instrument::Report> reports_of(void (*run)(const Given&), ThreadOrder order) {
  float* freed = Buffer(true).get();
  const Buffer in(true), out(false), unwritten(false);
  std::vector<float> host(kElements);
  set_thread_order(order);
  instrument::take_reports();
  try {
    run({in.get(), out.get(), unwritten.get(), freed, host.data()});
  } catch (const BarrierError&) {  // reported too
  }
  set_thread_order({});
  return instrument::take_reports();
}

class BrokenKernel : public testing::TestWithParam<Broken> {};

TEST_P(BrokenKernel, IsReportedAtItsLinesAlone) {
  const std::vector<int> marked = marked_lines(GetParam().name);
  ASSERT_FALSE(marked.empty());
  for (const ThreadOrder order : kOrders) {
    const auto reports = reports_of(GetParam().run, order);
    ASSERT_FALSE(reports.empty());
    std::vector<int> named;
    for (const instrument::Report& report : reports) {
      EXPECT_EQ(instrument::name_of(report.kind), std::string(instrument::name_of(GetParam().kind))) << report.text();
      EXPECT_EQ(report.kernel.rfind(GetParam().name, 0), 0u) << report.text();
      EXPECT_EQ(report.at.source.file, kFile) << report.text();
      named.push_back(report.at.source.line);
      if (report.kind != instrument::Kind::barrier) {
        EXPECT_EQ(report.against.has_value(), report.kind == instrument::Kind::race) << report.text();
      }
      if (!report.against) continue;
      EXPECT_EQ(report.against->source.file, kFile) << report.text();
      named.push_back(report.against->source.line);
    }
    std::sort(named.begin(), named.end());
    named.erase(std::unique(named.begin(), named.end()), named.end());
    EXPECT_EQ(named, marked) << reports.front().text();
  }
}

TEST_P(BrokenKernel, IsNotReportedWhereItIsMended) {
  for (const ThreadOrder order : kOrders) {
    for (const instrument::Report& report : reports_of(GetParam().mend, order)) ADD_FAILURE() << report.text();
  }
}

std::string name_of(const testing::TestParamInfo<Broken>& info) {
  return std::string(info.param.name) + "_" + std::to_string(info.index);
}

INSTANTIATE_TEST_SUITE_P(Collection, BrokenKernel, testing::ValuesIn(broken_kernels().begin(), broken_kernels().end()),
                         name_of);

TEST(Report, SaysWhoDidWhatWhere) {
  const Broken& race = broken_kernels().front();
  const std::vector<int> marked = marked_lines(race.name);
  const auto reports = reports_of(race.run, {});
  ASSERT_EQ(reports.size(), 2u);  // and thread 32 reads what thread 31 wrote
  // Thread 32 is the first to write what another thread, 31, has read.
  EXPECT_EQ(reports[0].text(),
            "tests/kernels/check/broken.cu:" + std::to_string(marked[0]) +
                ": race in missing_barrier_kernel<false>: thread 32 of block (0, 0, 0) writes shared "
                "memory that another thread read, with no barrier between (thread 31 of block (0, 0, "
                "0), tests/kernels/check/broken.cu:" +
                std::to_string(marked[1]) + ") [32 times]");
}

TEST(Options, ReportNothingWhenTurnedOff) {
  instrument::configure({.faults = false});
  const auto reports = reports_of(broken_kernels().front().run, {});
  instrument::configure({});
  EXPECT_TRUE(reports.empty());
}

}  // namespace
}  // namespace gemel::check
