// SPDX-License-Identifier: MIT
//
// gemel profile: what the kernels of an operation would ask of a GPU's memory, counted without one.
#include "tools/gemel/profile.h"

#include <filesystem>
#include <iostream>

#include "tests/reference/profile_case.h"
#include "tests/reference/rung_error.h"
#include "tests/reference/watched_memory.h"
#include "tools/gemel/command.h"

namespace gemel::cli {

using instrument::AccessCounters;
using instrument::Act;
using instrument::KernelCounters;
using instrument::Space;
using reference::OpCase;

double Profile::bytes_moved() const {
  double sectors = 0;
  for (const KernelCounters& k : kernels) sectors += static_cast<double>(k.loads.sectors + k.stores.sectors);
  return 32 * sectors;
}

double ideal_sectors(const AccessCounters& a) { return ratio(a.ideal_sectors, a.requests); }

std::string access_name(const AccessCounters& a) {
  return concat(a.act == Act::read ? "load " : a.act == Act::write ? "store " : "atomic ", a.bytes, " B");
}

namespace {

struct ProfileFlags {
  std::string op, shape, output;
  Math math = Math::fp32;
  bool all = false, json = false;
};

std::vector<OpCase> chosen_cases(const ProfileFlags& flags) {
  if (flags.all == !flags.op.empty()) throw InputError("profile: give the name of an operation, or --all");
  std::vector<OpCase> cases =
      flags.shape.empty() ? reference::profile_cases() : reference::all_cases(reference::Depth::full);
  std::string known;
  for (const OpCase& c : cases) {
    if (known.find(c.op) == std::string::npos) known += (known.empty() ? "" : ", ") + c.op;
  }
  if (!flags.all) std::erase_if(cases, [&](const OpCase& c) { return c.op != flags.op; });
  if (cases.empty()) throw InputError(concat("no operation is named '", flags.op, "'; known: ", known));
  if (!flags.shape.empty()) {
    std::string shapes;
    for (const OpCase& c : cases) shapes += "\n  " + c.shape;
    std::erase_if(cases, [&](const OpCase& c) { return c.shape.find(flags.shape) == std::string::npos; });
    if (cases.empty()) throw InputError(concat("no shape holds '", flags.shape, "'; known:", shapes));
    if (!flags.all) cases.resize(1);
  }
  return cases;
}

Profile measure(const OpCase& of_fp32, Math math) {
  const OpCase c = reference::in_math(of_fp32, math);
  instrument::configure({.faults = false, .counters = true});
  instrument::take_counters();
  Queue queue;
  queue.math = math;
  const reference::Outcome outcome = reference::run_case(c, check::kernels(), queue, reference::watched_memory());
  instrument::configure({});
  Profile profile{c.op, c.shape, c.cost, instrument::take_counters()};
  if (!outcome.ok()) throw Error(concat(c.op, " ", c.shape, ": a wrong result: ", outcome.mismatch.describe(c)));
  return profile;
}

std::string times(std::uint64_t a, std::uint64_t b) { return b == 0 ? "-" : fixed(ratio(a, b), 2); }

struct Sums {
  std::uint64_t requests = 0, lanes = 0, sectors = 0, used = 0, wavefronts = 0, ideal = 0;
};
Sums sums_of(const KernelCounters& kernel, Space space) {
  Sums s;
  for (const AccessCounters& a : kernel.accesses) {
    if (a.space != space) continue;
    s.requests += a.requests;
    s.lanes += a.lanes;
    s.sectors += a.sectors;
    s.used += a.bytes_used;
    s.wavefronts += a.wavefronts;
    s.ideal += a.ideal_wavefronts;
  }
  return s;
}

void print_lines(const Profile& profile) {
  std::cout << profile.op << "  " << profile.shape << "\n";
  for (const KernelCounters& kernel : profile.kernels) {
    std::vector<std::vector<std::string>> rows{
        {"line", "access", "requests", "lanes", "sectors", "ideal", "used", "wavefronts", "ideal"}};
    for (const AccessCounters& a : kernel.accesses) {
      const bool shared = a.space == Space::shared;
      rows.push_back({concat(a.source.file, ":", a.source.line), (shared ? "shared " : "global ") + access_name(a),
                      thousands(static_cast<long long>(a.requests)), times(a.lanes, a.requests),
                      shared ? "" : times(a.sectors, a.requests), shared ? "" : fixed(ideal_sectors(a), 2),
                      shared ? "" : percent(ratio(a.bytes_used, 32 * a.sectors), 0),
                      shared ? times(a.wavefronts, a.requests) : "",
                      shared ? times(a.ideal_wavefronts, a.requests) : ""});
    }
    std::cout << "\n" << kernel.kernel << "\n" << align(rows);
  }
  std::cout << "\n(lanes, sectors, wavefronts: a request; ideal: for the same bytes and lanes)\n"
            << fixed(profile.cost.flops / 1e6, 2) << " MFLOP, " << fixed(profile.bytes_moved() / 1e6, 2)
            << " MB requested, " << fixed(profile.cost.bytes / 1e6, 2) << " MB at least; "
            << fixed(ratio(profile.cost.flops, profile.bytes_moved()), 2) << " FLOP/B\n";
}

std::vector<std::vector<std::string>> summary_rows(const Profile& profile) {
  std::vector<std::vector<std::string>> rows;
  for (const KernelCounters& kernel : profile.kernels) {
    const Sums g = sums_of(kernel, Space::global), s = sums_of(kernel, Space::shared);
    const std::string name = kernel.kernel.substr(0, kernel.kernel.find('<'));
    rows.push_back({profile.op, name, times(g.sectors, g.requests),
                    g.sectors == 0 ? "-" : percent(ratio(g.used, 32 * g.sectors), 0),
                    times(kernel.loads.sectors, kernel.loads.distinct_sectors),
                    times(kernel.stores.sectors, kernel.stores.distinct_sectors), times(s.wavefronts, s.ideal),
                    times(g.lanes + s.lanes, g.requests + s.requests)});
  }
  return rows;
}

Json json_of(const Profile& profile) {
  Json kernels = Json::array();
  for (const KernelCounters& kernel : profile.kernels) {
    Json accesses = Json::array();
    for (const AccessCounters& a : kernel.accesses) {
      accesses.push_back({{"file", a.source.file},
                          {"line", a.source.line},
                          {"space", a.space == Space::shared ? "shared" : "global"},
                          {"access", access_name(a)},
                          {"requests", a.requests},
                          {"lanes", a.lanes},
                          {"sectors", a.sectors},
                          {"ideal_sectors", a.ideal_sectors},
                          {"bytes_used", a.bytes_used},
                          {"wavefronts", a.wavefronts},
                          {"ideal_wavefronts", a.ideal_wavefronts}});
    }
    kernels.push_back({{"kernel", kernel.kernel},
                       {"launches", kernel.launches},
                       {"load_sectors", kernel.loads.sectors},
                       {"load_sectors_touched", kernel.loads.distinct_sectors},
                       {"store_sectors", kernel.stores.sectors},
                       {"store_sectors_touched", kernel.stores.distinct_sectors},
                       {"accesses", accesses}});
  }
  return {{"op", profile.op},
          {"shape", profile.shape},
          {"flops", profile.cost.flops},
          {"least_bytes", profile.cost.bytes},
          {"bytes", profile.bytes_moved()},
          {"kernels", kernels}};
}

int profile(const ProfileFlags& flags) {
  const std::vector<OpCase> cases = chosen_cases(flags);
  if (!flags.output.empty()) std::filesystem::create_directories(flags.output);
  Json json = Json::array();
  std::vector<std::vector<std::string>> rows{
      {"operation", "kernel", "sectors", "used", "loads x", "stores x", "conflicts x", "lanes"}};
  for (const OpCase& c : cases) {
    if (terminal_on_stderr()) std::cerr << "\r\033[K" << c.op << std::flush;
    const Profile measured = measure(c, flags.math);
    if (terminal_on_stderr()) std::cerr << "\r\033[K" << std::flush;
    if (!flags.output.empty())
      write_file(std::filesystem::path(flags.output) / (c.op + ".html"), profile_html(measured));
    if (flags.json) {
      json.push_back(json_of(measured));
    } else if (flags.all) {
      for (auto& row : summary_rows(measured)) rows.push_back(std::move(row));
    } else {
      print_lines(measured);
    }
  }
  if (flags.json) {
    std::cout << dump(json) << "\n";
  } else if (flags.all) {
    std::cout << align(rows)
              << "(sectors, lanes: a request; used: of the bytes moved; loads, stores x: sectors moved, as a multiple\n"
              << "of those touched; conflicts x: wavefronts, as a multiple of those without bank conflicts)\n";
  }
  if (!flags.output.empty()) note(concat(cases.size(), cases.size() == 1 ? " page" : " pages", " in ", flags.output));
  return 0;
}

}  // namespace

void add_profile(CLI::App& program, Action& action) {
  auto* command = program.add_subcommand(
      "profile", "Count what the CUDA kernels of an operation would ask of a GPU's memory, line by line, without one");
  auto flags = std::make_shared<ProfileFlags>();
  command->add_option("KERNEL", flags->op, "an operation, as `gemel check` names it");
  command->add_flag("--all", flags->all, "every operation: one line a kernel");
  command->add_option("--shape", flags->shape, "on the first shape that holds this")->type_name("TEXT");
  command->add_option("-o,--output", flags->output, "writes a page an operation here: OPERATION.html")
      ->type_name("DIR");
  add_math(*command, flags->math, "the kernels that multiply so; tf32, tf32x3 and bf16 on tensor cores");
  command->add_flag("--json", flags->json, "for machines");
  command->footer(
      "Examples:\n"
      "  gemel profile linear_fprop -o pages\n"
      "  gemel profile --all");
  command->callback([flags, &action] { action = [flags] { return profile(*flags); }; });
}

}  // namespace gemel::cli
