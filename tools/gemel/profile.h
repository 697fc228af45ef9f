// SPDX-License-Identifier: MIT
//
// What `gemel profile` measured of one operation, and the page that shows it.
#pragma once

#include <string>
#include <vector>

#include "kernels/simt/check/instrument.h"
#include "tests/reference/op_case.h"

namespace gemel::cli {

struct Profile {
  std::string op, shape;
  reference::Cost cost;
  std::vector<instrument::KernelCounters> kernels;

  double bytes_moved() const;  // sectors of all kernels, as bytes
};

inline double ratio(double a, double b) { return b == 0 ? 0 : a / b; }
inline double ratio(std::uint64_t a, std::uint64_t b) { return ratio(static_cast<double>(a), static_cast<double>(b)); }

// Sectors a request needs at least: those that hold the bytes its lanes asked for.
double ideal_sectors(const instrument::AccessCounters& access);
std::string access_name(const instrument::AccessCounters& access);  // "load 16 B"

std::string profile_html(const Profile& profile);

// ---- its pictures, as SVG
// The 128-byte lines that an access's example touches, each of 32 words: which lane takes which, which sectors move.
std::string sectors_picture(const instrument::AccessCounters& access);
// The passes through the 32 banks that an access's example takes: which lane is served from which bank in which.
std::string banks_picture(const instrument::AccessCounters& access);

}  // namespace gemel::cli
