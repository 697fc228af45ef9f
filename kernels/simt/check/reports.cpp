// SPDX-License-Identifier: MIT
#include "kernels/simt/check/reports.h"

#include "kernels/simt/check/source.h"
#include "kernels/simt/launch_error.h"

namespace gemel::instrument {
namespace {

std::string text_of(const Source& source) {
  return source.file.empty() ? "unknown line" : source.file + ":" + std::to_string(source.line);
}

std::string text_of(const Place& place) {
  return "thread " + std::to_string(place.thread) + " of block (" + std::to_string(place.block.x) + ", " +
         std::to_string(place.block.y) + ", " + std::to_string(place.block.z) + ")";
}

Place place_of(const Spot& spot) {
  return {spot.file != nullptr ? Source{in_tree(spot.file), spot.line} : source_of(spot.pc), spot.block, spot.thread};
}

}  // namespace

const char* name_of(Kind kind) {
  switch (kind) {
    case Kind::race:
      return "race";
    case Kind::uninitialised:
      return "uninitialised";
    case Kind::out_of_bounds:
      return "out of bounds";
    case Kind::misaligned:
      return "misaligned";
    case Kind::host_memory:
      return "host memory";
    case Kind::barrier:
      return "barrier";
    case Kind::warp_mask:
      break;
  }
  return "warp mask";
}

std::string Report::text() const {
  std::string line = text_of(at.source) + ": " + name_of(kind) + " in " + kernel + ": " + text_of(at) + " " + what;
  if (against) line += " (" + text_of(*against) + ", " + text_of(against->source) + ")";
  if (times > 1) line += " [" + std::to_string(times) + " times]";
  return line;
}

std::vector<Report> Reports::take() {
  std::vector<std::uint32_t> addresses;
  for (const Entry& entry : entries_) {
    if (entry.at.pc != 0) addresses.push_back(entry.at.pc);
    if (entry.against.pc != 0) addresses.push_back(entry.against.pc);
  }
  look_up(addresses);
  std::vector<Report> reports;
  for (const Entry& entry : entries_) {
    Report report{entry.kind, kernel_name(entry.kernel), entry.what, place_of(entry.at), {}, entry.times};
    if (entry.two) report.against = place_of(entry.against);
    reports.push_back(std::move(report));
  }
  entries_.clear();
  index_.clear();
  return reports;
}

}  // namespace gemel::instrument
