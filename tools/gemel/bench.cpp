// SPDX-License-Identifier: MIT
//
// gemel bench: how fast the operations and whole training steps are here, beside the machine's own peak.
#include <cmath>
#include <cstdio>
#include <iostream>
#include <regex>

#include "bench/measure.h"
#include "tools/gemel/command.h"

namespace gemel::cli {
namespace {

struct BenchFlags {
  DeviceOptions device;
  std::string filter, json;
  bool quick = false;
  double seconds = 0;  // 0: the usual time
};

std::vector<std::string> header() { return {"case", "ms", "TFLOP/s", "GB/s", "of peak", "error"}; }

// Three digits that count: CPU and GPU differ a thousandfold.
std::string figure(double value) {
  char text[32];
  std::snprintf(text, sizeof text, "%.3g", value);
  return text;
}

void print_line(const std::vector<std::string>& cells) {
  constexpr int kFirst = 58, kOther = 10;
  std::cout << cells[0] << std::string(cells[0].size() < kFirst ? kFirst - cells[0].size() : 1, ' ');
  for (std::size_t i = 1; i < cells.size(); ++i) {
    std::cout << std::string(cells[i].size() < kOther ? kOther - cells[i].size() : 1, ' ') << cells[i];
  }
  std::cout << std::endl;
}

struct Results {
  Json rows = Json::array();
  int wrong = 0;
};

void bench_operation(Device& device, Stream& stream, const bench::Peak& peak, const reference::OpCase& c,
                     double seconds, Results& results) {
  bench::Measurement m = bench::measure_case(device, stream, c, seconds);
  std::string name = c.op + " " + c.shape;
  if (!m.problem.empty()) {
    ++results.wrong;
    std::cout << name << "  WRONG: " << m.problem << std::endl;
    results.rows.push_back({{"name", name}, {"problem", m.problem}});
    return;
  }
  double share = bench::roofline_share(peak, c.cost.flops, c.cost.bytes, m.seconds);
  print_line({name, fixed(1e3 * m.seconds, 4), figure(1e-12 * m.flops()), figure(1e-9 * m.bytes()),
              fixed(100 * share, 1) + " %", fixed(100 * m.error, 1) + " %"});
  results.rows.push_back({{"name", name},
                          {"ms", 1e3 * m.seconds},
                          {"tflops", 1e-12 * m.flops()},
                          {"gbs", 1e-9 * m.bytes()},
                          {"of_peak", share},
                          {"error", m.error}});
}

void bench_step(Device& device, const bench::Peak& peak, const bench::StepCase& c, double seconds, Results& results) {
  bench::StepMeasurement m = bench::measure_step(device, c, 5 * seconds);
  if (!std::isfinite(m.loss)) {
    ++results.wrong;
    std::cout << c.name() << "  WRONG: the loss is not finite" << std::endl;
    results.rows.push_back({{"name", c.name()}, {"problem", "the loss is not finite"}});
    return;
  }
  double share = m.flops / peak.flops;
  print_line({c.name(), fixed(1e3 * m.seconds, 4), figure(1e-12 * m.flops), "", fixed(100 * share, 1) + " %",
              thousands(std::llround(m.images)) + " images/s"});
  results.rows.push_back({{"name", c.name()},
                          {"ms", 1e3 * m.seconds},
                          {"tflops", 1e-12 * m.flops},
                          {"of_peak", share},
                          {"images_per_second", m.images}});
}

std::regex parse_filter(const std::string& text) {
  try {
    return std::regex(text);
  } catch (const std::regex_error&) {
    throw InputError(concat("--filter '", text, "': is not a regular expression"));
  }
}

int run(const BenchFlags& options) {
  std::regex filter = parse_filter(options.filter);
  if (!options.json.empty()) check_writable(options.json);
  auto wanted = [&](const std::string& name) { return std::regex_search(name, filter); };
  const double seconds = options.seconds > 0 ? options.seconds : options.quick ? 0.05 : 0.2;
  std::vector<reference::OpCase> cases = options.quick ? bench::quick_cases() : bench::bench_cases();
  std::erase_if(cases, [&](const reference::OpCase& c) { return !wanted(c.op + " " + c.shape); });

  auto device = options.device.open();
  std::vector<bench::StepCase> steps = options.quick ? bench::small_step_cases() : bench::step_cases(*device);
  std::erase_if(steps, [&](const bench::StepCase& c) { return !wanted(c.name()); });
  if (cases.empty() && steps.empty()) throw InputError(concat("--filter '", options.filter, "': fits no case"));
  Stream stream = device->make_stream();
  bench::Peak peak = bench::measure_peak(*device, stream);
  std::cout << device->name() << ": " << device->description() << "\npeak measured now: " << figure(1e-12 * peak.flops)
            << " TFLOP/s f32 multiply-add, " << figure(1e-9 * peak.bytes) << " GB/s memory\n\n";
  print_line(header());
  Results results;
  for (const reference::OpCase& c : cases) bench_operation(*device, stream, peak, c, seconds, results);
  for (const bench::StepCase& c : steps) bench_step(*device, peak, c, seconds, results);
  std::cout
      << "\nof peak: of the roofline (arithmetic or traffic, whichever takes longer; above 100 %: operands stay in "
         "caches)\nerror: of the tolerance against the double-precision reference\n";
  if (!options.json.empty()) {
    Json all{{"device", device->name()},
             {"description", device->description()},
             {"peak_tflops", 1e-12 * peak.flops},
             {"peak_gbs", 1e-9 * peak.bytes},
             {"results", results.rows}};
    write_file(options.json, dump(all) + "\n");
  }
  return results.wrong == 0 ? 0 : 1;
}

}  // namespace

void add_bench(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand("bench", "Measure the speed of operations and training steps");
  auto options = std::make_shared<BenchFlags>();
  command->add_option("--filter", options->filter, "only cases that this regular expression fits")->type_name("RE");
  command->add_option("--json", options->json, "write the figures to this file too")->type_name("FILE");
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
      "  gemel bench --quick\n"
      "  gemel bench --filter 'conv2d|step'");
  command->callback([options, &action] { action = [options] { return run(*options); }; });
}

}  // namespace gemel::cli
