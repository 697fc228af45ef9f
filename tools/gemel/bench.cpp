// SPDX-License-Identifier: MIT
//
// gemel bench: how fast the operations and whole training steps are here, beside the machine's own peak.
#include <algorithm>
#include <cmath>
#include <iostream>
#include <iterator>
#include <regex>

#include "bench/measure.h"
#include "tools/gemel/bench_page.h"
#include "tools/gemel/command.h"

namespace gemel::cli {
namespace {

struct BenchFlags {
  DeviceOptions device;
  std::string filter, json, html;
  bool quick = false, rungs = false;
  double seconds = 0;  // 0: the usual time
};

std::vector<std::string> header() { return {"case", "ms", "TFLOP/s", "GB/s", "of peak", "error"}; }

void print_line(const std::vector<std::string>& cells) {
  constexpr int kFirst = 58, kOther = 10;
  std::cout << cells[0] << std::string(cells[0].size() < kFirst ? kFirst - cells[0].size() : 1, ' ');
  for (std::size_t i = 1; i < cells.size(); ++i) {
    std::cout << std::string(cells[i].size() < kOther ? kOther - cells[i].size() : 1, ' ') << cells[i];
  }
  std::cout << std::endl;
}

OperationResult bench_operation(Device& device, Stream& stream, const bench::Peak& peak, const bench::RungCase& c,
                                double seconds) {
  OperationResult result{bench::measure_case(device, stream, c.op_case, seconds), c.rung};
  const bench::Measurement& m = result.measured;
  const std::string name = result.name() + (c.rung.empty() ? "" : " " + c.rung);
  if (!m.problem.empty()) {
    std::cout << name << "  WRONG: " << m.problem << std::endl;
    return result;
  }
  result.share = bench::roofline_share(peak, m.cost.flops, m.cost.bytes, m.seconds);
  print_line({name, fixed(1e3 * m.seconds, 4), figure(1e-12 * m.flops()), figure(1e-9 * m.bytes()),
              percent(result.share, 1), percent(m.error, 1)});
  return result;
}

StepResult bench_step(Device& device, const bench::Peak& peak, const bench::StepCase& c, double seconds) {
  StepResult result{c.name(), bench::measure_step(device, c, 5 * seconds), 0, ""};
  const bench::StepMeasurement& m = result.measured;
  if (!std::isfinite(m.loss)) {
    result.problem = "the loss is not finite";
    std::cout << result.name << "  WRONG: " << result.problem << std::endl;
    return result;
  }
  result.share = m.flops / peak.flops;
  print_line({result.name, fixed(1e3 * m.seconds, 4), figure(1e-12 * m.flops), "", percent(result.share, 1),
              thousands(std::llround(m.images)) + " images/s"});
  return result;
}

Json json_of(const BenchResults& results) {
  Json rows = Json::array();
  for (const OperationResult& result : results.operations) {
    const bench::Measurement& m = result.measured;
    Json row{{"name", result.name()}};
    if (!result.rung.empty()) row["variant"] = result.rung;
    if (m.problem.empty()) {
      row.update({{"ms", 1e3 * m.seconds},
                  {"tflops", 1e-12 * m.flops()},
                  {"gbs", 1e-9 * m.bytes()},
                  {"of_peak", result.share},
                  {"error", m.error},
                  {"rms", m.rms}});
    } else {
      row["problem"] = m.problem;
    }
    rows.push_back(row);
  }
  for (const StepResult& step : results.steps) {
    Json row{{"name", step.name}};
    if (step.problem.empty()) {
      row.update({{"ms", 1e3 * step.measured.seconds},
                  {"tflops", 1e-12 * step.measured.flops},
                  {"of_peak", step.share},
                  {"images_per_second", step.measured.images}});
    } else {
      row["problem"] = step.problem;
    }
    rows.push_back(row);
  }
  return {{"device", results.device},
          {"description", results.description},
          {"peak_tflops", 1e-12 * results.peak.flops},
          {"peak_gbs", 1e-9 * results.peak.bytes},
          {"results", rows}};
}

std::regex parse_filter(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error&) {
    throw InputError(concat("--filter '", text, "': is not a regular expression"));
  }
}

// The kernels in use and, if asked for, behind each the rungs of its ladder on the same shape.
std::vector<bench::RungCase> chosen_cases(const BenchFlags& options, const Device& device, const std::regex& filter) {
  const auto wanted = [&](const reference::OpCase& c) { return std::regex_search(c.op + " " + c.shape, filter); };
  std::vector<reference::OpCase> in_use = options.quick ? bench::quick_cases() : bench::bench_cases();
  std::erase_if(in_use, [&](const reference::OpCase& c) { return !wanted(c); });
  const std::vector<bench::RungCase> rungs = options.rungs ? bench::rung_cases(device) : std::vector<bench::RungCase>{};
  std::vector<bench::RungCase> chosen;
  for (const reference::OpCase& c : in_use) {
    chosen.push_back({"", c});
    std::copy_if(rungs.begin(), rungs.end(), std::back_inserter(chosen),
                 [&](const bench::RungCase& rung) { return rung.op_case.op == c.op && rung.op_case.shape == c.shape; });
  }
  return chosen;
}

int run(const BenchFlags& options) {
  std::regex filter = parse_filter(options.filter);
  for (const std::string& file : {options.json, options.html}) {
    if (!file.empty()) check_writable(file);
  }
  const double seconds = options.seconds > 0 ? options.seconds : options.quick ? 0.05 : 0.2;
  auto device = options.device.open();
  if (options.rungs && device->name() == "cpu")
    throw InputError("--rungs: the cpu device has no ladders; --device simt or cuda has");
  const std::vector<bench::RungCase> cases = chosen_cases(options, *device, filter);
  std::vector<bench::StepCase> steps = options.quick ? bench::small_step_cases() : bench::step_cases(*device);
  std::erase_if(steps, [&](const bench::StepCase& c) { return !std::regex_search(c.name(), filter); });
  if (cases.empty() && steps.empty()) throw InputError(concat("--filter '", options.filter, "': fits no case"));
  Stream stream = device->make_stream();
  const bench::Peak peak = bench::measure_peak(*device, stream);
  BenchResults results{device->name(), device->description(), peak, {}, {}};
  std::cout << device->name() << ": " << device->description() << "\npeak measured now: " << figure(1e-12 * peak.flops)
            << " TFLOP/s f32 multiply-add, " << figure(1e-9 * peak.bytes) << " GB/s memory\n\n";
  print_line(header());
  for (const bench::RungCase& c : cases)
    results.operations.push_back(bench_operation(*device, stream, peak, c, seconds));
  for (const bench::StepCase& c : steps) results.steps.push_back(bench_step(*device, peak, c, seconds));
  std::cout
      << "\nof peak: of the roofline (arithmetic or traffic, whichever takes longer; above 100 %: operands stay in "
         "caches)\nerror: of the tolerance against the double-precision reference\n";
  if (!options.json.empty()) write_file(options.json, dump(json_of(results)) + "\n");
  if (!options.html.empty()) write_file(options.html, bench_html(results));
  return results.wrong() == 0 ? 0 : 1;
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("bench", "Measure the speed of operations and training steps");
  auto options = std::make_shared<BenchFlags>();
  command->add_option("--filter", options->filter, "only cases that this regular expression fits")->type_name("RE");
  command->add_option("--json", options->json, "write the figures to this file too")->type_name("FILE");
  command->add_option("--html", options->html, "write a page: the roofline, and a bar for each case")
      ->type_name("FILE");
  command->add_flag(
      "--rungs", options->rungs,
      "on simt and cuda: also every rung of the ladders of convolutions, fully connected layers and distances");
  command->add_flag("--quick", options->quick,
                    "one shape of each operation and two small training steps, under a minute");
  command
      ->add_option("--seconds", options->seconds,
                   "time for each operation (default 0.2, with --quick 0.05); five times that for a training step")
      ->check(CLI::Range(0.001, 60.0));
  options->device.add_to(*command);
  command->footer(
      "Each result is compared with the reference first; a wrong one has no speed, and the exit status is 1.\n"
      "Examples:\n"
      "  gemel bench --device cuda --json bench.json\n"
      "  gemel bench --quick --html bench.html\n"
      "  gemel bench --filter 'conv2d|step'");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace gemel::cli
