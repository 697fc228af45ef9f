// SPDX-License-Identifier: MIT
//
// gemel check: every operation of a device against the double-precision reference, on this machine.
#include <algorithm>
#include <iostream>
#include <map>
#include <vector>

#include "bench/measure.h"
#include "tools/gemel/command.h"
#if defined(GEMEL_CHECK)
#include "tests/reference/watched_memory.h"
#endif

namespace gemel::cli {
namespace {

using reference::OpCase;

struct CheckFlags {
  DeviceOptions device;
  std::string depth = "quick", op;
  bool gradients = false, json = false;
};

struct Row {
  int cases = 0, gradients = 0;
  double worst = 0;
  std::vector<std::string> problems;
};

// Entries in the order in which they are first met, as kernels.h lists them.
struct Table {
  std::vector<std::string> order;
  std::map<std::string, Row> rows;
  Row& row(const std::string& op) {
    if (rows.find(op) == rows.end()) order.push_back(op);
    return rows[op];
  }
};

std::vector<OpCase> chosen_cases(const CheckFlags& options) {
  auto cases = reference::all_cases(options.depth == "full" ? reference::Depth::full : reference::Depth::quick);
  if (options.op.empty()) return cases;
  std::string known;
  for (const OpCase& c : cases) {
    if (known.find(c.op) == std::string::npos) known += (known.empty() ? "" : ", ") + c.op;
  }
  std::erase_if(cases, [&](const OpCase& c) { return c.op.find(options.op) == std::string::npos; });
  if (cases.empty()) throw InputError(concat("no operation is named like '", options.op, "'; known: ", known));
  return cases;
}

void check_gradient(const OpCase& c, bool gradients, Row& row) {
  if (!gradients || c.gradients.empty() || !c.objective) return;
  ++row.gradients;
  std::string problem = reference::check_gradient(c);
  if (!problem.empty()) row.problems.push_back("gradient: " + problem);
}

int print(const CheckFlags& options, const std::string& device, const Table& table) {
  std::vector<std::vector<std::string>> lines{{"operation", "cases", "gradients", "worst error", ""}};
  Json json = Json::array();
  int cases = 0, failed = 0;
  for (const std::string& op : table.order) {
    const Row& row = table.rows.at(op);
    cases += row.cases;
    failed += row.problems.empty() ? 0 : 1;
    lines.push_back({op, std::to_string(row.cases), std::to_string(row.gradients), fixed(100 * row.worst, 1) + " %",
                     row.problems.empty() ? "ok" : "FAIL"});
    json.push_back({{"op", op}, {"cases", row.cases}, {"worst", row.worst}, {"problems", row.problems}});
  }
  if (!options.gradients) {
    for (auto& line : lines) line.erase(line.begin() + 2);
  }
  if (options.json) {
    std::cout << dump({{"device", device}, {"ok", failed == 0}, {"operations", json}}) << "\n";
  } else {
    std::cout << align(lines) << "(worst error: share of the tolerance; more than 100 % fails)\n";
    for (const std::string& op : table.order) {
      for (const std::string& problem : table.rows.at(op).problems) std::cout << "FAIL " << problem << "\n";
    }
    std::cout << device << ": " << cases << " cases of " << table.order.size() << " operations, "
              << (failed == 0 ? "all agree with the reference" : concat(failed, " operations FAIL")) << "\n";
  }
  return failed == 0 ? 0 : 1;
}

// What is run on: a device, or the instrument's kernels.
class Subject {
 public:
  virtual ~Subject() = default;
  virtual std::string name() const = 0;
  virtual void check(const OpCase& c, Row& row) = 0;
};

class DeviceSubject final : public Subject {
 public:
  explicit DeviceSubject(const DeviceOptions& options) : device_(options.open()), stream_(device_->make_stream()) {}
  std::string name() const override { return device_->name(); }
  void check(const OpCase& c, Row& row) override {
    const bench::Measurement m = bench::check_case(*device_, stream_, c);
    if (!(m.error <= row.worst)) row.worst = m.error;  // keeps NaN
    if (!m.problem.empty()) row.problems.push_back(m.problem);
  }

 private:
  std::unique_ptr<Device> device_;
  Stream stream_;
};

#if defined(GEMEL_CHECK)
class WatchedSubject final : public Subject {
 public:
  std::string name() const override { return "check"; }
  void check(const OpCase& c, Row& row) override {
    const reference::Outcome outcome = reference::run_case(c, check::kernels(), Queue{}, reference::watched_memory());
    if (!(outcome.mismatch.worst <= row.worst)) row.worst = outcome.mismatch.worst;
    if (!outcome.ok()) row.problems.push_back(outcome.mismatch.describe(c) + outcome.overwritten);
    for (const instrument::Report& report : instrument::take_reports()) row.problems.push_back(report.text());
  }
};
#endif

std::unique_ptr<Subject> subject_of(const CheckFlags& options) {
  if (options.device.device != "check") return std::make_unique<DeviceSubject>(options.device);
#if defined(GEMEL_CHECK)
  return std::make_unique<WatchedSubject>();
#else
  throw InputError("device 'check': this build has no instrument; configure with -DGEMEL_CHECK=ON, on Linux, with g++");
#endif
}

int check(const CheckFlags& options) {
  std::vector<OpCase> cases = chosen_cases(options);
  const std::unique_ptr<Subject> subject = subject_of(options);
  Table table;
  bool progress = terminal_on_stderr();
  for (std::size_t i = 0; i < cases.size(); ++i) {
    if (progress) std::cerr << "\r\033[K" << i + 1 << "/" << cases.size() << "  " << cases[i].op << std::flush;
    Row& row = table.row(cases[i].op);
    ++row.cases;
    subject->check(cases[i], row);
    check_gradient(cases[i], options.gradients, row);
  }
  if (progress) std::cerr << "\r\033[K" << std::flush;
  return print(options, subject->name(), table);
}

}  // namespace

void add_check(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("check", "Compare every operation of a device with the reference");
  auto options = std::make_shared<CheckFlags>();
  command->add_option("--depth", options->depth, "quick: small awkward shapes; full: those of real networks as well")
      ->check(CLI::IsMember({"quick", "full"}))
      ->capture_default_str();
  command->add_option("--op", options->op, "only operations whose name holds this")->type_name("NAME");
  command->add_flag("--gradients", options->gradients,
                    "also prove the reference's gradients by central differences (independent of the device)");
  command->add_flag("--json", options->json, "for machines");
  options->device.add_to(*command);
  command->footer(
      "Exit status 1 when an operation disagrees.\n"
      "Examples:\n"
      "  gemel check --device cuda --depth full\n"
      "  gemel check --device simt --op conv2d\n"
      "  gemel check --device check --op conv2d    (races, bounds and the like: docs/instrument.md)");
  command->callback([options, &action] { action = [options] { return check(*options); }; });
}

}  // namespace gemel::cli
