// SPDX-License-Identifier: MIT
//
// One exception type a cause; messages name the thing that a person can fix, in one line.
#pragma once

#include <sstream>
#include <stdexcept>
#include <string>

namespace gemel {

struct Error : std::runtime_error {
  using std::runtime_error::runtime_error;
};

// A layer or network was given a shape it cannot take: "Conv2d(1 -> 20, 5x5): input has 3 channels".
struct ShapeError : Error {
  using Error::Error;
};

// A file or argument from outside is missing, damaged or of the wrong kind; tools exit with 2. "NAME: what is wrong;
// what to do".
struct InputError : Error {
  using Error::Error;
};

// The device cannot do what was asked: absent, out of memory, driver error.
struct DeviceError : Error {
  using Error::Error;
};

template <class... Parts>
std::string concat(const Parts&... parts) {
  std::ostringstream out;
  (out << ... << parts);
  return out.str();
}

}  // namespace gemel
